"""Measuring anything, anywhere, without a case: a block, a function, a program."""

from greenbench.measuring.decorator import measured
from greenbench.measuring.measurement import Measurement
from greenbench.measuring.window import Window, measure

__all__ = ["Measurement", "Window", "measure", "measured"]
