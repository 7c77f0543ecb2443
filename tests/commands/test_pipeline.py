"""The contract in a real shell: a pipeline, a CI step with gates, and a user's Makefile."""

import json
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.shell import bash, start
from tests.tiny import record_of, save_tiny_bert, write_sentence_task

PRUNE = 'bertslim prune-heads "$MODEL" --task "$TASK" --remove 0.25'


@pytest.fixture
def place(tmp_path: Path, tiny: Path, sentence_task: Path) -> Path:
    """A user's working directory with a model and a task."""
    shutil.copytree(tiny, tmp_path / "models" / "tiny")
    shutil.copytree(sentence_task.parent, tmp_path / "data")
    return tmp_path


def run(script: str, place: Path) -> tuple[int, str, str]:
    done = bash(script, place, MODEL="models/tiny", TASK="data/task.toml")
    return done.returncode, done.stdout, done.stderr


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_a_pipeline_passes_one_path_and_repeats_for_free(place: Path) -> None:
    script = f'set -o pipefail; {PRUNE} | bertslim prune-heads - --task "$TASK" --remove 0.34'
    code, out, err = run(script, place)
    assert (code, out) == (0, f"{place}/models/tiny-heads25-heads34\n"), err
    assert names(place / "models") == ["tiny", "tiny-heads25", "tiny-heads25-heads34"]
    record = record_of(place / "models" / "tiny-heads25-heads34")
    assert [step["request"]["command"] for step in record["lineage"]] == ["prune-heads"]

    before = (place / "models" / "tiny-heads25-heads34").stat().st_mtime_ns
    again = run(script, place)
    assert again[:2] == (0, out)
    assert again[2].count("up to date") == 2
    assert (place / "models" / "tiny-heads25-heads34").stat().st_mtime_ns == before


@pytest.mark.parametrize("first", ["bertslim inspect missing", "true", "kill -9 $BASHPID"])
@pytest.mark.parametrize("pipefail", ["set -o pipefail;", ""])
def test_a_pipe_that_brings_nothing_stops_the_next_step(
    place: Path, first: str, pipefail: str
) -> None:
    code, out, err = run(f"{pipefail} ({first}) | bertslim inspect -", place)
    assert (code, out) == (5, "")
    assert "the pipe ended without a checkpoint path" in err
    assert "Traceback" not in err


def test_json_flows_through_the_pipe(place: Path) -> None:
    code, out, _ = run(f"{PRUNE} --json | tee line.json | bertslim inspect - --json", place)
    passed = json.loads((place / "line.json").read_text())
    assert code == 0
    assert json.loads(out)["path"] == passed["path"]
    assert passed["key"] == record_of(Path(passed["path"]))["key"]


def test_a_closed_pipe_is_no_traceback(place: Path) -> None:
    _, _, err = run('bertslim inspect "$MODEL" | true; true', place)
    assert "Traceback" not in err
    assert "Exception" not in err


def test_a_full_disk_behind_stdout_is_explained(place: Path) -> None:
    code, _, err = run('bertslim inspect "$MODEL" > /dev/full', place)
    assert code == 1
    assert "no space left to write the output" in err
    assert "Traceback" not in err


def test_a_killed_run_leaves_nothing_that_looks_finished(place: Path) -> None:
    words = ["finetune", "models/tiny", "--task", "data/task.toml", "--epochs", "400"]
    process = start([*words, "-o", "out"], place)
    _wait_for(lambda: any(place.glob(".out.*.partial")))
    time.sleep(0.5)
    process.kill()
    process.communicate()
    assert not (place / "out").exists()
    code, out, err = run('bertslim finetune "$MODEL" --task "$TASK" --epochs 1 -o out', place)
    assert (code, out) == (0, "out\n"), err
    assert not list(place.glob(".out.*"))


def test_an_interrupted_training_goes_on(place: Path) -> None:
    words = ["finetune", "models/tiny", "--task", "data/task.toml", "--epochs", "60", "-o", "out"]
    process = start(words, place)
    _wait_for(lambda: any(place.glob(".out.*.partial/resume/*.safetensors")))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert not (place / "out").exists()
    assert len(list(place.glob(".out.*.partial/resume"))) == 1

    code, out, err = run('bertslim finetune "$MODEL" --task "$TASK" --epochs 60 -o out', place)
    assert (code, out) == (0, "out\n"), err
    assert "going on from step" in err
    assert not list(place.glob(".out.*"))


