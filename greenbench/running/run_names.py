"""Names of runs' folders: the later run has the later name, whatever clocks say."""

import os
import re
import time
from datetime import datetime, timedelta
from pathlib import Path

FORMAT = "%Y%m%d-%H%M%S"
_STAMP = re.compile(r"-(\d{8}-\d{6})-\d+(?:-\d+)?$")
_SECOND = timedelta(seconds=1)


def make_folder(root: Path, suite: str) -> Path:
    """Make the folder of a new run of a suite, whose name is later than those of all others.

    Its time is that of the clock, or a second after the latest one if the clock was set back, as it
    is each autumn; or if another machine's clock is ahead. So names are a hybrid logical clock
    (Kulkarni et al., "Logical Physical Clocks", 2014).
    """
    stamps = [_stamp(path.name, suite) for path in root.glob("*")]
    latest = max((stamp for stamp in stamps if stamp), default=None)
    now = datetime.strptime(time.strftime(FORMAT), FORMAT)
    at = max(now, latest + _SECOND) if latest else now
    while True:
        folder = root / f"{suite}-{at.strftime(FORMAT)}-{os.getpid()}"
        try:
            # Whoever made the root and needs it no more may remove it until something is in it.
            folder.mkdir(parents=True)
        except FileExistsError:
            # A process of this number on another machine, in this second.
            at += _SECOND
        else:
            return folder


def _stamp(name: str, suite: str) -> datetime | None:
    """Return the time in the name of a run of a suite; None if it is none."""
    found = _STAMP.search(name)
    if found is None or name[: found.start()] != suite:
        return None
    try:
        return datetime.strptime(found[1], FORMAT)
    except ValueError:
        return None
