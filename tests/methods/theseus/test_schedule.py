import numpy as np
import pytest

from bertslim.methods.theseus.schedule import Schedule


def test_the_rate_of_each_curriculum() -> None:
    lines = {
        name: [Schedule(name, 0.2, 4, 6).at(step) for step in range(8)]
        for name in ("linear", "constant", "anti")
    }
    assert lines["linear"] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1])
    # the reference implementation jumps to 1 in its first step
    assert lines["constant"] == pytest.approx([0.2] * 6 + [1, 1])
    assert lines["anti"] == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0.2, 1, 1])


def test_draws_follow_from_seed_and_step_alone() -> None:
    schedule = Schedule("constant", 0.5, 1, 10**6)
    first = [schedule.drawn(step, 8, seed=3) for step in range(20)]
    again = [schedule.drawn(step, 8, seed=3) for step in reversed(range(20))][::-1]
    assert np.array_equal(first, again)
    assert not np.array_equal(first, [schedule.drawn(step, 8, seed=4) for step in range(20)])
    assert len({tuple(drawn) for drawn in first}) > 15


def test_modules_are_drawn_as_often_as_the_rate_says() -> None:
    schedule = Schedule("constant", 0.3, 1, 10**6)
    drawn = np.array([schedule.drawn(step, 4, seed=0) for step in range(4000)])
    assert drawn.mean(axis=0) == pytest.approx([0.3] * 4, abs=0.03)
    assert np.corrcoef(drawn.T)[np.triu_indices(4, 1)] == pytest.approx([0] * 6, abs=0.05)
    assert all(schedule.drawn(10**6, 4, seed=0))
