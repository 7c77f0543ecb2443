"""What is asked of `augment`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bertslim.errors import SettingsError, fault_list, given_twice

MethodName = Literal["tinybert", "tang"]
WORD_RULES = ("mask", "pos", "masked-lm")
SENTENCE_RULES = ("ngram",)
RULES = (*WORD_RULES, *SENTENCE_RULES)
"""What can have a rate; `rules` says what each is."""

Turn = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Method:
    """What a paper does."""

    rates: Mapping[str, float]
    turns: tuple[Turn, ...]
    """Which texts of a pair change, from copy to copy in turn; the other is as it was written."""


METHODS: Mapping[MethodName, Method] = {
    # Jiao et al. 2020, Algorithm 1: p_t
    "tinybert": Method({"masked-lm": 0.4}, ((0,), (1,))),
    # Tang et al. 2019, section 3.2: p_mask, p_pos, p_ng
    "tang": Method({"mask": 0.1, "pos": 0.1, "ngram": 0.25}, ((0,), (1,), (0, 1))),
}


@dataclass(frozen=True, slots=True)
class Augment:
    """Settings of `augment`."""

    method: MethodName
    rates: Mapping[str, float]
    """Of a word to be changed by a rule, or of a sentence; rules that are left out are absent."""
    copies: int
    """How many are tried for each row: N_a, n_iter."""
    candidates: int
    """K."""
    mask_token: str

    def uses(self, rule: str) -> bool:
        """Whether a rule plays a part."""
        return rule in self.rates

    def turn(self, copy: int, texts: int) -> Turn:
        """Return the texts of a row that a copy changes."""
        turns = METHODS[self.method].turns
        return turns[copy % len(turns)] if texts > 1 else (0,)


def augment_settings(
    method: MethodName, rates: Sequence[str], copies: int, candidates: int, mask_token: str
) -> Augment:
    """Read the options as they were given.

    Args:
        method: Whose rates are changed.
        rates: Words NAME=P.
        copies: See `Augment`, as `candidates`.
        candidates: K.
        mask_token: What `mask` writes.

    Raises:
        SettingsError: With everything that is wrong.
    """
    faults = [fault for word in rates if (fault := _rate_fault(word))]
    faults += given_twice(f"--rate {word.partition('=')[0]}" for word in rates)
    if not mask_token.strip():
        faults.append("--mask-token is empty")
    if not faults:
        given = {name: float(value) for name, _, value in (word.partition("=") for word in rates)}
        rated = {**METHODS[method].rates, **given}
        rated = {rule: rated[rule] for rule in RULES if rated.get(rule)}
        faults = _sum_faults(rated)
    if faults:
        raise SettingsError(fault_list("these options cannot be", faults))
    return Augment(method, rated, copies, candidates, mask_token)


def _rate_fault(word: str) -> str:
    """What is wrong with NAME=P; nothing if it is ""."""
    name, _, value = word.partition("=")
    if name not in RULES:
        return f"--rate {word}: there is no {name} among {', '.join(RULES)}"
    try:
        fine = 0 <= float(value) <= 1
    except ValueError:
        fine = False
    return "" if fine else f"--rate {word}: its value must lie between 0 and 1"


def _sum_faults(rates: Mapping[str, float]) -> list[str]:
    """A word is changed by one rule at the most, so that their rates share 1."""
    if not rates:
        return ["--rate: all are 0, and nothing would change"]
    total = math.fsum(rates.get(rule, 0.0) for rule in WORD_RULES)
    names = " and ".join(rule for rule in WORD_RULES if rule in rates)
    return [f"--rate: those of {names} are {total:g} together, above 1"] if total > 1 else []
