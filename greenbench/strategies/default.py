"""The control: the optimiser's published defaults, proposed once."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import ClassVar

from greenbench.cases.case import Scalar
from greenbench.errors import SearchExhaustedError, SearchSpaceError
from greenbench.optimizers import AdamOptions
from greenbench.strategies.dimensions import AnyDimension, Categorical
from greenbench.strategies.spaces import Hyperparameters, SearchSpace


class DefaultStrategy:
    """Proposes the published defaults of the optimiser for the names in the space, once.

    What else a space names has the default of the case, or of what takes it.

    Parameters
    ----------
    space : SearchSpace
        Its defaults lie inside; without any, its dimensions are named after fields of
        `AdamOptions`.
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
        known = space.defaults or asdict(AdamOptions())
        whose = "the default" if space.defaults else "Adam's published"
        self._proposal: Hyperparameters = {
            each.name: _default(each, known, whose) for each in space.dimensions
        }
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


def _default(dimension: AnyDimension, known: Mapping[str, Scalar], whose: str) -> Scalar:
    name = dimension.name
    if name not in known:
        raise SearchSpaceError(
            f"there is no published default for {name!r}, only for {', '.join(known)}; "
            "choose another strategy or search space"
        )
    value = known[name]
    # A control that was moved to the nearest bound would no longer be the published one.
    if isinstance(dimension, Categorical):
        legal, words = value in dimension, f"choices {', '.join(map(str, dimension.choices))}"
    else:
        legal = not isinstance(value, str) and dimension.clip(value) == value
        words = f"dimension from {dimension.low:g} to {dimension.high:g}"
    if not legal:
        shown = f"{value:g}" if isinstance(value, float) else repr(value)
        raise SearchSpaceError(
            f"{whose} {name} {shown} is no legal value of the {words}; widen the search space"
        )
    return dimension.clip(value)
