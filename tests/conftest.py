"""Fixtures of the whole suite."""

from pathlib import Path

import pytest

from tests.tiny import save_tiny_bert, write_sentence_task


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete checkpoint directory: 2 layers, 4 heads, 32 wide, its own word list."""
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def sentence_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file with 96 training and 48 validation sentences."""
    return write_sentence_task(tmp_path_factory.mktemp("sentences"))
