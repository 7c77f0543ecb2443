"""A teacher that was asked before teaches as one that is asked at every step."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from datasets import Dataset

from bertslim.errors import TrainingError
from bertslim.methods.distill.terms import patient_loss
from bertslim.model.loading import load_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.batching import collate, rows_at
from bertslim.train.examples import read_examples
from bertslim.train.objectives import soft_loss
from bertslim.train.records import recording
from bertslim.train.records.layout import Kept, layout_of
from bertslim.train.records.recorded import RecordedTeacher
from bertslim.train.records.recording import Shelf, recorded_teacher
from bertslim.train.records.shards import Shards
from bertslim.train.task import load_task
from bertslim.train.teacher import TEACHER
from tests.tiny import save_tiny_bert, tiny_tokenizer
from tests.train.tasks import conll_task, squad_task

TAGS = {0: "B-LOC", 1: "B-PER", 2: "I-PER", 3: "O"}
KINDS = ["text-classification", "token-classification", "question-answering"]
BOTH = Kept(logits=True, states=(1, 2))


@pytest.fixture
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture(params=KINDS)
def world(
    request: pytest.FixtureRequest, tmp_path: Path, sentence_task: Path
) -> tuple[SlimBertPreTrainedModel, Dataset]:
    """A teacher of each kind, and rows; those of questions are pieces of longer contexts."""
    kind = request.param
    labels = {"id2label": TAGS, "label2id": {tag: n for n, tag in TAGS.items()}}
    more = labels if kind == "token-classification" else {}
    model = load_model(open_checkpoint(save_tiny_bert(tmp_path / "teacher", kind, **more)))
    task = load_task(sentence_task)
    if kind == "token-classification":
        task = conll_task(tmp_path)
    elif kind == "question-answering":
        task = squad_task(tmp_path, settings="")
    return model, read_examples(task, "train", model, tiny_tokenizer()).encoded


def record(
    model: SlimBertPreTrainedModel,
    rows: Dataset,
    folder: Path,
    accelerator: Accelerator,
    kept: Kept = BOTH,
    teacher: str = "t",
) -> RecordedTeacher:
    return recorded_teacher(model, rows, kept, Shelf(folder, teacher, "fp32"), accelerator)


def test_a_record_answers_as_its_teacher(
    world: tuple[SlimBertPreTrainedModel, Dataset], tmp_path: Path, accelerator: Accelerator
) -> None:
    model, rows = world
    teacher = record(model, rows, tmp_path / "answers", accelerator)
    # another order and other neighbours than when it was asked
    for indices in ([len(rows) - 1, 0], [1, 1, 0], [len(rows) // 2]):
        batch = collate(rows_at(rows, indices), 0)
        tensors = {n: torch.from_numpy(c) for n, c in (batch | teacher.columns(indices)).items()}
        own = {name: column for name, column in tensors.items() if not name.startswith(TEACHER)}
        with torch.no_grad():
            live = model(**own, output_first_states=True)
        answers = teacher.answers(tensors)
        assert float(soft_loss(live, answers, own, 1.0)) == pytest.approx(0, abs=1e-6)
        student = model(**own, output_first_states=True)
        assert float(patient_loss(student, answers, own, [(1, 1), (2, 2)]).detach()) < 1e-5


def calls(model: SlimBertPreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows the teacher is asked about, call by call."""
    seen: list[int] = []
    forward = model.forward

    def spy(**inputs: torch.Tensor) -> object:
        seen.append(len(inputs["input_ids"]))
        return forward(**inputs)

    monkeypatch.setattr(model, "forward", spy)
    return seen


