"""Fixtures of the commands."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path, tiny: Path, sentence_task: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a model and a task."""
    shutil.copytree(tiny, tmp_path / "tiny")
    shutil.copytree(sentence_task.parent, tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path
