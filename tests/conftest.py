"""Fixtures of the whole suite."""

from pathlib import Path

import pytest

from bertslim.errors import UnavailableError
from bertslim.runtime.tensorrt.driver import find_device
from tests.tiny import save_tiny_bert, write_sentence_task


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, and say why, what needs an NVIDIA GPU, or what needs that there is none."""
    needs, forbids = (item.get_closest_marker(name) for name in ("gpu", "no_gpu"))
    if not needs and not forbids:
        return
    try:
        device = find_device().name
    except UnavailableError as error:
        if needs:
            pytest.skip(str(error))
    else:
        if forbids:
            pytest.skip(f"there is a GPU: {device}")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete checkpoint directory: 2 layers, 4 heads, 32 wide, its own word list."""
    return save_tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def sentence_task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file with 96 training and 48 validation sentences."""
    return write_sentence_task(tmp_path_factory.mktemp("sentences"))
