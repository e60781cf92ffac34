"""Search strategies: propose hyperparameters by ask and tell."""

from greenbench.strategies.base import EnergyAware, Strategy
from greenbench.strategies.spaces import Dimension, SearchSpace

__all__ = ["Dimension", "EnergyAware", "SearchSpace", "Strategy"]
