"""Old path of `greenbench.results.marks`, for one release."""

from greenbench.moved import warn_of
from greenbench.results.marks import *  # noqa: F403

warn_of(__name__, "greenbench.results.marks")
