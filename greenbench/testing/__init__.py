"""For plugin authors: what data sets, strategies and the like must do, as tests to subclass.

And fakes, which are for unit tests of logic only: no figure of theirs says anything about energy.
"""

from greenbench.testing.backends import BackendConformance
from greenbench.testing.datasets import DatasetConformance
from greenbench.testing.fakes import FakeClock, FakeCounters, FakeMeter
from greenbench.testing.meters import MeterConformance
from greenbench.testing.schedulers import SchedulerConformance
from greenbench.testing.strategies import StrategyConformance
from greenbench.testing.tasks import TaskConformance
from greenbench.testing.trainings import TrainingConformance

__all__ = [
    "BackendConformance",
    "DatasetConformance",
    "FakeClock",
    "FakeCounters",
    "FakeMeter",
    "MeterConformance",
    "SchedulerConformance",
    "StrategyConformance",
    "TaskConformance",
    "TrainingConformance",
]
