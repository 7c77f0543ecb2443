"""`torchrun -m bertslim distill` gives on two processes what one gives on the same batches."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from safetensors.torch import load_file

from bertslim.cli import main
from tests.commands.shell import ENVIRONMENT
from tests.tiny import record_of, save_tiny_bert, sentences, write_sentence_task
from tests.train.training import assert_close

ROOT = Path(__file__).parents[2]
# 18 rows are learnt from: the last batch has two, fewer than there are parts
COMMON = ["--epochs", "2", "--batch-size", "4", "--accumulation", "2", "--precision", "fp32"]
COMMON += ["--student", "layers=1"]
RUNS = {
    "answers": ["expert", "--teacher", "expert", "--teacher", "other", "--task", "data/task.toml"],
    "words": ["words", "--teacher", "words", "--task", "text.toml", "--objective", "distilbert"],
    "states": ["words", "--teacher", "words", "--task", "text.toml", "--objective", "tinybert"],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    save_tiny_bert(tmp_path / "expert")
    save_tiny_bert(tmp_path / "other", seed=5)
    save_tiny_bert(tmp_path / "words", "masked-lm")
    write_sentence_task(tmp_path / "data", train=24, validation=8)
    (tmp_path / "pool.txt").write_text("\n".join(text for text, _ in sentences(40)))
    (tmp_path / "text.toml").write_text(
        'kind = "masked-lm"\nmax_length = 16\n[data]\ntrain = "pool.txt"\nvalidation = "pool.txt"\n'
    )
    return tmp_path


def commands(suffix: str) -> list[list[str]]:
    return [
        ["distill", *words, *COMMON, "--cache", f"kept-{suffix}", "-o", f"{name}-{suffix}"]
        for name, words in RUNS.items()
    ]


def kept(folder: Path) -> list[list[bytes]]:
    """Of each teacher, the keys of the rows that it was asked about, sorted."""
    found = []
    for teacher in sorted(folder.iterdir()):
        files = [pa.ipc.open_file(str(path)) for path in teacher.glob("*.arrow")]
        assert len(files) == (2 if folder.name == "kept-two" else 1)
        keys = [key for file in files for key in file.get_batch(0)["row"].to_pylist()]
        found.append(sorted(keys))
    return found


def test_two_processes_give_what_one_gives(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    worker = [*torchrun, "-m", "tests.commands.distill_worker", json.dumps(commands("two"))]
    done = subprocess.run(
        worker,
        cwd=place,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    # one line each, from the first process
    assert done.stdout.splitlines() == [f"{name}-two" for name in RUNS]
    monkeypatch.chdir(place)
    assert [main(words) for words in commands("one")] == [0, 0, 0]
    for name in RUNS:
        together, alone = (place / f"{name}-{suffix}" for suffix in ("two", "one"))
        found, expected = (record_of(out)["report"]["training"] for out in (together, alone))
        assert (found["processes"], expected["processes"]) == (2, 1)
        for ours, theirs in zip(found["losses"], expected["losses"], strict=True):
            assert ours == pytest.approx(theirs, abs=1e-5)
        weights = [load_file(out / "model.safetensors") for out in (together, alone)]
        assert_close(*weights, atol=1e-4)
    # every row was asked about once, by one of the processes, of each of the two teachers
    rows = kept(place / "kept-two")
    assert rows == kept(place / "kept-one")
    assert [len(set(keys)) for keys in rows] == [len(keys) for keys in rows]
    assert len(rows) == 2
