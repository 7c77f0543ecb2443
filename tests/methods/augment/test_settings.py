"""What may be asked of `augment`, and what the papers ask."""

import pytest

from bertslim.errors import SettingsError
from bertslim.methods.augment.rules import SENTENCE_RULES, WORD_RULES
from bertslim.methods.augment.settings import (
    SENTENCE_RULES as SENTENCE_NAMES,
)
from bertslim.methods.augment.settings import (
    WORD_RULES as WORD_NAMES,
)
from bertslim.methods.augment.settings import Augment, MethodName, augment_settings


def settings(method: MethodName, *rates: str, mask_token: str = "[MASK]") -> Augment:
    return augment_settings(method, rates, 20, 15, mask_token)


def test_every_rule_has_a_name_and_every_name_a_rule() -> None:
    assert tuple(WORD_RULES) == WORD_NAMES
    assert tuple(SENTENCE_RULES) == SENTENCE_NAMES


def test_the_papers_rates() -> None:
    assert settings("tinybert").rates == {"masked-lm": 0.4}
    assert settings("tang").rates == {"mask": 0.1, "pos": 0.1, "ngram": 0.25}


def test_rates_are_changed_added_and_left_out() -> None:
    changed = settings("tang", "mask=0", "masked-lm=0.3", "pos=0.2")
    assert changed.rates == {"pos": 0.2, "masked-lm": 0.3, "ngram": 0.25}
    assert changed.uses("pos")
    assert not changed.uses("mask")


@pytest.mark.parametrize(
    ("method", "turns"),
    [("tinybert", [(0,), (1,), (0,), (1,)]), ("tang", [(0,), (1,), (0, 1), (0,)])],
)
def test_texts_of_a_pair_change_in_turn(method: MethodName, turns: list[tuple[int, ...]]) -> None:
    chosen = settings(method)
    assert [chosen.turn(copy, 2) for copy in range(4)] == turns
    assert {chosen.turn(copy, 1) for copy in range(4)} == {(0,)}


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        (["masks=0.1"], "no masks among mask, pos, masked-lm, ngram"),
        (["mask"], "--rate mask: its value"),
        (["mask=2"], "between 0 and 1"),
        (["mask=-1"], "between 0 and 1"),
        (["mask=nan"], "between 0 and 1"),
        (["mask=0.1", "mask=0.2"], "--rate mask is given twice"),
        (["mask=0.6", "pos=0.5"], "those of mask and pos are 1.1 together"),
        (["mask=0", "pos=0", "ngram=0"], "all are 0"),
    ],
)
def test_wrong_rates_are_explained(rates: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings("tang", *rates)


def test_all_faults_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        settings("tang", "x=1", "mask=7", mask_token=" ")
    assert len(str(caught.value).splitlines()) == 4


def test_rates_may_fill_the_interval() -> None:
    assert settings("tang", "mask=0.7", "pos=0.1", "masked-lm=0.2").uses("masked-lm")
