import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.methods.distill import worker
from tests.train.training import assert_close, weights

ROOT = Path(__file__).parents[3]


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """Also where they record their teacher together, the objective has weights, or parts open."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*torchrun, "-m", "tests.methods.distill.worker", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "answers").rglob("*.arrow"))) > 2
    for objective in worker.OBJECTIVES:
        model, report = worker.train(objective, tmp_path / "alone")
        told = json.loads((tmp_path / f"{objective}.json").read_text())
        assert told["processes"] == 2
        for found, expected in zip(told["losses"], report.losses, strict=True):
            assert found == pytest.approx(dict(expected), abs=1e-5)
        learnt = load_file(tmp_path / f"{objective}.safetensors")
        assert_close(learnt, weights(model), atol=1e-4)
