"""The control: the optimiser's published defaults, proposed once."""

from dataclasses import asdict
from typing import ClassVar

from greenbench.backends.base import AdamOptions
from greenbench.errors import SearchExhaustedError, SearchSpaceError
from greenbench.strategies.spaces import Dimension, Hyperparameters, SearchSpace


class DefaultStrategy:
    """Proposes Adam's published defaults for the names in the space, once.

    Parameters
    ----------
    space : SearchSpace
        Dimensions named after fields of `AdamOptions`, whose defaults lie inside.
    trials, seed : int
        Ignored: there is one proposal, and it is always the same.

    Raises
    ------
    SearchSpaceError
        If a dimension has no published default, or has one outside its bounds.
    """

    prior: ClassVar[str] = "none"
    learns: ClassVar[bool] = False

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        self._proposal = {each.name: _published_default(each) for each in space.dimensions}
        self._is_exhausted = False

    def ask(self) -> Hyperparameters:
        """Return the defaults.

        Raises
        ------
        SearchExhaustedError
            On every call but the first.
        """
        if self._is_exhausted:
            raise SearchExhaustedError("the default strategy has one proposal, and it was made")
        self._is_exhausted = True
        return dict(self._proposal)

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        """Learn nothing."""


def _published_default(dimension: Dimension) -> float | int:
    defaults: dict[str, float] = asdict(AdamOptions())
    if dimension.name not in defaults:
        raise SearchSpaceError(
            f"Adam has no published default for {dimension.name!r}, only for "
            f"{', '.join(defaults)}; choose another strategy or search space"
        )
    value = dimension.clip(defaults[dimension.name])
    # A control that was moved to the nearest bound would no longer be the published one.
    if value != defaults[dimension.name]:
        raise SearchSpaceError(
            f"Adam's published {dimension.name} {defaults[dimension.name]:g} is no legal value of "
            f"the dimension from {dimension.low:g} to {dimension.high:g}; widen the search space"
        )
    return value
