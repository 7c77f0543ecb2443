"""Predecessors of every family, and such as were made smaller already."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bertslim.methods.theseus.theseus import theseus
from bertslim.model.configuration import layer_widths, with_widths
from bertslim.model.loading import load_model, save_model
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.rebuilding import rebuilt
from bertslim.model.sharing import merge_kv_heads
from bertslim.model.surgery import remove_ffn_units, remove_heads
from bertslim.store.checkpoint import open_checkpoint
from bertslim.train.task import load_task
from tests.methods.theseus.worlds import examples, predecessor, wishes
from tests.model.zoo import FAMILIES, batch, run, same, save_stock
from tests.tiny import tiny_tokenizer
from tests.train.training import settings, weights

TRAIN = settings(epochs=2, learning_rate=1e-3)


def replaced(
    model: SlimBertPreTrainedModel, task: Path, successor: str, sharing: str = "fitted"
) -> SlimBertPreTrainedModel:
    rows = examples(load_task(task), model, 16)
    asked = wishes(successor, sharing=sharing, distill=0.5, unfreeze=True)
    return theseus(model, asked, rows, rows, TRAIN)[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("successor", ["layers=1/2,ffn=16", "layers=1/2,window=4,kv-heads=1"])
def test_every_family(family: str, successor: str, sentence_task: Path, tmp_path: Path) -> None:
    labels = {"id2label": {0: "0", 1: "1"}, "label2id": {"0": 0, "1": 1}}
    model = load_model(save_stock(tmp_path / "m", family, "text-classification", **labels))
    found = replaced(model, sentence_task, successor)
    tiny_tokenizer().save_pretrained(tmp_path / "m")
    (tmp_path / "out").mkdir()
    save_model(found, tmp_path / "out", tokenizer_from=tmp_path / "m")
    opened = open_checkpoint(tmp_path / "out")
    stock = "window" not in successor
    assert (opened.config["model_type"] != "slim_bert") == stock
    inputs = batch(family)
    again = load_model(opened)
    assert len(again.encoder.layers) == 1
    assert same(run(again, **inputs).logits, run(found, **inputs).logits)


def slim(folder: Path) -> SlimBertPreTrainedModel:
    """Shared keys; a layer lost half of its heads and one all of them; one is narrow; windows."""
    model = merge_kv_heads(predecessor(folder), 2)
    model = remove_heads(model, {0: (1, 3), 1: range(4)})
    model = remove_ffn_units(model, {3: range(32)})
    widths = [replace(layer, window=8) for layer in layer_widths(model.config)]
    return rebuilt(model, with_widths(model.config, widths), model.state_dict())


@pytest.mark.parametrize("sharing", ["index", "similar", "fitted"])
def test_what_is_slim_becomes_slimmer(sharing: str, sentence_task: Path, tmp_path: Path) -> None:
    model = slim(tmp_path / "m")
    before = weights(model)
    found = replaced(model, sentence_task, "layers=1+1+2,kv-heads=1,window=4,ffn=16", sharing)
    widths = [(w.heads, w.kv_heads, w.window) for w in layer_widths(found.config)]
    assert widths == [(2, 1, 4), (0, 0, 4), (4, 1, 4)]
    assert {w.intermediate_size for w in layer_widths(found.config)} == {16}
    ids = torch.randint(5, 30, (3, 12), generator=torch.Generator().manual_seed(0))
    assert run(found, input_ids=ids).logits.isfinite().all()
    assert all(tensor.equal(before[name]) for name, tensor in weights(model).items())
