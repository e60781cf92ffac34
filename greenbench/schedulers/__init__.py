"""Schedulers: decide how far each trial of a search is trained, and when."""

from greenbench.schedulers.base import Scheduler, WholeTrials, make_scheduler

__all__ = ["Scheduler", "WholeTrials", "make_scheduler"]
