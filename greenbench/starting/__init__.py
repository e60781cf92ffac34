"""The start of a project: what it has is found, and a benchmark of it is written."""

from greenbench.starting.finds import Find, find
from greenbench.starting.writing import Written, write

__all__ = ["Find", "Written", "find", "write"]
