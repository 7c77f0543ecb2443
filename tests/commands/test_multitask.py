"""Several tasks in one model, from the command line."""

import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModel

from bertslim.cli import main
from bertslim.model.opening import open_model
from bertslim.store.checkpoint import open_checkpoint
from tests.commands.test_distill_recurrent import pair_task
from tests.tiny import record_of, save_tiny_bert

Printed = pytest.CaptureFixture[str]
SMALL = "hidden=6,embedding=8"
QUICK = ("--precision", "fp32", "--epochs", "1")


@pytest.fixture
def pairs(place: Path) -> str:
    """A second task: scores of pairs."""
    return pair_task(place, "text-regression", "{}.5")


def finetune(pairs: str, *more: str) -> int:
    words = ["finetune", "tiny", "--task", "data/task.toml", "--task", pairs]
    return main([*words, *QUICK, "-o", "multi", *more])


def distill(pairs: str, *more: str, source: str = "tiny") -> int:
    words = ["distill", source, "--task", "data/task.toml", "--task", pairs]
    return main([*words, *QUICK, *more])


def encoder(path: str) -> dict[str, torch.Tensor]:
    state = open_model(open_checkpoint(path)).encoder.state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith("pooler")}


def value(path: str, task: str, capfd: Printed) -> float:
    assert main(["evaluate", path, "--task", task, "--json"]) == 0
    return float(json.loads(capfd.readouterr().out.splitlines()[-1])["value"])


def assert_shared(directory: str) -> None:
    bare = encoder(directory)
    for name in ("task", "pairs"):
        own = encoder(f"{directory}/tasks/{name}")
        assert own.keys() == bare.keys()
        assert all(torch.equal(own[key], tensor) for key, tensor in bare.items())


def test_a_teacher_of_two_tasks_and_its_students(place: Path, pairs: str, capfd: Printed) -> None:
    assert finetune(pairs) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "multi"
    assert_shared("multi")
    AutoModel.from_pretrained("multi", add_pooling_layer=False)
    record = record_of(place / "multi")
    assert record["request"]["settings"]["tasks"] == ["task", "pairs"]
    assert record["request"]["settings"]["balance"] == 0.5
    assert record["request"]["data"].keys() == {"task-task", "task-pairs"}
    for name, task in (("task", "data/task.toml"), ("pairs", pairs)):
        report = record["report"]["tasks"][name]
        assert value(f"multi/tasks/{name}", task, capfd) == pytest.approx(
            report["validation"]["value"]
        )
        assert record_of(place / "multi" / "tasks" / name)["report"] == report

    # a recurrent student of both, then a transformer that starts from the teacher's own heads
    assert distill(pairs, "--teacher", "multi", "--student", f"bilstm,{SMALL}", "-o", "lstm") == 0
    assert_shared("lstm")
    models = {n: open_model(open_checkpoint(f"lstm/tasks/{n}")) for n in ("task", "pairs")}
    assert {name: model.config.pairs for name, model in models.items()} == {
        "task": False,
        "pairs": True,
    }
    more = ("--teacher", "multi", "--student", "layers=1,hidden=16", "-o", "small")
    assert distill(pairs, *more, source="multi") == 0
    assert_shared("small")
    record = record_of(place / "small")
    assert record["request"]["inputs"].keys() == {
        "model",
        *("model-task", "model-pairs"),
        *("teacher-task", "teacher-pairs"),
    }
    report = record["report"]
    for name, task in (("task", "data/task.toml"), ("pairs", pairs)):
        own = report["tasks"][name]
        assert value(f"small/tasks/{name}", task, capfd) == pytest.approx(
            own["after"]["score"]["value"]
        )
        assert value(f"multi/tasks/{name}", task, capfd) == pytest.approx(
            own["teacher"]["score"]["value"]
        )
    after = [own["after"]["score"]["value"] for own in report["tasks"].values()]
    assert report["mean"]["after"] == sum(after) / 2
    assert main(["export", "small", "--format", "onnx", "-o", "graph"]) == 0
    assert "whole models lie in small/tasks" in capfd.readouterr().err
    # the encoder goes on to another task, and the same request is no work
    words = ["finetune", "small", "--task", "data/task.toml", *QUICK, "-o", "next"]
    assert main(words) == 0
    assert distill(pairs, *more, source="multi") == 0


