"""Several teachers from the command line."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from bertslim.cli import main
from tests.tiny import record_of, save_tiny_bert

Printed = pytest.CaptureFixture[str]
NAMES = {"id2label": {0: "1", 1: "0"}, "label2id": {"1": 0, "0": 1}}


@pytest.fixture
def place(tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two teachers; the second has its two labels the other way round."""
    shutil.copytree(tiny, tmp_path / "one")
    save_tiny_bert(tmp_path / "two", seed=5, **NAMES)
    shutil.copytree(sentence_task.parent, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def distill(*words: str) -> int:
    options = ["--task", "data/task.toml", "--epochs", "1", "--precision", "fp32"]
    return main(["distill", "one", *options, *words])


def soft(directory: Path) -> float:
    report = record_of(directory)["report"]
    return float(report["training"]["losses"][0]["soft"])


def answers(folder: Path) -> list[int]:
    """Rows that were kept of each teacher."""
    found = []
    for teacher in sorted(folder.iterdir()):
        files = [pa.ipc.open_file(str(path)) for path in teacher.glob("*.arrow")]
        found.append(sum(file.get_batch(0).num_rows for file in files))
    return found


def test_each_teacher_keeps_its_own_answers(place: Path, capfd: Printed) -> None:
    assert distill("--teacher", "one", "--cache", "kept", "-o", "alone") == 0
    (rows,) = answers(place / "kept")
    both = ("--teacher", "one", "--teacher", "two")
    capfd.readouterr()
    assert distill(*both, "--cache", "kept", "-o", "both") == 0
    # the first is not asked again
    assert capfd.readouterr().err.count("the teacher's answers to") == 1
    assert answers(place / "kept") == [rows, rows]
    record = record_of(place / "both")
    assert record["sources"] == {
        "model": "one",
        "teacher": "one",
        "teacher-2": "two",
        "task": "data/task.toml",
    }
    report = record["report"]
    scores = [teacher["score"]["value"] for teacher in report["teachers"]]
    assert len(scores) == 2
    assert report["teacher"]["score"]["value"] == max(scores)
    # also of one whose labels stand in another order than the student's
    assert main(["evaluate", "two", "--task", "data/task.toml", "--json"]) == 0
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["value"] == scores[1]
    assert report["retention"] == report["after"]["score"]["value"] / max(scores)
    assert distill(*both, "--no-cache", "-o", "live") == 0
    assert soft(place / "live") == pytest.approx(soft(place / "both"), rel=1e-4)
    assert soft(place / "both") != pytest.approx(soft(place / "alone"), rel=0.1)
    # what was recorded can be asked for again
    assert main(["distill", "--config", "both/provenance.json", "-o", "both"]) == 0
    assert "up to date" in capfd.readouterr().err


def mirror(place: Path, names: dict[str, object]) -> None:
    """Write the second teacher again, its outputs in the task's order."""
    from safetensors.torch import load_file, save_file

    file = shutil.copytree(place / "two", place / "mirror") / "model.safetensors"
    tensors = load_file(file)
    turned = {n: t.flip(0) if n.startswith("classifier") else t for n, t in tensors.items()}
    save_file(turned, file, metadata={"format": "pt"})
    config = place / "mirror" / "config.json"
    stored = {k: v for k, v in json.loads(config.read_text()).items() if k not in NAMES}
    config.write_text(json.dumps({**stored, **names}))


ORDERS = pytest.mark.parametrize(
    "names",
    [{"id2label": {"0": "0", "1": "1"}, "label2id": {"0": 0, "1": 1}}, {}],
    ids=["named", "nameless"],
)


@ORDERS
def test_labels_are_put_into_one_order(place: Path, names: dict[str, object]) -> None:
    """A teacher and its mirror image say the same."""
    mirror(place, names)
    assert distill("--teacher", "two", "-o", "alone") == 0
    assert distill("--teacher", "two", "--teacher", "mirror", "-o", "both") == 0
    assert soft(place / "both") == pytest.approx(soft(place / "alone"), rel=1e-4)
    scores = [found["score"]["value"] for found in record_of(place / "both")["report"]["teachers"]]
    assert scores[0] == scores[1]


@ORDERS
def test_the_input_keeps_what_it_knows(place: Path, names: dict[str, object]) -> None:
    """Its outputs are put into the teacher's order."""
    mirror(place, names)
    words = ["--task", "data/task.toml", "--epochs", "1", "--precision", "fp32", "-o", "out"]
    assert main(["distill", "mirror", "--teacher", "two", *words]) == 0
    report = record_of(place / "out")["report"]
    assert report["before"]["score"]["value"] == report["teacher"]["score"]["value"] != 0.5


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--teacher", "one", "--teacher", "one"], 2, ["--teacher one is given twice"]),
        (
            ["--teacher", "one", "--teacher", "two", "--objective", "pkd"],
            2,
            ["2 teachers: this objective compares states (patient)", "no average"],
        ),
        (["--teacher", "one", "--teacher", "other"], 1, ["--teacher other knows", "no, yes"]),
        (["--teacher", "one", "--words", "all"], 2, ["--words all is for masked-lm tasks"]),
    ],
)
def test_bad_input_is_explained(
    place: Path, capfd: Printed, words: list[str], code: int, said: list[str]
) -> None:
    save_tiny_bert(place / "other", id2label={0: "no", 1: "yes"}, label2id={"no": 0, "yes": 1})
    assert distill(*words, "-o", "out") == code
    err = capfd.readouterr().err
    assert [word for word in said if word not in err] == []
    assert "Traceback" not in err
    assert not (place / "out").exists()


@pytest.mark.parametrize("teachers", ['"two"', '["one", "two"]'])
def test_a_file_of_flags_names_one_or_several(place: Path, teachers: str) -> None:
    (place / "flags.toml").write_text(f"teacher = {teachers}\n")
    assert distill("--config", "flags.toml", "--dry-run") == 0
