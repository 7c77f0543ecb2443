"""What is told when several things fail."""

from collections.abc import Callable

import pytest

from bertslim.errors import BertslimError, DataError, SettingsError, gathered


def failing(error: BertslimError) -> Callable[[], int]:
    def attempt() -> int:
        raise error

    return attempt


def test_what_all_attempts_give() -> None:
    assert gathered("no", [lambda: 1, lambda: 2]) == [1, 2]


def test_one_failure_is_told_as_it_is() -> None:
    error = DataError("rows are missing", "add some")
    with pytest.raises(DataError) as found:
        gathered("no", [lambda: 1, failing(error)])
    assert found.value is error


def test_several_failures_are_told_together() -> None:
    attempts = [failing(SettingsError("a:\n  - b\n  - c", "mend it")), failing(DataError("d"))]
    with pytest.raises(SettingsError) as found:
        gathered("no", attempts)
    assert str(found.value) == "no:\n  - a:\n    - b\n    - c\n  - d"
    assert found.value.hint == "mend it"
