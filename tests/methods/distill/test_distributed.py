import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.methods.distill import worker
from tests.train.torchrun import run_by_two
from tests.train.training import assert_close, weights


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Also where they record their teacher together, the objective has weights, or parts open."""
    run_by_two("tests.methods.distill.worker", tmp_path)
    assert len(list((tmp_path / "answers").rglob("*.arrow"))) > 2
    for objective in worker.OBJECTIVES:
        model, report = worker.train(objective, tmp_path / "alone")
        told = json.loads((tmp_path / f"{objective}.json").read_text())
        assert told["processes"] == 2
        for found, expected in zip(told["losses"], report.losses, strict=True):
            assert found == pytest.approx(dict(expected), abs=1e-5)
        learnt = load_file(tmp_path / f"{objective}.safetensors")
        assert_close(learnt, weights(model), atol=1e-4)
