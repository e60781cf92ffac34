"""What every data set must do, as tests to subclass."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from greenbench import registry
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.augmentation import IMAGE_AXES
from greenbench.datasets.digests import digest_splits
from greenbench.datasets.loaders import IMAGES, NUMBERS, SEVERAL, TOKENS, Held

SEED = 5


class DatasetConformance:
    """What every data set must do; subclass it in a test module and name the loader.

    Attributes
    ----------
    loader : callable
        What is tested, as a static method: LoadContext → Dataset.
    options : mapping of str to scalar
        What it is called with.
    is_drawn : bool
        Whether another seed draws another split; of texts, say, it does not.

    Examples
    --------
    >>> from greenbench.datasets.synthetic import load_synthetic
    >>> class TestSynthetic(DatasetConformance):
    ...     loader = staticmethod(load_synthetic)
    ...     options = {"samples": 100}
    """

    loader: ClassVar[Callable[..., Dataset]]
    options: ClassVar[Mapping[str, Any]] = {}
    is_drawn: ClassVar[bool] = True

    def load(self, seed: int = SEED) -> Dataset:
        """Return the data set; override it if the loader needs files of yours."""
        context = LoadContext(seed=seed, data_dir=Path(tempfile.gettempdir()))
        return type(self).loader(context, **self.options)

    def test_its_splits_can_be_trained_on(self) -> None:
        """Types, lengths and values are right, and the task can be learned of it."""
        dataset = self.load()
        assert isinstance(dataset, Dataset)
        dataset.check()
        if dataset.task in registry.tasks.names():
            registry.tasks.get(dataset.task).check(dataset)

    def test_it_holds_what_it_says(self) -> None:
        """What `holds` declares is what is there, or who could learn from it would be refused."""
        held, dataset = getattr(self.loader, "held", Held()), self.load()
        shape = dataset.input_shape
        is_image = isinstance(shape, tuple) and len(shape) == IMAGE_AXES
        known = TOKENS if dataset.vocabulary is not None else IMAGES if is_image else NUMBERS
        assert held.samples in (None, known if isinstance(shape, tuple) else SEVERAL)
        assert held.task in (None, dataset.task)

    def test_no_split_is_empty(self) -> None:
        """There is something to train on, to select by and to judge by."""
        assert all(len(split) > 0 for split in self.load().splits.values())

    def test_samples_of_all_splits_are_alike(self) -> None:
        """One network takes them all."""
        dataset = self.load()
        for split in dataset.splits.values():
            assert (split.input_shape, split.input_dtype) == (
                dataset.train.input_shape,
                dataset.train.input_dtype,
            )
            assert split.target_dtype == dataset.train.target_dtype

    def test_equal_seeds_draw_equal_splits(self) -> None:
        """Whatever was loaded in between, so that cases are compared on the same samples."""
        first = self.load()
        self.load(seed=SEED + 1)
        again = self.load()
        assert first.digest == again.digest
        assert digest_splits(first.splits) == digest_splits(again.splits)

    def test_other_seeds_split_the_same_data(self) -> None:
        """Repeats of a case have their content in common, if there is a digest of it."""
        one, other = self.load(), self.load(seed=SEED + 1)
        assert one.content == other.content
        assert (one.digest != other.digest) is self.is_drawn
        assert [len(split) for split in one.splits.values()] == [
            len(split) for split in other.splits.values()
        ]

    def test_batches_are_read_in_order(self) -> None:
        """What is read by position is what lies there."""
        split = self.load().validation
        last = len(split) - 1
        inputs, targets = split.batch(np.array([last, 0]))
        assert len(targets) == 2  # noqa: PLR2004
        again, again_targets = split.batch(np.array([0, last]))
        assert np.array_equal(targets[::-1], again_targets)
        if isinstance(inputs, np.ndarray):
            assert np.array_equal(inputs[::-1], again)

    def test_loading_leaves_nothing_behind(self) -> None:
        """The random numbers of others are drawn as if it had not been there."""
        np.random.seed(SEED)
        expected = np.random.random()
        np.random.seed(SEED)
        self.load()
        assert np.random.random() == expected

    def test_its_words_are_single_lines(self) -> None:
        """Source and notes stand in tables and tags."""
        dataset = self.load()
        words = [dataset.source, *dataset.notes]
        assert all(word and word.isprintable() for word in words)
