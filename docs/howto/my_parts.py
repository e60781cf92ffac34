"""Parts of greenbench that live in a package of their own."""

import time

import numpy as np

from greenbench import (
    register_architecture,
    register_dataset,
    register_meter,
    register_space,
    register_strategy,
)
from greenbench.architectures import native
from greenbench.datasets import Dataset, LoadContext, make_dataset
from greenbench.datasets.base import RawImages
from greenbench.errors import EnergyError
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.strategies import Dimension, SearchSpace


# dataset
@register_dataset("stripes")
def load_stripes(context: LoadContext, side: int = 16, samples: int = 600) -> Dataset:
    """Make noisy pictures of horizontal and of vertical stripes."""
    generator = np.random.default_rng(0)
    patterns = np.indices((side, side)) // 2 % 2
    labels = np.arange(samples) % len(patterns)
    noise = generator.normal(scale=0.5, size=(samples, side, side))
    pool = RawImages((patterns[labels] + noise)[:, None], labels, white=1.0)
    return make_dataset("stripes", "made up: stripes with noise", pool, seed=context.seed)


# space
RATE = Dimension("learning_rate", 1e-4, 1e-1, prior="log")
register_space("fast")(SearchSpace("fast", (RATE,)))


# strategy
@register_strategy("golden")
class GoldenStrategy:
    """Proposes points that fill the space evenly, however many there will be."""

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._space = space
        count = len(space.dimensions)
        # Steps of the generalised golden ratio never come close to an earlier point.
        ratio = max(root.real for root in np.roots([1, *[0] * (count - 1), -1, -1]))
        self._steps = ratio ** -np.arange(1.0, count + 1)
        self._position = np.random.default_rng(seed).random(count)

    def ask(self) -> dict[str, float | int]:
        """Return the next point."""
        self._position = (self._position + self._steps) % 1
        pairs = zip(self._space.dimensions, self._position, strict=True)
        return {dimension.name: dimension.at(float(position)) for dimension, position in pairs}

    def tell(self, hyperparameters: dict[str, float | int], score: float | None) -> None:
        """Learn nothing."""


# architecture
@register_architecture("dropout_net")
@native("torch")
def dropout_net(image_shape, classes, features=64, drop=0.2):
    """Return a torch module that the neutral layers cannot express."""
    from torch import nn  # noqa: PLC0415

    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(int(np.prod(image_shape)), features),
        nn.GELU(),
        nn.Dropout(drop),
        nn.Linear(features, classes),
    )


# meter
@register_meter("nameplate")
class NameplateMeter:
    """Multiplies what the nameplate says by the time that has passed."""

    name = "nameplate"
    power_w = 65.0

    def __init__(self) -> None:
        self._began_s: float | None = None

    def begin_window(self) -> None:
        """Remember the time."""
        if self._began_s is not None:
            raise EnergyError("windows do not nest; end the open one first")
        self._began_s = time.perf_counter()

    def end_window(self) -> Reading:
        """Return power times duration."""
        if self._began_s is None:
            raise EnergyError("no window is open; begin one first")
        duration_s = time.perf_counter() - self._began_s
        self._began_s = None
        return Reading(duration_s, {"cpu": self._component(self.power_w * duration_s)})

    def describe(self) -> dict[str, Component]:
        """Return the only component, without energy."""
        return {"cpu": self._component(None)}

    def close(self) -> None:
        """Forget an open window; there is no background work."""
        self._began_s = None

    def _component(self, energy_j: float | None) -> Component:
        return Component(energy_j, Provenance.CONSTANT, f"nameplate, {self.power_w:g} W")
