"""Trainings of people's own: any loop, function or program as a case."""

from greenbench.trainings.declaration import Training, check_fidelity, register_training
from greenbench.trainings.report import Report
from greenbench.trainings.run import Run
from greenbench.trainings.seeds import SeedCheck, check_seeds

__all__ = [
    "Report",
    "Run",
    "SeedCheck",
    "Training",
    "check_fidelity",
    "check_seeds",
    "register_training",
]
