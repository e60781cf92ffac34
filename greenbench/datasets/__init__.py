"""Data sets: samples of any shape with a train, validation and test split."""

from greenbench.datasets.arrays import make_arrays, make_streamed
from greenbench.datasets.augmentation import Augmentation
from greenbench.datasets.base import Dataset, LoadContext, make_dataset
from greenbench.datasets.split import Split
from greenbench.datasets.streaming import Streamed

__all__ = [
    "Augmentation",
    "Dataset",
    "LoadContext",
    "Split",
    "Streamed",
    "make_arrays",
    "make_dataset",
    "make_streamed",
]
