"""A journal outlives its process, whatever the process was doing when it died."""

from pathlib import Path

import pytest

from bertslim.errors import CheckpointError, QualityError, SettingsError
from bertslim.store.journal import JOURNAL, Journal, opened_journal, remembered


def test_entries_are_there_the_next_time(tmp_path: Path) -> None:
    first = Journal(tmp_path / "resume")
    first["a"], first["b"] = 0.1 + 0.2, [[1.5, 1e-300], []]
    second = Journal(tmp_path / "resume")
    assert dict(second) == {"a": 0.1 + 0.2, "b": [[1.5, 1e-300], []]}
    assert (len(second), second["a"]) == (2, 0.1 + 0.2)


def test_the_last_entry_of_a_name_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal["a"] = 1
    journal["a"] = 2
    assert Journal(tmp_path)["a"] == 2


@pytest.mark.parametrize("torn", [b'["b", 0.', b"[", b'["b", 1]'])
def test_a_torn_line_is_forgotten(tmp_path: Path, torn: bytes) -> None:
    Journal(tmp_path)["a"] = 1
    with (tmp_path / JOURNAL).open("ab") as file:
        file.write(torn)
    journal = Journal(tmp_path)
    assert dict(journal) == {"a": 1}
    journal["c"] = 3
    assert dict(Journal(tmp_path)) == {"a": 1, "c": 3}


def test_nothing_is_taken_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal["a"] = 1
    with pytest.raises(TypeError, match="stays"):
        del journal["a"]


def test_what_is_remembered_is_not_found_again() -> None:
    findings: dict[str, int] = {}
    assert remembered(findings, "a", lambda: 1) == 1
    assert remembered(findings, "a", lambda: 2) == 1
    assert findings == {"a": 1}


@pytest.mark.parametrize(
    ("failure", "left"),
    [
        (KeyboardInterrupt, True),
        (RuntimeError, True),
        (PermissionError, True),
        (CheckpointError, True),
        (SettingsError, False),
        (QualityError, False),
    ],
)
def test_only_what_asks_for_too_much_ends_it(
    tmp_path: Path, failure: type[BaseException], left: bool
) -> None:
    folder = tmp_path / "resume"

    def work() -> None:
        with opened_journal(folder) as journal:
            journal["a"] = 1
            raise failure("x")

    with pytest.raises(failure):
        work()
    assert folder.exists() == left


def test_so_does_the_end_of_the_work(tmp_path: Path) -> None:
    with opened_journal(tmp_path / "resume") as journal:
        journal["a"] = 1
    assert not (tmp_path / "resume").exists()
