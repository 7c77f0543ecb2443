"""Tables of costs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bertslim.methods.prune_heads.costs import flops_costs, head_costs, measured_costs
from bertslim.methods.prune_heads.parts import Part, cut, parts_of, widths_of
from bertslim.model.configuration import LayerWidths, with_widths
from bertslim.model.modeling import SlimBertPreTrainedModel
from bertslim.model.shapes import encoder_flops
from tests.methods.prune_heads.kinds import every_kind, world
from tests.methods.prune_heads.worlds import all_units

LENGTH = 24


@every_kind
def test_flops_are_those_of_what_is_cut(kind: str, tmp_path: Path) -> None:
    model, _ = world(tmp_path, kind)
    costs = flops_costs(model.config, LENGTH)
    assert costs.total == encoder_flops(model.config, LENGTH)
    kept = all_units(model.config)
    kept[Part(0, "heads")][1:3] = False
    kept[Part(1, "heads")][:] = False
    kept[Part(0, "ffn")][8:] = False
    kept[Part(1, "ffn")][:3] = False
    slim = cut(model, kept)
    assert costs.of(widths_of(kept)) == encoder_flops(slim.config, LENGTH)


def test_heads_that_share_keys_never_cost_more_than_counted(
    model: SlimBertPreTrainedModel,
) -> None:
    shared = LayerWidths(4, 2, 8, 64, None)
    grouped = type(model)(with_widths(model.config, [shared, shared])).eval()
    costs = flops_costs(grouped.config, LENGTH)
    for gone in ([0], [0, 1], [0, 2], [1, 2, 3]):
        kept = all_units(grouped.config)
        kept[Part(0, "heads")][gone] = False
        real = encoder_flops(cut(grouped, kept).config, LENGTH)
        assert real <= costs.of(widths_of(kept))


def test_the_last_layer_of_a_classifier_is_cheap(model: SlimBertPreTrainedModel) -> None:
    costs = flops_costs(model.config, LENGTH)
    first, last = (costs.tables[Part(layer, "ffn")][-1] for layer in range(2))
    assert first == LENGTH * last


def test_heads_are_counted_alike(model: SlimBertPreTrainedModel) -> None:
    costs = head_costs(model.config)
    assert costs.total == 8
    assert costs.of({Part(0, "heads"): 1, Part(0, "ffn"): 8}) == 5
    assert costs.share("heads", dict.fromkeys(parts_of(model.config), 1)) == 0.25
    assert costs.share("ffn", dict.fromkeys(parts_of(model.config), 1)) == 1


def test_between_measured_widths_lie_straight_lines(model: SlimBertPreTrainedModel) -> None:
    points = {p: ([0, 2, 4], [0.0, 3.0, 4.0]) for p in parts_of(model.config)}
    points |= {Part(n, "ffn"): ([0, 32, 64], [0.0, 5.0, 4.0]) for n in range(2)}
    costs = measured_costs(model.config, points)
    assert costs.unit == "ms"
    np.testing.assert_allclose(costs.tables[Part(0, "heads")], [0, 1.5, 3, 3.5, 4])
    # noise does not make a wider part cheaper
    assert costs.tables[Part(1, "ffn")][[32, 64]].tolist() == [4.5, 4.5]
    assert costs.total == pytest.approx(2 * (4 + 4.5))


def test_an_empty_part_is_free_and_what_is_there_at_all_is_not(
    model: SlimBertPreTrainedModel,
) -> None:
    points = {p: ([1, 4], [2.0, 3.0]) for p in parts_of(model.config)}
    points |= {Part(n, "ffn"): ([8, 64], [1.0, 3.0]) for n in range(2)}
    table = measured_costs(model.config, points).tables[Part(0, "heads")]
    assert table[0] == 0
    assert table[1] == 2


def test_cutting_nothing_changes_nothing(model: SlimBertPreTrainedModel) -> None:
    same = cut(model, all_units(model.config)).state_dict()
    assert all(torch.equal(tensor, same[name]) for name, tensor in model.state_dict().items())
