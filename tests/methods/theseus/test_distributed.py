import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.methods.theseus import worker
from tests.methods.theseus.worlds import predecessor
from tests.tiny import write_sentence_task
from tests.train.torchrun import run_by_two
from tests.train.training import assert_close, weights


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    """The same modules are drawn in both, and what is opened late learns alike."""
    predecessor(tmp_path / "model")
    write_sentence_task(tmp_path, train=24, validation=8)
    run_by_two("tests.methods.theseus.worker", tmp_path)
    model, report = worker.train(tmp_path)
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["processes"] == 2
    for found, expected in zip(told["losses"], report.training.losses, strict=True):
        assert found == pytest.approx(dict(expected), abs=1e-5)
    assert_close(load_file(tmp_path / "weights.safetensors"), weights(model), atol=1e-4)
