"""Old path of `greenbench.results.readings`, for one release."""

from greenbench.moved import warn_of
from greenbench.results.account import *  # noqa: F403
from greenbench.results.readings import *  # noqa: F403

warn_of(__name__, "greenbench.results.readings")
