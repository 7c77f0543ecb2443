"""Attention in blocks: what a mask over all scores computes, with fewer of them."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from bertslim.graph.emit import emit, write
from bertslim.graph.form import Form
from bertslim.model.configuration import LayerWidths
from bertslim.model.modeling import (
    SlimBertForSequenceClassification,
    SlimBertForTokenClassification,
    SlimBertPreTrainedModel,
)
from bertslim.model.running import run_model
from bertslim.model.windows import BLOCK, keys_of_block, longest_whole, scores_of
from tests.graph.test_emit import FULL, on_onnxruntime, on_openvino, padded_batch, random_model
from tests.graph.test_form import quantization

WIDTHS = [
    LayerWidths(4, 4, 8, 48, 4),
    LayerWidths(4, 1, 8, 48, 4),
    FULL,
    LayerWidths(4, 2, 8, 48, 64),
    LayerWidths(4, 4, 8, 48, 1),
]
BLOCKS = {"standard": Form(windows="blocks"), "onnxruntime": Form("onnxruntime", windows="blocks")}
RUNS = {"standard": (on_onnxruntime, on_openvino), "onnxruntime": (on_onnxruntime,)}
LENGTHS = {
    "one token": [1],
    "one block": [longest_whole(4)],
    "two blocks": [longest_whole(4) + 1, 5],
    "no room left": [3 * BLOCK, 2 * BLOCK + 1, 1],
    "a token more": [3 * BLOCK + 1],
    "all of them": [256],
}


def local_model(
    head: type[SlimBertPreTrainedModel] = SlimBertForTokenClassification,
) -> SlimBertPreTrainedModel:
    return random_model(head, WIDTHS, max_position_embeddings=260)


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("dialect", BLOCKS)
def test_blocks_compute_what_the_model_does(dialect: str, lengths: str) -> None:
    model = local_model()
    graph = emit(model, BLOCKS[dialect])
    onnx.checker.check_model(graph, full_check=True)
    batch = padded_batch(model, LENGTHS[lengths])
    expected = run_model(model, batch)["logits"]
    for run in RUNS[dialect]:
        found = run(graph.SerializeToString(), batch)["logits"]
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dialect", BLOCKS)
def test_a_classifiers_last_layer_has_no_blocks(dialect: str) -> None:
    model = local_model(SlimBertForSequenceClassification)
    graph = emit(model, BLOCKS[dialect])
    batch = padded_batch(model, [140, 7])
    expected = run_model(model, batch)["logits"]
    found = on_onnxruntime(graph.SerializeToString(), batch)["logits"]
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=0)
    folded = {node.name for node in graph.graph.node if node.name.endswith("query/folded")}
    assert folded == {f"bert.layers.{number}.attention.query/folded" for number in (0, 1, 3)}


def scores_in(graph: onnx.ModelProto, window: int, batch: Mapping[str, np.ndarray]) -> int:
    """How many scores of a head a window's blocks compute, by the shape of their mask."""
    name = f"attention_window_{window}/mask"
    graph.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (mask,) = session.run([name], dict(batch))
    return int(mask.size)


@pytest.mark.parametrize(("window", "length"), [(4, 135), (4, 189), (64, 255), (1, 250)])
def test_the_scores_that_are_counted_are_computed(window: int, length: int) -> None:
    model = local_model()
    computed = scores_in(emit(model, BLOCKS["standard"]), window, padded_batch(model, [length]))
    # and those of the first token
    assert computed + length == scores_of(window, length, length)


def test_the_work_grows_with_the_length() -> None:
    length = 40 * BLOCK
    assert scores_of(64, length, length) == length * (keys_of_block(64) + 1)
    assert scores_of(64, 2 * length, 2 * length) == 2 * scores_of(64, length, length)
    assert scores_of(None, length, length) == length**2
    assert scores_of(64, 1, length) == length
    short = longest_whole(64)
    assert scores_of(64, short, short) == short**2


def test_a_window_is_cut_only_where_sequences_get_long_enough() -> None:
    for positions, blocks in ((longest_whole(4), 0), (longest_whole(4) + 1, 2)):
        model = random_model(widths=WIDTHS[:2], max_position_embeddings=positions)
        graph = emit(model, BLOCKS["standard"]).graph
        assert sum(node.name.endswith("query/folded") for node in graph.node) == blocks


def test_blocks_of_an_fp16_graph_have_fp32_masks() -> None:
    model = local_model()
    graph = emit(model, replace(BLOCKS["standard"], floats="fp16"))
    batch = padded_batch(model, [150, 9])
    expected = run_model(model, batch)["logits"]
    found = on_onnxruntime(graph.SerializeToString(), batch)["logits"]
    np.testing.assert_allclose(found, expected, atol=0.02 * np.abs(expected).max())
    inferred = onnx.shape_inference.infer_shapes(graph, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info}
    softmax = {types[node.output[0]] for node in graph.graph.node if node.op_type == "Softmax"}
    assert softmax == {TensorProto.FLOAT}


@pytest.mark.parametrize("products", [False, True])
def test_int8_rounds_as_with_a_mask(products: bool) -> None:
    model = local_model()
    form = Form(quantization=quantization(model, products=products))
    batch = padded_batch(model, [150, 9])
    mask, blocks = (
        on_onnxruntime(emit(model, wanted).SerializeToString(), batch)["logits"]
        for wanted in (form, replace(form, windows="blocks"))
    )
    np.testing.assert_allclose(blocks, mask, atol=0.05 * np.abs(mask).max())


def test_both_attentions_of_a_layer_are_to_be_fused() -> None:
    places = [
        f.place for f in write(local_model(), BLOCKS["standard"]).fusions if f.kind == "attention"
    ]
    layers = [f"bert.layers.{number}.attention" for number in range(len(WIDTHS))]
    local = [f"{path}/first_token" for path, w in zip(layers, WIDTHS, strict=True) if w.window]
    assert sorted(places) == sorted(layers + local)


@pytest.mark.parametrize("form", [*BLOCKS.values(), Form(), Form("onnxruntime")])
@pytest.mark.parametrize(
    "head", [SlimBertForTokenClassification, SlimBertForSequenceClassification]
)
@pytest.mark.parametrize("windows", [(4, 4), (4, None), (None, None)])
def test_nothing_is_written_that_nobody_reads(
    form: Form, head: type[SlimBertPreTrainedModel], windows: tuple[int | None, ...]
) -> None:
    """A mask of all scores in vain would grow with the square of the length."""
    widths = [LayerWidths(4, 4, 8, 48, window) for window in windows]
    graph = emit(random_model(head, widths, max_position_embeddings=260), form).graph
    read = {name for node in graph.node for name in node.input}
    read |= {output.name for output in graph.output}
    assert [node.name for node in graph.node if not read & set(node.output)] == []
