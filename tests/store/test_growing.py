"""A growing list is whole whenever its writer ends."""

from pathlib import Path

import pytest

from bertslim.store.growing import GrowingList


def grown(path: Path, *entries: object) -> list[object]:
    """What is there after a process has added entries."""
    made = GrowingList(path)
    for entry in entries:
        made.append(entry)
    assert len(made) == len(list(made))
    made.close()
    return list(made)


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    assert grown(path) == []
    assert grown(path, [["é"], {"a": 1}], 0.1) == [[["é"], {"a": 1}], 0.1]
    assert grown(path, None) == [[["é"], {"a": 1}], 0.1, None]


@pytest.mark.parametrize("rest", [b"[3", b"3", b"\x00\x00\x00", b"\x00\n[4]\n", b"\n"])
def test_what_was_not_finished_is_dropped(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    grown(path, [1], [2])
    path.write_bytes(path.read_bytes() + rest)
    assert grown(path, [3]) == [[1], [2], [3]]
