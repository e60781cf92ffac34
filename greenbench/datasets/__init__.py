"""Data sets: arrays in memory with a train, validation and test split."""

from greenbench.datasets.base import Dataset, LoadContext, Split, make_dataset

__all__ = ["Dataset", "LoadContext", "Split", "make_dataset"]
