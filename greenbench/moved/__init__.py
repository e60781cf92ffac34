"""Modules under the paths that documentation promised before they moved into rooms.

Deleted, with the line of `greenbench` that puts this folder on its path, in the next release.
"""

import warnings


def warn_of(old: str, new: str) -> None:
    """Warn whoever imports the module `old` that it is `new`."""
    warnings.warn(
        f"{old} has moved to {new}; the old path works for one more release",
        DeprecationWarning,
        stacklevel=3,
    )
