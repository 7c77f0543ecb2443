"""Readers: one file per format, all to the same canonical columns."""

from bertslim.train.readers.pools import read_unlabelled
from bertslim.train.readers.reading import (
    LABEL_ROLES,
    declared_labels,
    label_names,
    read_split,
    sorted_labels,
)

__all__ = [
    "LABEL_ROLES",
    "declared_labels",
    "label_names",
    "read_split",
    "read_unlabelled",
    "sorted_labels",
]
