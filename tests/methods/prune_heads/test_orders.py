"""Orders are walked as far as somebody asks, and layers keep their minimum."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from bertslim.methods.prune_heads.orders import (
    Walk,
    iterative_order,
    once_order,
    random_order,
    tenths,
)
from bertslim.methods.prune_heads.ranking import (
    Head,
    by_layer,
    heads_of,
    least_important,
    normalised,
    without,
)

ALL = [torch.ones(n, dtype=torch.bool) for n in (5, 12, 3)]


class Scorer:
    """Scores heads by chance, another one every time, and counts how often."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, kept: Sequence[Tensor]) -> list[Tensor]:
        self.asked.append(sum(map(len, kept)) - len(heads_of(kept, kept=True)))
        generator = torch.Generator().manual_seed(len(self.asked))
        return [torch.rand(len(mask), generator=generator) for mask in kept]


def test_a_walk_is_worked_out_as_far_as_it_is_asked_for() -> None:
    pulled = []

    def heads() -> Iterator[Head]:
        for number in range(4):
            pulled.append(number)
            yield 0, number

    walk = Walk(heads())
    assert walk.first(2) == [(0, 0), (0, 1)]
    assert pulled == [0, 1]
    assert walk.first(1) == [(0, 0)]
    assert walk.first(9) == [(0, n) for n in range(4)]
    assert walk.first(0) == []


@pytest.mark.parametrize("heads", [1, 8, 20, 72, 144])
def test_tenths(heads: int) -> None:
    found = tenths(heads)
    assert (found[0], found[-1]) == (0, heads)
    assert found == sorted(set(found))
    assert len(found) == min(11, heads + 1)


def test_heads_are_ranked_again_at_every_tenth_and_not_before_they_are_needed() -> None:
    scorer = Scorer()
    walk = Walk(iterative_order(scorer, ALL, 0))
    walk.first(4)
    assert scorer.asked == [0, 2]
    assert sorted(walk.first(20)) == heads_of(ALL, kept=True)
    assert scorer.asked == list(range(0, 20, 2))


def test_heads_are_ranked_once() -> None:
    scorer = Scorer()
    assert sorted(Walk(once_order(scorer, ALL, 0)).first(20)) == heads_of(ALL, kept=True)
    assert scorer.asked == [0]


@pytest.mark.parametrize("least", [1, 2, 4])
def test_every_layer_keeps_its_minimum_in_every_order(least: int) -> None:
    orders = (
        iterative_order(Scorer(), ALL, least),
        once_order(Scorer(), ALL, least),
        random_order(ALL, least, 0),
    )
    for order in orders:
        left = without(ALL, list(order))
        assert [int(mask.sum()) for mask in left] == [min(least, len(mask)) for mask in ALL]


def test_chance_is_the_seeds() -> None:
    first, again, other = (list(random_order(ALL, 0, seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert sorted(first) == sorted(other) == heads_of(ALL, kept=True)


def test_scores_are_normalised_over_the_heads_that_are_there() -> None:
    scores = [torch.tensor([3.0, 4.0, 9.0]), torch.tensor([0.0, 0.0]), torch.tensor([])]
    kept = [torch.tensor([True, True, False]), torch.tensor([True, True]), torch.tensor([]).bool()]
    first, second, third = normalised(scores, kept)
    assert first.tolist() == pytest.approx([0.6, 0.8, 0.0])
    assert second.tolist() == [0.0, 0.0]
    assert third.tolist() == []


def test_equal_scores_go_by_layer_and_number() -> None:
    scores = [torch.zeros(len(mask)) for mask in ALL]
    assert list(least_important(scores, ALL, 6, 1)) == [*((0, n) for n in range(4)), (1, 0), (1, 1)]


def test_heads_by_layer() -> None:
    assert by_layer([(2, 1), (0, 3), (2, 0)]) == {0: [3], 2: [0, 1]}
