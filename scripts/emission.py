"""How long it takes to get the ONNX graph of a model of BERT-base's shape: written, and traced.

python scripts/emission.py [--layers 12] [--hidden 768] [--written-only]
"""

import argparse
import io
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--hidden", type=int, default=768)
    parser.add_argument("--written-only", action="store_true", help="leave the exporter out")
    options = parser.parse_args()
    model = bert(options.layers, options.hidden)
    ways: dict[str, Callable[[], bytes]] = {"written by bertslim": lambda: written(model)}
    if not options.written_only:
        ways["traced by torch.onnx.export (dynamo)"] = lambda: traced(model)
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


def written(model: SlimBertPreTrainedModel) -> bytes:
    data: bytes = emit(model).SerializeToString()
    return data


def traced(model: SlimBertPreTrainedModel) -> bytes:
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    shape = {0: batch, 1: length}
    program = torch.onnx.export(
        model,
        kwargs=example(),
        dynamo=True,
        opset_version=20,
        dynamic_shapes={**dict.fromkeys(example(), shape)},
        verbose=False,
    )
    assert program is not None
    file = io.BytesIO()
    onnx.save_model(program.model_proto, file)
    return file.getvalue()


def example() -> dict[str, torch.Tensor]:
    """Two sequences of 16 tokens, the second half padding."""
    ids = torch.randint(5, 1000, (2, 16), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    mask[1, 8:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids)}


def measured(model: SlimBertPreTrainedModel, make: Callable[[], bytes]) -> tuple[str, ...]:
    begin = time.perf_counter()
    data = make()
    seconds = time.perf_counter() - begin
    graph = onnx.load_from_string(data)
    feeds = {name: tensor.numpy() for name, tensor in example().items()}
    with torch.inference_mode():
        expected = model(**example()).logits.numpy()
    logits = onnxruntime.InferenceSession(data).run(["logits"], feeds)[0]
    return (
        f"{seconds:.2f}",
        str(len(graph.graph.node)),
        f"{len(data) / 1e6:.0f}",
        f"{np.abs(logits - expected).max():.1e}",
    )


if __name__ == "__main__":
    main()
