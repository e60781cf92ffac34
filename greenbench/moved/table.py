"""Old path of `greenbench.results.table`, for one release."""

from greenbench.moved import warn_of
from greenbench.results.table import *  # noqa: F403

warn_of(__name__, "greenbench.results.table")
