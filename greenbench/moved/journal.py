"""Old path of `greenbench.results.journal`, for one release."""

from greenbench.moved import warn_of
from greenbench.results.journal import *  # noqa: F403

warn_of(__name__, "greenbench.results.journal")