def test_a_place_that_cannot_be_written_is_explained(place: Path) -> None:
    code, out, err = run(f"{PRUNE} -o /sys/bertslim/out", place)
    assert (code, out) == (1, "")
    assert "/sys/bertslim" in err
    assert "Traceback" not in err


def test_a_ci_step_fails_by_its_gate_alone(place: Path) -> None:
    bench = 'bertslim bench "$MODEL" - --task "$TASK" --runtime torch --batch 1 --length 16 -q'
    code, out, err = run(f"set -e; {PRUNE} | {bench} --seconds 0.2 --min-speedup 1000", place)
    assert code == 3, err
    assert "tiny-heads25" in out
    assert "--min-speedup" in err
    code, _, err = run(f"set -e; {PRUNE} | {bench} --seconds 0.2 --max-drop 1", place)
    assert code == 0, err


MAKEFILE = """\
all: build/small/provenance.json build/other/provenance.json

build/small/provenance.json: data/task.toml data/train.tsv data/dev.tsv
\tbertslim prune-heads models/tiny --task data/task.toml --remove 0.25 -o $(@D) --force

build/other/provenance.json: other/task.toml other/train.tsv
\tbertslim prune-heads models/tiny --task other/task.toml --remove 0.5 -o $(@D) --force
"""


def test_a_makefile_rebuilds_what_depends_on_changed_data(place: Path) -> None:
    shutil.copytree(place / "data", place / "other")
    (place / "Makefile").write_text(MAKEFILE)
    done = bash("make -j2", place)
    assert done.returncode == 0, done.stderr
    assert {"build/other", "build/small"} <= set(done.stdout.splitlines())
    assert "Nothing to be done" in bash("make -j2", place).stdout

    before = {n: record_of(place / "build" / n)["key"] for n in ("small", "other")}
    with (place / "data" / "train.tsv").open("a") as file:
        file.write("a lovely end .\t1\n")
    done = bash("make -j2", place)
    assert done.returncode == 0, done.stderr
    assert "other" not in done.stdout
    after = {n: record_of(place / "build" / n)["key"] for n in ("small", "other")}
    assert after["other"] == before["other"]
    assert after["small"] != before["small"]


def test_two_processes_make_one_directory(place: Path) -> None:
    both = f"{PRUNE} -o out & first=$!; {PRUNE} -o out & wait $first && wait $!"
    code, out, err = run(both, place)
    assert (code, out) == (0, "out\nout\n"), err
    assert err.count("up to date") == 1
    assert names(place) == ["data", "models", "out"]


def _wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_help_is_fast_because_it_imports_nothing_heavy(place: Path) -> None:
    code, _, err = run("python -X importtime -m bertslim prune-heads --help", place)
    assert code == 0
    imported = {line.rpartition("|")[2].strip() for line in err.splitlines()}
    heavy = {"torch", "transformers", "datasets", "onnx", "onnxruntime", "sklearn", "matplotlib"}
    assert imported & heavy == set()


def test_shell_completion_knows_the_commands(place: Path) -> None:
    script = (
        'eval "$(bertslim --show-completion bash)"; '
        "COMP_WORDS=(bertslim prune-h) COMP_CWORD=1; _bertslim_completion bertslim; "
        'echo "${COMPREPLY[@]}"'
    )
    code, out, err = run(script, place)
    assert (code, out.strip()) == (0, "prune-heads"), err


def test_a_second_model_of_the_same_name_is_another_request(place: Path) -> None:
    assert run(PRUNE, place)[0] == 0
    shutil.rmtree(place / "models" / "tiny")
    save_tiny_bert(place / "models" / "tiny", seed=5)
    code, out, err = run(PRUNE, place)
    assert (code, out) == (4, "")
    assert "--force" in err
    assert run(f"{PRUNE} --force", place)[0] == 0


def test_the_task_file_may_move(place: Path) -> None:
    assert run(PRUNE, place)[0] == 0
    write_sentence_task(place / "moved")
    code, _, err = run(PRUNE.replace("$TASK", "moved/task.toml"), place)
    assert code == 0
    assert "up to date" in err