def test_a_teacher_for_each_task_and_a_vocabulary_of_all_texts(place: Path, pairs: str) -> None:
    save_tiny_bert(place / "scorer", "text-regression", seed=3)
    teachers = ("--teacher", "tiny", "--teacher", "scorer", "--alpha", "1", "--weight", "soft=0")
    student = ("--student", f"attentive-lstm,words=40,{SMALL}", "--weight", "mse=1")
    assert distill(pairs, *teachers, *student, "-o", "first") == 0
    assert distill(pairs, *teachers, *student, "-o", "again") == 0
    first, again = (record_of(place / name)["report"]["training"] for name in ("first", "again"))
    assert first["losses"] == again["losses"]
    assert first["losses"][0].keys() == {"mse", "gradient norm"}
    assert first["examples"] > 0
    words = [
        (place / "first" / part / "tokenizer.json").read_text() for part in (".", "tasks/task")
    ]
    assert words[0] == words[1]
    # pairs.tsv alone has these as words of its own
    assert '"ugly"' in words[0] or '"lovely"' in words[0]
    config = json.loads((place / "first" / "provenance.json").read_text())["options"]
    assert [Path(path).name for path in config["task"]] == ["task.toml", "pairs.toml"]
    assert main(["distill", "tiny", "--config", "first/provenance.json", "-o", "first"]) == 0


def test_words_are_those_of_the_first_teacher_whatever_the_others(place: Path, pairs: str) -> None:
    save_tiny_bert(place / "scorer", "text-regression", seed=3, hidden_size=16)
    teachers = ("--teacher", "tiny", "--teacher", "scorer", "--alpha", "1", "--weight", "soft=0")
    student = ("--student", "bilstm,hidden=6", "--weight", "mse=1")
    assert distill(pairs, *teachers, *student, "-o", "both") == 0
    assert_shared("both")
    assert encoder("both/tasks/pairs")["embeddings.words.weight"].shape[1] == 32


def test_links_that_are_called_alike_are_as_well(place: Path, pairs: str, capfd: Printed) -> None:
    """A task is called as its path says, wherever that leads."""
    (place / "data" / "same.toml").symlink_to("task.toml")
    (place / "same.toml").symlink_to(pairs)
    assert main(["finetune", "tiny", "--task", "data/same.toml", "--task", "same.toml"]) == 2
    assert "data/same.toml and same.toml are both called same" in capfd.readouterr().err


def test_what_cannot_be_is_told_at_once(place: Path, pairs: str, capfd: Printed) -> None:
    (place / "more").mkdir()
    (place / "more" / "pairs.toml").write_text((place / pairs).read_text())
    words = (place / "data" / "task.toml").read_text().replace("text-classification", "masked-lm")
    (place / "data" / "words.toml").write_text(words.replace('label = "label"\n', ""))
    tasks = ["data/task.toml", "data/task.toml", pairs, "more/pairs.toml", "data/words.toml"]
    flags = [word for task in tasks for word in ("--task", task)]
    assert main(["finetune", "tiny", *flags]) == 2
    said = capfd.readouterr().err
    for part in (
        "data/task.toml is given twice",
        "are both called pairs",
        "words is masked-lm, which is learnt alone",
        "more/pairs.toml is not a valid task file",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--teacher", "tiny"], "--teacher tiny is of one task, and 2 are to be learnt"),
        (["--teacher", "tiny"] * 3, "3 times --teacher for 2 tasks"),
        (["--teacher", "tiny", "--objective", "pkd"], "patient of several tasks"),
        (["--teacher", "tiny", "--thaw"], "--thaw is for one task"),
        (["--teacher", "tiny"] * 2, "--teacher tiny: its head is for text-classification, but"),
        (["--teacher", "tiny", "--student", "cnn-lstm"] * 2, "cnn-lstm is for token-class"),
        (["--teacher", "other", "--teacher", "tiny"], "--teacher other knows the labels"),
    ],
)
def test_faults(place: Path, pairs: str, capfd: Printed, more: list[str], said: str) -> None:
    labels = {"id2label": {0: "x", 1: "y"}, "label2id": {"x": 0, "y": 1}}
    save_tiny_bert(place / "other", **labels)
    assert distill(pairs, *more) > 0
    assert said in capfd.readouterr().err
    assert not list(place.glob("tiny-distilled*"))


def test_a_teacher_of_several_may_lack_a_task(place: Path, pairs: str, capfd: Printed) -> None:
    save_tiny_bert(place / "multi", None)
    save_tiny_bert(place / "multi" / "tasks" / "task")
    assert distill(pairs, "--teacher", "multi") == 2
    assert "multi knows task, and not pairs" in capfd.readouterr().err


@pytest.mark.usefixtures("place")
def test_balance_is_for_several(capfd: Printed) -> None:
    assert main(["finetune", "tiny", "--task", "data/task.toml", "--balance", "0.3"]) == 2
    assert "--balance 0.3 is for several tasks" in capfd.readouterr().err


def test_one_task_is_asked_for_as_ever(place: Path) -> None:
    words = [
        "distill",
        "tiny",
        "--teacher",
        "tiny",
        "--task",
        "data/task.toml",
        *QUICK,
        "-o",
        "out",
    ]
    assert main(words) == 0
    record = record_of(place / "out")
    assert record["request"]["data"].keys() == {"task"}
    assert record["request"]["inputs"].keys() == {"model", "teacher"}
    assert not {"tasks", "balance"} & record["request"]["settings"].keys()
    assert record["options"]["task"] == str((place / "data" / "task.toml").resolve())
