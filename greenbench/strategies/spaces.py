"""Search spaces as data: names, bounds, priors and types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from greenbench import registry
from greenbench.cases.case import Scalar
from greenbench.errors import SearchSpaceError
from greenbench.strategies.dimensions import AnyDimension, Categorical, Dimension, Prior

Hyperparameters = dict[str, Scalar]


@dataclass(frozen=True)
class SearchSpace:
    """An ordered set of dimensions.

    Attributes
    ----------
    name : str
        Name in the registry.
    dimensions : tuple of Dimension or Categorical
        At least one, with different names.
    defaults : mapping of str to scalar
        What each dimension is where nothing is searched, in a case that takes them; see
        `greenbench.search.configuration.check_space`. Empty for the space itself.
    """

    name: str
    dimensions: tuple[AnyDimension, ...]
    defaults: Mapping[str, Scalar] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        names = [dimension.name for dimension in self.dimensions]
        if not names:
            raise SearchSpaceError(f"search space {self.name!r} has no dimensions")
        if len(set(names)) < len(names):
            raise SearchSpaceError(f"search space {self.name!r} names a dimension twice")

    @property
    def prior(self) -> str:
        """``"log"`` if any dimension's prior is, else ``"uniform"``."""
        priors = [each.prior for each in self.dimensions if isinstance(each, Dimension)]
        return "log" if "log" in priors else "uniform"

    @property
    def categories(self) -> list[Categorical]:
        """The dimensions that are categorical."""
        return [each for each in self.dimensions if isinstance(each, Categorical)]

    def with_prior(self, prior: Prior) -> "SearchSpace":
        """Return the space with another prior, whatever its dimensions say.

        Parameters
        ----------
        prior : {"uniform", "log"}
            ``"log"`` for each dimension whose bounds are above 0 and at least a factor of 100
            apart, ``"uniform"`` for the others; or ``"uniform"`` for all.
        """
        return replace(self, dimensions=tuple(each.with_prior(prior) for each in self.dimensions))

    def draw(self, positions: Sequence[float]) -> Hyperparameters:
        """Return the hyperparameters at random positions in [0, 1), one a dimension."""
        pairs = zip(self.dimensions, positions, strict=True)
        return {dimension.name: dimension.draw(position) for dimension, position in pairs}


def find_space(name: str) -> SearchSpace:
    """Return a registered space; whether a case takes it, `check_space` says.

    Parameters
    ----------
    name : str
        Name in the registry.

    Raises
    ------
    UnknownNameError
        If nothing is registered under that name.
    SearchSpaceError
        If it is no `SearchSpace`.
    """
    space: object = registry.spaces.get(name)
    if not isinstance(space, SearchSpace):
        raise SearchSpaceError(
            f"{spelled_out(name)} is of type {type(space).__name__}; expected a SearchSpace "
            f"itself: register_space({name!r})(SearchSpace(...))"
        )
    return space


def spelled_out(name: str) -> str:
    """Return what messages call a space: its name, and the file that registers it, if any."""
    if name not in registry.spaces.names():
        return f"search space {name!r}"
    file = getattr(registry.spaces.origin(name), "__file__", None)
    code = getattr(registry.spaces.get(name), "__code__", None)
    line = f":{code.co_firstlineno}" if code else ""
    return f"search space {name!r}" + (f" ({file}{line})" if file else "")


PAPER3 = SearchSpace(
    "paper3",
    (
        Dimension("learning_rate", 1e-5, 1e-1),
        Dimension("beta1", 0.1, 1.0, excludes_high=True),
        Dimension("beta2", 0.8, 1.0, excludes_high=True),
    ),
)
"""Three parameters of Adam, all uniform (Yarally et al. 2023, RQ1)."""

PAPER5 = SearchSpace(
    "paper5",
    (
        *PAPER3.dimensions,
        Dimension("epsilon", 1e-9, 1e-7),
        Dimension("weight_decay", 0.0, 0.1),
    ),
)
"""Five parameters of Adam, all uniform (Yarally et al. 2023, RQ1)."""

ADAM = SearchSpace(
    "adam",
    (Dimension("learning_rate", 1e-5, 1e-1, prior="log"), *PAPER3.dimensions[1:]),
)
"""The paper's three parameters with a log prior on the learning rate."""

RATE = SearchSpace("rate", (Dimension("learning_rate", 1e-5, 1e-1, prior="log"),))
"""The learning rate, which matters most (Bengio 2012, section 3.1.1), of any optimiser."""

ADAMW = SearchSpace(
    "adamw",
    (
        Dimension("learning_rate", 1e-5, 1e-1, prior="log"),
        Dimension("beta1", 0.8, 1.0, excludes_high=True),
        Dimension("weight_decay", 1e-4, 1.0, prior="log"),
    ),
)
"""Rate and decoupled decay, both over decades as in Loshchilov and Hutter (2019), and beta1.

The decay reaches up to 1, as in the tuning of AlgoPerf (Dahl et al. 2023, arXiv 2306.07179).
"""

SGD = SearchSpace(
    "sgd",
    (
        Dimension("learning_rate", 1e-4, 1.0, prior="log"),
        Dimension("momentum", 0.0, 1.0, excludes_high=True),
    ),
)
"""Rate and momentum (Sutskever et al. 2013); useful rates are ten times those of Adam."""

RMSPROP = SearchSpace(
    "rmsprop",
    (
        Dimension("learning_rate", 1e-5, 1e-1, prior="log"),
        Dimension("rho", 0.8, 1.0, excludes_high=True),
        Dimension("momentum", 0.0, 1.0, excludes_high=True),
    ),
)
"""Rate, decay of the mean square (0.9 in Tieleman and Hinton 2012, 0.99 in torch), momentum."""

ADAGRAD = SearchSpace("adagrad", (Dimension("learning_rate", 1e-4, 1.0, prior="log"),))
"""The rate alone: 0.01 by default, and up to 1 (Duchi, Hazan and Singer 2011)."""

ADADELTA = SearchSpace(
    "adadelta",
    (
        Dimension("learning_rate", 1e-2, 10.0, prior="log"),
        Dimension("rho", 0.8, 1.0, excludes_high=True),
    ),
)
"""Rate around the 1 of the published method, and its decay (Zeiler 2012, table 1)."""

LION = SearchSpace(
    "lion",
    (
        Dimension("learning_rate", 1e-6, 1e-2, prior="log"),
        Dimension("beta1", 0.8, 1.0, excludes_high=True),
        Dimension("beta2", 0.9, 1.0, excludes_high=True),
    ),
)
"""Rates a tenth of Adam's, and betas around 0.9 and 0.99 (Chen et al. 2023, section 5)."""
