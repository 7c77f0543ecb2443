import os
import re

import pytest

from bertslim.errors import SettingsError
from bertslim.runtime.affinity import cpu_list, keep_to, usable_cpus


@pytest.mark.parametrize(
    ("text", "cpus"), [("0", (0,)), ("0-3,8", (0, 1, 2, 3, 8)), (" 5 , 2-2,5", (2, 5))]
)
def test_lists_are_those_of_taskset(text: str, cpus: tuple[int, ...]) -> None:
    assert cpu_list(text) == cpus


@pytest.mark.parametrize("text", ["", "a", "1-", "-1", "3-1", "1,,2", "1;2"])
def test_other_lists_are_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"--cpus {text} is no list")):
        cpu_list(text)


def test_the_process_is_kept_to_what_it_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[object] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {4, 5, 7}, raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", lambda *given: kept.append(given), raising=False)
    assert usable_cpus() == (4, 5, 7)
    keep_to((5, 7))
    assert kept == [(0, (5, 7))]
    with pytest.raises(SettingsError, match="--cpus 6,8") as caught:
        keep_to((5, 6, 8))
    assert caught.value.hint == "these are 4,5,7"
