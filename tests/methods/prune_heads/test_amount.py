"""How many heads a request comes to, and which requests are refused."""

from pathlib import Path

import pytest

from bertslim.errors import SettingsError
from bertslim.methods.prune_heads.amount import heads_to_remove, most_removable, removable
from bertslim.model.modeling import SlimBertPreTrainedModel
from tests.model.zoo import uneven


@pytest.mark.parametrize(
    ("remove", "least", "goal"),
    [(0.25, 1, 2), (1, 1, 1), (6, 1, 6), (7, 0, 7), (0.9, 0, 7), (0.1, 1, 1), (0.5, 2, 4)],
)
def test_fractions_and_counts(
    model: SlimBertPreTrainedModel, remove: float, least: int, goal: int
) -> None:
    assert heads_to_remove(model.config, remove, least) == goal


@pytest.mark.parametrize(
    ("remove", "least", "said"),
    [
        (0.05, 1, "--remove 0.05 .0 heads. removes none of 8"),
        (9, 1, "--remove 9: the model has 8 heads"),
        (8, 0, "--remove 8 takes all 8 heads"),
        (1.0, 0, "--remove 1.0 .8 heads. takes all 8 heads"),
        (7, 1, "--remove 7: with --keep-at-least 1 only 6 of 8 heads can go"),
        (0.75, 2, "--remove 0.75 .6 heads.: with --keep-at-least 2 only 4 of 8"),
        (1, 4, "with --keep-at-least 4 none of the model's 8 heads can go"),
    ],
)
def test_what_cannot_be_is_refused(
    model: SlimBertPreTrainedModel, remove: float, least: int, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        heads_to_remove(model.config, remove, least)


def test_layers_that_lost_heads_count_with_what_they_have(tmp_path: Path) -> None:
    config = uneven(tmp_path).config
    assert [removable(config, least) for least in (0, 1, 2, 3)] == [2, 1, 0, 0]
    assert most_removable(config, 0) == 1
    with pytest.raises(SettingsError, match="none of the model's 2 heads"):
        most_removable(config, 2)
