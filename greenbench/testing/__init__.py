"""For plugin authors: what a strategy and a meter must do, as tests to subclass; fakes.

The fakes are for unit tests of logic only: no figure of theirs says anything about energy.
"""

from greenbench.testing.fakes import FakeClock, FakeMeter
from greenbench.testing.meters import MeterConformance
from greenbench.testing.strategies import StrategyConformance

__all__ = ["FakeClock", "FakeMeter", "MeterConformance", "StrategyConformance"]
