import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.train import worker
from tests.train.torchrun import run_by_two
from tests.train.training import assert_close, weights


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Losses and weights; also when stopped by a signal that one process gets, and resumed."""
    run_by_two("tests.train.worker", tmp_path)
    model, report = worker.train()
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["processes"] == 2
    assert told["metrics"] == pytest.approx(report.metrics, abs=1e-5)
    for found, expected in zip(told["losses"], report.losses, strict=True):
        assert found == pytest.approx(dict(expected), abs=1e-5)
    assert_close(load_file(tmp_path / "weights.safetensors"), weights(model), atol=1e-5)
    tasks, tasks_report = worker.train_tasks()
    losses = json.loads((tmp_path / "tasks.json").read_text())
    for found, expected in zip(losses, tasks_report.losses, strict=True):
        assert found == pytest.approx(dict(expected), abs=1e-5)
    assert_close(load_file(tmp_path / "tasks.safetensors"), weights(tasks), atol=1e-5)
