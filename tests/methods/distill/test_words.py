"""What masked language models learn of each other: guesses at some tokens, whatever the batches."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from bertslim.methods.distill.distill import distill
from bertslim.methods.distill.plan import learns_answers, plan
from bertslim.methods.distill.settings import distill_settings
from bertslim.methods.distill.terms import item_mean, logit_error, soft_error, word_mean
from bertslim.model.loading import load_for_task
from bertslim.model.modeling import SlimBertOutput, SlimBertPreTrainedModel
from bertslim.model.surgery import keep_layers
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.batching import collate
from bertslim.train.encoding import ask_words
from bertslim.train.examples import Examples, read_examples
from bertslim.train.settings import TrainReport
from bertslim.train.teacher import LiveTeacher
from tests.tiny import save_tiny_bert, sentences, tiny_tokenizer
from tests.train.tasks import lines_task
from tests.train.training import settings

T = 2.0
LENGTHS = (5, 3, 2)
MASK = (torch.arange(5) < torch.tensor(LENGTHS)[:, None]).long()
LABELS = torch.tensor(
    [[-100, 4, 1, -100, -100], [-100, 2, -100, -100, -100], [3, -100] + [-100] * 3]
)


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


Z, V = 3 * draw(3, 5, 6, seed=1), 3 * draw(3, 5, 6, seed=2)


def batch_at(at: Tensor, rows: list[int]) -> dict[str, Tensor]:
    return {"attention_mask": MASK[rows], "labels": LABELS[rows], "logits_at": at[rows]}


def guesses(logits: Tensor, at: Tensor, rows: list[int]) -> SlimBertOutput:
    return SlimBertOutput(logits=logits[rows][at[rows]])


def soft(at: Tensor, rows: list[int]) -> Tensor:
    return soft_error(guesses(Z, at, rows), guesses(V, at, rows), batch_at(at, rows), T)


def test_at_masked_tokens_it_is_the_mean_over_them() -> None:
    at = LABELS != -100
    log_q, log_p = ((x[at] / T).log_softmax(-1) for x in (Z, V))
    kl = functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True) * T**2
    assert soft(at, [0, 1, 2]) == pytest.approx(float(kl), rel=1e-5)
    squares = (Z[at] - V[at]).square().sum(-1).mean()
    found = logit_error(*(guesses(x, at, [0, 1, 2]) for x in (Z, V)), batch_at(at, [0, 1, 2]))
    assert found == pytest.approx(float(squares), rel=1e-5)


@pytest.mark.parametrize("everywhere", [False, True])
def test_a_batch_is_the_mean_of_its_parts_by_their_items(everywhere: bool) -> None:
    at = MASK == 1 if everywhere else LABELS != -100
    items = (LABELS != -100).sum(-1)
    parts = sum(float(soft(at, [row])) * int(items[row]) for row in range(3))
    assert soft(at, [0, 1, 2]) == pytest.approx(parts / int(items.sum()), rel=1e-5)


def test_values_find_their_rows() -> None:
    at = MASK == 1
    values = torch.arange(10.0)  # of rows with 5, 3 and 2 tokens
    rows = torch.tensor([2.0, 6.0, 8.5])
    batch = batch_at(at, [0, 1, 2])
    assert word_mean(values, batch) == item_mean(rows, batch)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> SlimBertPreTrainedModel:
    folder = tmp_path_factory.mktemp("teacher")
    checkpoint = open_checkpoint(save_tiny_bert(folder, "masked-lm", num_hidden_layers=4))
    return load_for_task(checkpoint, "masked-lm")


@pytest.fixture(scope="module")
def examples(
    tmp_path_factory: pytest.TempPathFactory, teacher: SlimBertPreTrainedModel
) -> Examples:
    text = "\n".join(text for text, _ in sentences(40))
    task = lines_task(tmp_path_factory.mktemp("text"), text, "max_length = 16\n")
    return read_examples(task, "train", teacher, tiny_tokenizer())


def test_logits_are_wanted_where_words_are_guessed_or_everywhere(examples: Examples) -> None:
    rows = [{"input_ids": [2, *range(5, 12), 3]}, {"input_ids": [2, 7, 8, 3]}]
    some, all_ = (
        ask_words(
            collate(rows, 0),
            np.random.default_rng(0),
            masking=examples.masking,
            everywhere=everywhere,
        )
        for everywhere in (False, True)
    )
    assert (some["logits_at"] == (some["labels"] != -100)).all()
    assert (all_["logits_at"] == (all_["attention_mask"] == 1)).all()
    assert (all_["input_ids"] == some["input_ids"]).all()


def taught(
    teacher: SlimBertPreTrainedModel, examples: Examples, everywhere: bool, **changes: object
) -> TrainReport:
    student = keep_layers(teacher, [0, 3])
    wishes = distill_settings("distilbert", T, None, [], "skip", None)
    planned = plan(wishes, student.config, teacher.config)
    run = settings(**{"learning_rate": 1e-3, **changes})
    live = LiveTeacher(teacher, planned.asked)
    return distill(student, live, planned, run, examples, None, everywhere=everywhere)[1]


@pytest.mark.parametrize("everywhere", [False, True])
def test_micro_batches_change_nothing(
    teacher: SlimBertPreTrainedModel, examples: Examples, everywhere: bool
) -> None:
    whole, parts = (taught(teacher, examples, everywhere, accumulation=n) for n in (1, 3))
    for found, expected in zip(parts.losses, whole.losses, strict=True):
        assert found == pytest.approx(dict(expected), rel=1e-4)
    assert whole.metrics == ()


def test_the_head_sees_no_other_token(teacher: SlimBertPreTrainedModel, examples: Examples) -> None:
    shapes: list[torch.Size] = []
    hook = teacher.mlm.register_forward_hook(lambda _m, _a, logits: shapes.append(logits.shape))
    taught(teacher, examples, everywhere=False, epochs=1)
    hook.remove()
    tokens = sum(len(ids) for ids in examples.encoded["input_ids"])
    assert all(len(shape) == 2 for shape in shapes)
    assert sum(shape[0] for shape in shapes) < tokens / 4


@pytest.mark.parametrize(
    ("objective", "alpha", "weights", "expected"),
    [
        ("distilbert", None, [], True),
        ("tinybert", None, [], False),
        ("tinybert", 0.5, [], True),
        ("tinybert", None, ["mse=1"], True),
        ("distilbert", 1.0, ["soft=0"], False),
    ],
)
def test_whether_answers_are_learnt_is_known_before_any_model(
    objective: str, alpha: float | None, weights: list[str], expected: bool
) -> None:
    wishes = distill_settings(objective, T, alpha, weights, "skip", None)
    assert learns_answers(wishes) is expected
