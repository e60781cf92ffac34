"""Old path of `greenbench.machine.threads`, for one release."""

from greenbench.machine.threads import *  # noqa: F403
from greenbench.moved import warn_of

warn_of(__name__, "greenbench.machine.threads")
