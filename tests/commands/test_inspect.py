import json
from pathlib import Path

import pytest

from bertslim.cli import main
from bertslim.store.deployment import Deployment, write_deployment
from tests.tiny import save_tiny_bert

Printed = pytest.CaptureFixture[str]


def test_the_picture_fits_a_narrow_terminal(
    tiny: Path, sentence_task: Path, tmp_path: Path, capfd: Printed
) -> None:
    words = ["prune-heads", str(tiny), "--task", str(sentence_task), "--remove", "0.25"]
    assert main([*words, "-o", str(tmp_path / "small")]) == 0
    capfd.readouterr()
    assert main(["inspect", str(tmp_path / "small")]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[1] == "slim_bert, bert inside; text-classification (LABEL_0, LABEL_1)"
    assert [line for line in lines[1:] if len(line) > 80 or line != line.rstrip()] == []
    assert any(line.startswith("made by      prune-heads remove=0.25") for line in lines)


def test_figures_are_those_of_the_configuration(tmp_path: Path, capfd: Printed) -> None:
    save_tiny_bert(tmp_path / "m", None)
    assert main(["inspect", str(tmp_path / "m"), "--length", "8", "--length", "16", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["kind"] is None
    assert [layer["heads"] for layer in found["layers"]] == [4, 4]
    # per layer: 4 projections, 2 FFN products, 2 norms
    layer = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 2 * 2 * 32
    assert found["parameters"]["layers"] == [layer, layer]
    assert set(found["flops"]) == {"8", "16"}
    assert found["flops"]["16"] > 2 * found["flops"]["8"]


def test_a_graph_is_shown_with_what_was_spared_and_how_far_it_is_off(
    tmp_path: Path, capfd: Printed
) -> None:
    model = save_tiny_bert(tmp_path / "m")
    (model / "model.onnx").write_bytes(b"x" * 100_000)
    spared = {"exceptions": {"a.output": "too far off"}, "islands": {"a.norm": "reaches 70,000"}}
    assert main(["inspect", str(model)]) == 0
    assert capfd.readouterr().out.splitlines()[-1] == "graph        plain ONNX, 0.1 MB"
    write_deployment(model, Deployment("tensorrt-rtx", "int8", (), 0.0123, spared))
    assert main(["inspect", str(model)]) == 0
    lines = capfd.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("graph"))
    assert lines[start:] == [
        "graph        int8 for tensorrt-rtx, 0.1 MB, 1.2e-02 from PyTorch at most",
        "fused",
        "left alone   a.output (too far off); a.norm (reaches 70,000)",
    ]
