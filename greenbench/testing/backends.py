"""What every backend must do, as tests to subclass."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from greenbench.architectures import Flatten, Linear, Spec
from greenbench.architectures.spec import Weights
from greenbench.backends.base import Backend, BuildRequest, sample_order
from greenbench.backends.takes import TAKES
from greenbench.datasets import Augmentation, Dataset, make_dataset
from greenbench.datasets.base import RawImages
from greenbench.errors import ConfigurationError, DatasetError
from greenbench.optimizers import make_schedule, optimizer_options

BATCH, SEED = 8, 3


class BackendConformance:
    """What every backend must do; subclass it in a test module and name the class.

    What it says that it takes, it obeys or refuses; see `greenbench.backends.takes.TAKES`.

    Attributes
    ----------
    backend : callable
        What is tested.
    name : str
        The name that it is registered under.

    Examples
    --------
    >>> from greenbench.backends.torch import TorchBackend
    >>> class TestTorch(BackendConformance):
    ...     backend = TorchBackend
    ...     name = "torch"
    """

    backend: ClassVar[Callable[..., Backend]]
    name: ClassVar[str]

    @pytest.fixture
    def made(self) -> Backend:
        """Return one."""
        return type(self).backend(self.name, threads=1)

    def test_it_has_the_verbs_and_says_what_it_takes(self, made: Backend) -> None:
        """What is no word for anything would be declared in vain."""
        assert isinstance(made, Backend)
        assert made.name == self.name
        assert set(getattr(made, "takes", ())) <= set(TAKES)
        assert all(isinstance(text, str) for text in made.describe().values())

    def test_a_model_starts_from_the_weights_of_the_spec(self, made: Backend) -> None:
        """Or backends would begin at different points."""
        made.load(_images())
        for got, drawn in zip(
            made.build(_request()).get_weights(), _SPEC.initial_weights(SEED), strict=True
        ):
            np.testing.assert_allclose(got, drawn, rtol=1e-6)

    def test_equal_requests_give_equal_models(self, made: Backend) -> None:
        """Seeds are all that repeats differ in."""
        assert _are_equal(_trained(made), _trained(made))

    def test_another_optimizer_is_obeyed_or_refused(self, made: Backend) -> None:
        """One that is ignored would be compared with itself."""
        _check_obeyed(made, "optimizer", optimizer=optimizer_options("sgd", {}))

    def test_a_schedule_is_obeyed_or_refused(self, made: Backend) -> None:
        """Its learning rates are those of each step."""
        _check_obeyed(made, "schedule", schedule=make_schedule("cosine", {}))

    def test_augmentation_is_obeyed_or_refused(self, made: Backend) -> None:
        """It is the data set's, and the backend varies the images."""
        _check_obeyed(made, "augmentation", Augmentation(crop=2, flip=True))

    def test_an_option_that_it_does_not_have_is_refused(self, made: Backend) -> None:
        """A typo would compute as if nothing had been said."""
        _skip_unless_taken(made, "backend_options")
        made.load(_images())
        with pytest.raises(ConfigurationError):
            made.build(_request(options={"no_such_option": 1}))


_SPEC = Spec("small", (1, 8, 8), [Flatten(), Linear(4)])


def _images(augmentation: Augmentation | None = None) -> Dataset:
    generator = np.random.default_rng(0)
    images = RawImages(generator.integers(0, 256, (80, 1, 8, 8)), np.arange(80) % 4)
    return replace(make_dataset("noise", "random", images, seed=0), augmentation=augmentation)


def _request(**changed: Any) -> BuildRequest:
    steps = len(_images().train) // BATCH
    plain = BuildRequest(_SPEC, batch_size=BATCH, seed=SEED, steps=steps, steps_per_epoch=steps)
    return replace(plain, **changed)


def _trained(backend: Backend, augmentation: Augmentation | None = None, **changed: Any) -> Weights:
    dataset = _images(augmentation)
    backend.load(dataset)
    model = backend.build(_request(**changed))
    model.train_epoch(sample_order(len(dataset.train), BATCH, SEED, 0))
    return model.get_weights()


def _are_equal(first: Weights, second: Weights) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def _check_obeyed(
    backend: Backend, name: str, augmentation: Augmentation | None = None, **changed: Any
) -> None:
    _skip_unless_taken(backend, name)
    plain = _trained(backend)
    try:
        found = _trained(backend, augmentation, **changed)
    except (ConfigurationError, DatasetError):
        return
    assert not _are_equal(plain, found), f"{name} makes no difference, though it is taken"


def _skip_unless_taken(backend: Backend, name: str) -> None:
    if name not in getattr(backend, "takes", ()):
        pytest.skip(f"it does not say that it takes {name}: cases that ask for it are refused")
