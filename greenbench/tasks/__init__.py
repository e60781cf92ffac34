"""Tasks: what is learned from what, and how it is judged."""

from greenbench.tasks.base import Task, check_loss, find_task
from greenbench.tasks.classification import CLASSIFICATION
from greenbench.tasks.score import ACCURACY, Score

__all__ = ["ACCURACY", "CLASSIFICATION", "Score", "Task", "check_loss", "find_task"]
