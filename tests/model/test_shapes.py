from pathlib import Path

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

from bertslim.model.configuration import LayerWidths, with_widths
from bertslim.model.families import FAMILIES
from bertslim.model.families.family import SEQUENCES
from bertslim.model.loading import load_model
from bertslim.model.shapes import flops, parameter_counts
from bertslim.model.stock import read_settings, stock_config
from tests.model.zoo import ALL, HEADS, run, save_stock, uneven


def bert_base() -> dict[str, object]:
    return {**BertConfig().to_dict(), "architectures": ["BertForSequenceClassification"]}


def test_bert_base_by_hand() -> None:
    raw, family = bert_base(), FAMILIES["bert"]
    config = read_settings(raw, stock_config(raw, family), family, SEQUENCES)
    counts = parameter_counts(config)
    # per layer 4 x (768 x 768 + 768), 2 x 768 x 3072 + 3072 + 768, and two norms
    assert counts.layers == (7_087_872,) * 12
    assert counts.encoder == 85_054_464
    assert counts.embedding == (30_522 + 512 + 2) * 768 + 2 * 768
    assert counts.head == 768 * 768 + 768 + 2 * 768 + 2
    assert counts.total == 109_483_778
    # per layer and token 4 x 768^2 + 2 x 768 x 3072, and 2 x 128 x 768 for the scores; the last
    # layer makes keys and values of all tokens, but goes on with the first alone
    per_token = 4 * 768 * 768 + 2 * 768 * 3072 + 2 * 128 * 768
    keys = 2 * 768 * 768
    last = 128 * keys + per_token - keys
    assert flops(config, 128) == 2 * (11 * 128 * per_token + last + 768 * 768 + 768 * 2)
    config.architectures = ["SlimBertForTokenClassification"]
    assert flops(config, 128) == 2 * (12 * 128 * per_token + 768 * 768 + 128 * 768 * 2)


@pytest.mark.parametrize(("family", "kind"), ALL)
def test_counts_are_those_of_the_weights(family: str, kind: str | None, tmp_path: Path) -> None:
    model = load_model(save_stock(tmp_path, family, kind))
    counts = parameter_counts(model)
    assert counts == parameter_counts(model.config)
    assert counts.total == sum(p.numel() for p in model.parameters())
    assert counts.encoder == sum(p.numel() for p in model.encoder.layers.parameters())
    assert counts.embedding == sum(p.numel() for p in model.encoder.embeddings.parameters())


def test_what_is_cut_is_not_counted(tmp_path: Path) -> None:
    model = uneven(tmp_path)
    assert parameter_counts(model).total == sum(p.numel() for p in model.parameters())
    # layer 0: 2 heads of 8, layer 1: none, and of one token; FFN 48; pooler and 3 classes
    layers = [10 * (4 * 32 * 16 + 2 * 32 * 48) + 2 * 10 * 10 * 16, 2 * 32 * 48]
    assert flops(model.config, 10) == 2 * (sum(layers) + 32 * 32 + 32 * 3)
    assert flops(with_widths(model.config, []), 10) == 2 * (32 * 32 + 32 * 3)


@pytest.mark.parametrize("kind", HEADS)
def test_products_are_those_that_torch_counts(kind: str | None, tmp_path: Path) -> None:
    stock = load_model(save_stock(tmp_path, "Electra", kind))
    widths = [LayerWidths(4, 2, 8, 40, 4), LayerWidths(3, 3, 8, 48, None)]
    model = type(stock)(with_widths(stock.config, widths))
    # of the ways to compute attention, the one that is made of products
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        run(model.eval(), input_ids=torch.ones(1, 10, dtype=torch.long))
    assert counter.get_total_flops() == flops(model.config, 10)
