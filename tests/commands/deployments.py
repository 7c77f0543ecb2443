"""What stands in a directory that `fuse` or `quantize` wrote."""

import json
from pathlib import Path

FILES = {
    "config.json",
    "configuration.py",
    "layers.py",
    "modeling.py",
    "deploy.json",
    "model.onnx",
    "model.safetensors",
    "provenance.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


def deployed(directory: Path) -> dict[str, object]:
    return json.loads((directory / "deploy.json").read_text())


def counts(directory: Path) -> dict[str, tuple[int, int]]:
    fusions = deployed(directory)["fusions"]
    return {c["kind"]: (c["happened"], c["expected"]) for c in fusions}
