"""Data sets of the Hugging Face hub, or in the local cache of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets

from bertslim.errors import DataError
from bertslim.train.readers.faults import FaultLog
from bertslim.train.readers.rows import COLUMNS_HINT, Rows, absent_columns
from bertslim.train.task import HubData
from bertslim.train.task_schema import Split


def read_hub(hub: HubData, split: Split, wanted: Sequence[str], faults: FaultLog) -> Rows:
    """Yield the rows of a split, with class numbers spelled out as their names.

    Raises:
        DataError: when the data set cannot be had.
    """
    data = _load(hub, hub.split(split))
    if absent := absent_columns(wanted, data.column_names):
        faults.add(Path(hub.name), None, absent, COLUMNS_HINT)
        return
    for number, record in enumerate(data.select_columns(list(wanted)), start=1):
        named = {name: _named(record[name], data.features[name]) for name in wanted}
        yield f"row {number}", named


def hub_classes(hub: HubData, column: str) -> tuple[str, ...]:
    """Return the classes of a column as the data set itself numbers them; () if it does not.

    Raises:
        DataError: when the data set cannot be had.
    """
    feature = _load(hub, hub.train or hub.validation).features.get(column)
    if isinstance(feature, datasets.List):
        feature = feature.feature
    return tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()


def _load(hub: HubData, split: str) -> datasets.Dataset:
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        return datasets.load_dataset(hub.name, hub.config, split=split)
    # A RuntimeError is what `datasets` has for data sets that are Python scripts.
    except (datasets.exceptions.DatasetsError, OSError, RuntimeError, ValueError) as error:
        raise DataError(
            f"hub data set {hub.name}, split {split!r}: {error}",
            "without a network, or where the data set is a script, name local files under [data]",
        ) from error


def _named(value: Any, feature: Any) -> Any:
    if isinstance(feature, datasets.List) and isinstance(feature.feature, datasets.ClassLabel):
        return value and [_name(item, feature.feature) for item in value]
    return _name(value, feature) if isinstance(feature, datasets.ClassLabel) else value


def _name(number: int | None, classes: datasets.ClassLabel) -> str | None:
    """Return a class's name; None where there is no class, as the -1 of rows without labels."""
    known = number is not None and 0 <= number < classes.num_classes
    return str(classes.int2str(number)) if known else None
