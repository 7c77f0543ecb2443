"""Words and their tags in a text file."""

from pathlib import Path

from bertslim.train.readers.cells import cells
from bertslim.train.readers.faults import FaultLog


def read_tags(path: Path) -> dict[str, str]:
    """Read words and their tags, a pair a line; of several tags of a word the first counts.

    Raises:
        DataError: With file and line of what is wrong.
    """
    faults = FaultLog()
    tags: dict[str, str] = {}
    for number, line in cells(path, faults):
        if len(line) == 2:
            tags.setdefault(line[0].lower(), line[1])
        else:
            faults.add(path, number, f"{len(line)} columns where a word and its tag are wanted")
    if not tags and not faults.count:
        faults.add(path, None, "holds no words")
    faults.raise_if_any(f"{path} is not a file of words and their tags")
    return tags
