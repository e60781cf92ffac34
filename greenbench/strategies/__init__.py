"""Search strategies: propose hyperparameters by ask and tell."""

from greenbench.strategies.base import EnergyAware, Strategy
from greenbench.strategies.dimensions import Categorical, Dimension
from greenbench.strategies.spaces import SearchSpace

__all__ = ["Categorical", "Dimension", "EnergyAware", "SearchSpace", "Strategy"]
