"""The directory of a table: what `augment` prints, and other commands take for the file in it."""

from pathlib import Path

from bertslim.errors import SettingsError

TABLE = "rows"
"""Name of the table without its extension."""


def table_in(path: Path | None) -> Path | None:
    """Return a file as it is, and for a directory the table in it.

    Raises:
        SettingsError: If the directory holds none.
    """
    if path is None or not path.is_dir():
        return path
    found = sorted(path.glob(f"{TABLE}.*"))
    if not found:
        raise SettingsError(
            f"{path} is a directory without a table {TABLE}.jsonl, {TABLE}.csv or {TABLE}.parquet",
            "give a file, or a directory that bertslim augment made",
        )
    return found[0]
