"""Several teachers teach the mean of what they say."""

from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from bertslim.train.batching import collate, rows_at
from bertslim.train.objectives import SILENT, divergence
from bertslim.train.panel import Panel, averaged_logits
from bertslim.train.records.layout import Kept
from bertslim.train.records.recording import Shelf, recorded_teacher
from bertslim.train.teacher import LiveTeacher
from tests.model.lstm.models import tiny_lstm
from tests.train.training import VOCABULARY, classifier, sentences

T = 2.0


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_probabilities_are_averaged() -> None:
    logits = [3 * draw(5, 4, seed=n) for n in range(3)]
    mean = torch.stack([(v / T).softmax(-1) for v in logits]).mean(0)
    torch.testing.assert_close((averaged_logits(logits, T) / T).softmax(-1), mean)
    # at another temperature it is another mean
    assert not torch.allclose(averaged_logits(logits, 1.0).softmax(-1), mean, atol=1e-3)


def test_one_teacher_and_equal_ones_come_back_as_they_are() -> None:
    v = 3 * draw(5, 4, seed=0)
    torch.testing.assert_close(averaged_logits([v], T), v)
    torch.testing.assert_close(averaged_logits([v, v, v], T), v)


def test_scores_are_averaged() -> None:
    a, b = draw(5, 1, seed=0), draw(5, 1, seed=1)
    torch.testing.assert_close(averaged_logits([a, b], T), (a + b) / 2)


def test_a_student_is_drawn_as_by_the_mean_of_the_single_losses() -> None:
    """The gradient of KL(mean p || q) is the mean of those of KL(p || q)."""
    logits = [3 * draw(5, 4, seed=n) for n in range(3)]
    z = draw(5, 4, seed=9).requires_grad_()
    both = divergence(z, averaged_logits(logits, T), T)
    apart = torch.stack([divergence(z, v, T) for v in logits]).mean()
    (found,), (expected,) = (torch.autograd.grad(loss, z) for loss in (both, apart))
    torch.testing.assert_close(found, expected)
    assert both < apart


def batch_of(panel: Panel, rows: list[int]) -> dict[str, torch.Tensor]:
    columns = collate(rows_at(sentences(8), rows), 0) | panel.columns(rows)
    return {name: torch.from_numpy(column) for name, column in columns.items()}


def test_recorded_and_live_teachers_sit_together(tmp_path: Path) -> None:
    """Each has its own record, and reads the classes in its own order."""
    models = [classifier(seed=n).eval() for n in (3, 4)]
    kept, rows = [], sentences(8)
    for name, model in zip("ab", models, strict=True):
        shelf = Shelf(tmp_path, name, "fp32")
        kept.append(recorded_teacher(model, rows, Kept(True), shelf, Accelerator(cpu=True)))
    orders = ((0, 1), (1, 0))
    chosen = [5, 2, 6]
    live = Panel([LiveTeacher(model) for model in models], orders, T)
    answers = live.answers(batch_of(live, chosen))
    batch = collate(rows_at(rows, chosen), 0)
    inputs = {n: torch.from_numpy(batch[n]) for n in ("input_ids", "attention_mask")}
    with torch.no_grad():
        a, b = (model(**inputs).logits for model in models)
    torch.testing.assert_close(answers.logits, averaged_logits([a, b.flip(-1)], T))
    for members in (kept, [kept[0], LiveTeacher(models[1])]):
        panel = Panel(members, orders, T)
        told = panel.answers(batch_of(panel, chosen))
        torch.testing.assert_close(told.logits, answers.logits)
    assert len(list(tmp_path.iterdir())) == 2


def test_recurrent_teachers_are_asked_too() -> None:
    """Their outputs have no ends of answers at all."""
    models = [tiny_lstm(vocab_size=VOCABULARY, hidden_size=size) for size in (5, 6)]
    panel = Panel([LiveTeacher(model) for model in models], ((), ()), T)
    batch = batch_of(panel, [5, 2, 6])
    with torch.no_grad():
        told = [model(batch["input_ids"], batch["attention_mask"]).logits for model in models]
    torch.testing.assert_close(panel.answers(batch).logits, averaged_logits(told, T))


class Ends:
    """A teacher of questions that says what it was given."""

    def __init__(self, start: torch.Tensor, end: torch.Tensor) -> None:
        self.logits, self.start_logits, self.end_logits = None, start, end

    def answers(self, _batch: object) -> "Ends":
        return self


def test_padding_has_no_part_in_the_mean_of_places() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    seeds = ((0, 1), (2, 3))
    pairs = [tuple(draw(2, 4, seed=seed) for seed in both) for both in seeds]
    spoilt = [tuple(ends.masked_fill(mask == 0, 50.0) for ends in both) for both in pairs]
    plain, other = (
        Panel([Ends(*both) for both in told], ((), ()), T).answers({"attention_mask": mask})
        for told in (pairs, spoilt)
    )
    silent = [start.masked_fill(mask == 0, SILENT) for start, _ in pairs]
    mean = torch.stack([(v / T).softmax(-1) for v in silent]).mean(0)
    assert torch.equal(plain.start_logits, other.start_logits)
    assert torch.equal(plain.end_logits, other.end_logits)
    assert (plain.start_logits / T).softmax(-1) == pytest.approx(mean, abs=1e-6)