def test_nothing_is_asked_twice(
    world: tuple[SlimBertPreTrainedModel, Dataset],
    tmp_path: Path,
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = world
    seen = calls(model, monkeypatch)
    distinct = {tuple(ids) for ids in rows["input_ids"]}
    first = rows.select(range(len(rows) // 2))
    record(model, first, tmp_path, accelerator)
    before = sum(seen)
    assert before == len({tuple(ids) for ids in first["input_ids"]})
    record(model, rows, tmp_path, accelerator)
    assert sum(seen) == len(distinct)
    record(model, rows.select(reversed(range(len(rows)))), tmp_path, accelerator)
    assert sum(seen) == len(distinct)
    # another teacher, and another part of its outputs, are other questions
    record(model, rows, tmp_path, accelerator, teacher="u")
    record(model, rows, tmp_path, accelerator, Kept(logits=True))
    assert sum(seen) == 3 * len(distinct)


@pytest.fixture
def sentences(sentence_task: Path, tiny: Path) -> tuple[SlimBertPreTrainedModel, Dataset]:
    model = load_model(open_checkpoint(tiny))
    return model, read_examples(load_task(sentence_task), "train", model, tiny_tokenizer()).encoded


def test_an_interruption_costs_no_more_than_a_file(
    sentences: tuple[SlimBertPreTrainedModel, Dataset],
    tmp_path: Path,
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = sentences
    monkeypatch.setattr(recording, "ROWS_PER_FILE", 40)
    forward, asked = model.forward, []

    def interrupted(**inputs: torch.Tensor) -> object:
        asked.append(len(inputs["input_ids"]))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return forward(**inputs)

    with monkeypatch.context() as patched:
        patched.setattr(model, "forward", interrupted)
        with pytest.raises(KeyboardInterrupt):
            record(model, rows, tmp_path, accelerator)
    files = sorted(path.suffix for path in tmp_path.rglob("*.*"))
    assert files == [".arrow"]
    seen = calls(model, monkeypatch)
    teacher = record(model, rows, tmp_path, accelerator)
    assert sum(seen) == len(set(teacher.places.tolist())) - 40
    assert len(list(tmp_path.rglob("*.arrow"))) == 3


def test_room_is_asked_for_beforehand(
    sentences: tuple[SlimBertPreTrainedModel, Dataset],
    tmp_path: Path,
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, rows = sentences
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1000))
    seen = calls(model, monkeypatch)
    with pytest.raises(TrainingError, match=r"where 1\.0 kB are free") as refusal:
        record(model, rows, tmp_path, accelerator)
    assert "--no-cache" in refusal.value.hint
    assert seen == []


def test_a_full_disk_is_explained(
    sentences: tuple[SlimBertPreTrainedModel, Dataset],
    tmp_path: Path,
    accelerator: Accelerator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recording, "write_shard", refuse)
    with pytest.raises(TrainingError, match="No space left") as refusal:
        record(*sentences, tmp_path, accelerator)
    assert "--no-cache" in refusal.value.hint


@pytest.mark.parametrize("content", [b"", b"ARROW1", None])
def test_a_damaged_file_is_named(
    sentences: tuple[SlimBertPreTrainedModel, Dataset],
    tmp_path: Path,
    accelerator: Accelerator,
    content: bytes | None,
) -> None:
    record(*sentences, tmp_path, accelerator)
    (file,) = tmp_path.rglob("*.arrow")
    file.write_bytes(file.read_bytes()[:-200] if content is None else content)
    with pytest.raises(TrainingError, match=str(file)) as refusal:
        record(*sentences, tmp_path, accelerator)
    assert "remove the file" in refusal.value.hint


def test_answers_that_are_no_numbers_are_refused(
    sentences: tuple[SlimBertPreTrainedModel, Dataset], tmp_path: Path, accelerator: Accelerator
) -> None:
    model, rows = sentences
    model.encoder.get_submodule("layers.0.ffn_norm").bias.data[0] = 1e5  # beyond fp16
    with pytest.raises(TrainingError, match=r"state\.1"):
        record(model, rows, tmp_path, accelerator)
    assert list(tmp_path.rglob("*.*")) == []


def test_columns_have_the_shape_of_the_outputs(
    sentences: tuple[SlimBertPreTrainedModel, Dataset], tmp_path: Path, accelerator: Accelerator
) -> None:
    model, rows = sentences
    teacher = record(model, rows, tmp_path, accelerator)
    found = teacher.columns([3, 5])
    shapes = {name: (array.shape, array.dtype.name) for name, array in found.items()}
    assert shapes == {
        f"{TEACHER}logits": ((2, 2), "float32"),
        f"{TEACHER}state.1": ((2, 32), "float16"),
        f"{TEACHER}state.2": ((2, 32), "float16"),
    }
    folder = next(tmp_path.rglob("*.arrow")).parent
    assert (Shards(folder, list(layout_of(model, BOTH))).places([b"0" * 16]) == -1).all()
