"""Trainings of people's own: any loop, function or program as a case."""

from greenbench.trainings.declaration import Training, check_fidelity, register_training
from greenbench.trainings.report import Report
from greenbench.trainings.run import Run

__all__ = ["Report", "Run", "Training", "check_fidelity", "register_training"]
