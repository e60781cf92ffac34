"""Search strategies: propose hyperparameters by ask and tell."""

from greenbench.strategies.base import Strategy
from greenbench.strategies.spaces import Dimension, SearchSpace

__all__ = ["Dimension", "SearchSpace", "Strategy"]
