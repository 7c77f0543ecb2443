import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from bertslim.errors import BertslimError
from bertslim.store.staging import (
    RESUME,
    explained_os_errors,
    filled_stage,
    forget_runs,
    locked_stage,
    remove_stale_stages,
    stage_path,
)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def make(final: Path, key: str = "k" * 32) -> Path:
    stage = stage_path(final, key)
    with locked_stage(stage), filled_stage(stage, final):
        (stage / "weights").write_text(key)
    return final


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    final = tmp_path / "out"
    stage = stage_path(final, "k" * 32)
    with locked_stage(stage), filled_stage(stage, final):
        (stage / "weights").write_text("1")
        assert not final.exists()
    assert names(tmp_path) == ["out"]
    assert names(final) == ["weights"]


def fail(final: Path, error: BaseException, *files: str) -> None:
    """Write the files into the stage of `final`, then break off."""
    stage = stage_path(final, "k" * 32)
    with locked_stage(stage), filled_stage(stage, final):
        for name in files:
            (stage / name).parent.mkdir(exist_ok=True)
            (stage / name).write_text("half")
        raise error


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="broken"):
        fail(tmp_path / "out", RuntimeError("broken"), "weights")
    assert names(tmp_path) == []


def test_a_failure_keeps_only_what_can_be_resumed(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "out", KeyboardInterrupt(), "config.json", f"{RESUME}/state")
    stage = stage_path(tmp_path / "out", "k" * 32)
    assert names(stage) == [RESUME]
    make(tmp_path / "out")
    assert names(tmp_path / "out") == ["weights"]
    assert names(tmp_path) == ["out"]


def test_a_new_directory_replaces_the_old_one(tmp_path: Path) -> None:
    make(tmp_path / "out", "a" * 32)
    make(tmp_path / "out", "b" * 32)
    assert (tmp_path / "out" / "weights").read_text() == "b" * 32
    assert names(tmp_path) == ["out"]


def test_a_failure_keeps_the_old_directory(tmp_path: Path) -> None:
    make(tmp_path / "out", "a" * 32)
    with pytest.raises(RuntimeError):
        fail(tmp_path / "out", RuntimeError())
    assert (tmp_path / "out" / "weights").read_text() == "a" * 32


def test_the_second_of_two_equal_requests_waits(tmp_path: Path) -> None:
    stage = stage_path(tmp_path / "out", "k" * 32)
    order = []

    def second() -> None:
        with locked_stage(stage):
            order.append("second")

    with locked_stage(stage):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.2)
        assert thread.is_alive()
        order.append("first")
        with filled_stage(stage, tmp_path / "out"):
            pass
    thread.join(timeout=5)
    assert order == ["first", "second"]


def test_who_cannot_wait_is_told(tmp_path: Path) -> None:
    stage = stage_path(tmp_path / "out", "k" * 32)
    with locked_stage(stage), pytest.raises(BertslimError, match="another process is making"):
        locked_stage(stage, wait=False).__enter__()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    stage = stage_path(tmp_path / "out", "k" * 32)
    code = (
        "import os, sys; from pathlib import Path; from bertslim.store.staging import *\n"
        f"with locked_stage(Path({str(stage)!r})): os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert stage.exists()
    make(tmp_path / "out")
    assert names(tmp_path) == ["out"]


def test_stale_stages_go_but_not_those_in_use_or_resumable(tmp_path: Path) -> None:
    final = tmp_path / "out"
    stale, used, resumable = (stage_path(final, letter * 32) for letter in "abc")
    stale.mkdir()
    (resumable / RESUME).mkdir(parents=True)
    with locked_stage(used):
        assert remove_stale_stages(final, keep=used) == [resumable]
        assert names(tmp_path) == sorted([used.name, resumable.name])
        forget_runs(final)
        assert names(tmp_path) == [used.name]


def test_stages_of_names_that_only_begin_alike_stay(tmp_path: Path) -> None:
    other = stage_path(tmp_path / "out.v2", "a" * 32)
    (other / RESUME).mkdir(parents=True)
    assert remove_stale_stages(tmp_path / "out", keep=tmp_path) == []
    forget_runs(tmp_path / "out")
    assert names(tmp_path) == [other.name]


def test_a_disk_that_fails_at_the_end_loses_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def train() -> None:
        with locked_stage(stage), filled_stage(stage, tmp_path / "out"):
            (stage / RESUME).mkdir()
            (stage / "weights").write_text("1")

    stage = stage_path(tmp_path / "out", "k" * 32)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input"):
        train()
    assert names(tmp_path) == [stage.name]
    assert names(stage) == [RESUME]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "no space left"),
        (errno.EROFS, "no permission"),
        (errno.ENOTDIR, "in the way"),
    ],
)
def test_what_the_disk_refuses_is_explained(tmp_path: Path, code: int, message: str) -> None:
    with pytest.raises(BertslimError, match=message), explained_os_errors(tmp_path / "out"):
        raise OSError(code, os.strerror(code))


def test_the_file_that_is_in_the_way_is_named(tmp_path: Path) -> None:
    file = tmp_path / "task.toml"
    file.write_text("")
    final = file / "deep" / "out"
    named = pytest.raises(BertslimError, match=r"task\.toml is in the way$")
    with named, explained_os_errors(final):
        stage_path(final, "k" * 32).mkdir(parents=True)
