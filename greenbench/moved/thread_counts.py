"""Old path of `greenbench.doctor.thread_counts`, for one release."""

from greenbench.doctor.thread_counts import *  # noqa: F403
from greenbench.moved import warn_of

warn_of(__name__, "greenbench.doctor.thread_counts")
