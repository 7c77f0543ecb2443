"""A directory appears whole or not at all: staged beside its target and renamed once."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from bertslim.errors import BertslimError

RESUME = "resume"
"""Subdirectory of a stage that holds what an interrupted run needs to go on."""


def stage_path(final: Path, key: str) -> Path:
    """Return where the directory grows until it is complete; the same request finds it again."""
    return final.with_name(f".{final.name}.{key[:12]}.partial")


@contextlib.contextmanager
def filled_stage(stage: Path, final: Path) -> Iterator[None]:
    """Let the caller fill the stage, then give it its final name in one rename.

    On failure everything is removed, except a `resume` folder, which the next run of the same
    request picks up. The caller holds the stage (`locked_stage`).

    Args:
        stage: The hidden directory, made by `locked_stage`.
        final: The directory to make; an older one there is replaced.
    """
    _clear(stage)
    try:
        yield
        _sync(stage)
        # not before: a disk that fails, or Ctrl-C, while gigabytes are synced must lose no training
        shutil.rmtree(stage / RESUME, ignore_errors=True)
        _replace(final, stage)
    except BaseException:
        _clear(stage)
        if not (stage / RESUME).exists():
            shutil.rmtree(stage, ignore_errors=True)
        raise


@contextlib.contextmanager
def locked_stage(stage: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the stage for this process alone; the kernel lets go of it however the process ends.

    Args:
        stage: The hidden directory; made if it is not there.
        wait: Wait for a process that holds it.

    Raises:
        BertslimError: If another process holds it and nobody waits.
    """
    while True:
        stage.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(stage, os.O_RDONLY)
        except FileNotFoundError:  # the holder has renamed it just now
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            os.close(descriptor)
            raise BertslimError(
                f"another process is making this directory now ({stage.name})",
                "wait for it, then run again",
            ) from error
        # While we waited, the holder may have renamed the stage to its final name.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), stage.stat()):
                break
        os.close(descriptor)
    try:
        yield
    finally:
        os.close(descriptor)


def remove_stale_stages(final: Path, *, keep: Path) -> list[Path]:
    """Remove what killed runs left beside `final`, but no stage in use and none that can resume.

    Returns:
        The stages of other requests that can resume.
    """
    others = [stage for stage in _stages(final) if stage != keep]
    resumable = [stage for stage in others if (stage / RESUME).exists()]
    for stage in others:
        if stage not in resumable:
            _remove_if_free(stage)
    return resumable


def forget_runs(final: Path) -> None:
    """Drop the interrupted runs of a directory, resume states and all; those in use go on."""
    for stage in _stages(final):
        _remove_if_free(stage)


@contextlib.contextmanager
def explained_os_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses into one explained line."""
    try:
        yield
    except OSError as error:
        place = error.filename or path
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT:
                message, hint = f"no space left to write {path}", "free some space and run again"
            case errno.EACCES | errno.EPERM | errno.EROFS:
                message, hint = f"no permission: {place}", "mend its mode, or use another -o"
            case errno.ENOTDIR | errno.EEXIST:
                message, hint = f"{_obstacle(place)} is in the way", "choose another place with -o"
            case _:
                message, hint = f"{place}: {error.strerror or error}", ""
        raise BertslimError(message, hint) from error


def _obstacle(place: str | Path) -> Path:
    """Return the file that stands where a directory should be: the place, or one above it."""
    above = (Path(place), *Path(place).parents)
    return next((path for path in above if path.is_file()), Path(place))


def _stages(final: Path) -> list[Path]:
    """Find the stages of this directory, and none of those whose names only begin like its own."""
    name = re.compile(rf"\.{re.escape(final.name)}\.([^.]{{12}}|[0-9]+\.old)\.partial")
    return sorted(path for path in final.parent.glob(".*.partial") if name.fullmatch(path.name))


def _remove_if_free(stage: Path) -> None:
    with contextlib.suppress(BertslimError), locked_stage(stage, wait=False):
        shutil.rmtree(stage)


def _clear(stage: Path) -> None:
    """Empty the stage of everything but the resume state."""
    for path in stage.iterdir():
        if path.name == RESUME:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(stage: Path) -> None:
    """Bring the bytes to the disk before the name appears: a name that exists is complete."""
    for path in (*(path for path in stage.rglob("*") if stage / RESUME not in path.parents), stage):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _replace(final: Path, stage: Path) -> None:
    """Move the stage to its final name; an old directory there goes only after the new one came."""
    if not final.exists():
        stage.rename(final)
        return
    old = final.with_name(f".{final.name}.{os.getpid()}.old.partial")
    final.rename(old)
    try:
        stage.rename(final)
    except BaseException:
        old.rename(final)
        raise
    shutil.rmtree(old, ignore_errors=True)
