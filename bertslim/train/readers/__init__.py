"""Readers: one file per format, all to the same canonical columns."""

from bertslim.train.readers.pools import read_unlabelled
from bertslim.train.readers.reading import label_names, read_split, read_task

__all__ = ["label_names", "read_split", "read_task", "read_unlabelled"]
