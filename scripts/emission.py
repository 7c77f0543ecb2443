"""How long the ONNX graph of a model of BERT-base's shape takes: written, and traced.

Timed is the way from a PyTorch model to an ONNX model in memory.

python scripts/emission.py [--layers 12] [--hidden 768] [--written-only]
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from rich.console import Console
from rich.table import Table

from bertslim.graph.emit import emit
from bertslim.model.configuration import SlimBertConfig
from bertslim.model.modeling import SlimBertForSequenceClassification, SlimBertPreTrainedModel

Way = Callable[[SlimBertPreTrainedModel], onnx.ModelProto]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--written-only", action="store_true", help="leave the exporter out")
    options = parser.parse_args()
    model = bert(options.layers, options.hidden)
    ways: dict[str, Way] = {"written by bertslim": emit}
    if not options.written_only:
        ways["traced by torch.onnx.export (dynamo)"] = traced
    table = Table("graph", "seconds", "nodes", "MB", "max diff", box=None)
    for name, make in ways.items():
        table.add_row(name, *measured(model, make))
    Console().print(table)


def bert(layers: int, hidden: int) -> SlimBertPreTrainedModel:
    torch.manual_seed(0)
    config = SlimBertConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        intermediate_size=4 * hidden,
        pooler_activation="tanh",
    )
    model = SlimBertForSequenceClassification(config)
    model.train(mode=False)
    return model


def traced(model: SlimBertPreTrainedModel) -> onnx.ModelProto:
    free = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    program = torch.onnx.export(
        model,
        kwargs=example(),
        dynamo=True,
        opset_version=20,
        dynamic_shapes=dict.fromkeys(example(), free),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    return program.model_proto


def example() -> dict[str, torch.Tensor]:
    """Two sequences of 16 tokens, the second half padding."""
    ids = torch.randint(5, 1000, (2, 16), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def measured(model: SlimBertPreTrainedModel, make: Way) -> tuple[str, ...]:
    begin = time.perf_counter()
    graph = make(model)
    seconds = time.perf_counter() - begin
    data = graph.SerializeToString()
    with torch.inference_mode():
        expected = model(**example()).logits.numpy()
    feeds = {name: tensor.numpy() for name, tensor in example().items()}
    logits = onnxruntime.InferenceSession(data).run(None, feeds)[0]
    return (
        f"{seconds:.2f}",
        str(len(graph.graph.node)),
        f"{len(data) / 1e6:.0f}",
        f"{np.abs(logits - expected).max():.0e}",
    )


if __name__ == "__main__":
    main()
