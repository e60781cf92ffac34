"""Whether packages are compiled once, or by each process that starts."""

import importlib.util
import os
import shlex
import sys
from pathlib import Path

HEAVY = ("torch", "mlflow")
"""What a worker and the process that starts it import; others of the same place are like them."""


COMPILE = "python -m compileall -q"


def compiled() -> str:
    """Return whether the bytecode of `HEAVY` packages is kept, and what to do if it is not.

    Without it, as in many containers, a process takes about twice as long to start.
    """
    lacking = {name: place for name in HEAVY if (place := _uncompiled(name))}
    if not lacking:
        return "packages are compiled, or will be by the first process that imports them"
    names, places = " and ".join(lacking), list(dict.fromkeys(map(str, lacking.values())))
    why = f"{places[0]} is not writable"
    if sys.dont_write_bytecode:
        why = "PYTHONDONTWRITEBYTECODE is set"
    return (
        f"slow: each process compiles {names} anew, because {why}; once is enough: "
        f"`{COMPILE} {shlex.join(places)}`"
    )


def _uncompiled(name: str) -> Path | None:
    """Return where a package lies that nobody has compiled, and this process would not."""
    # It is looked for, and not imported.
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.cached or not spec.origin or Path(spec.cached).exists():
        return None
    place = Path(spec.origin).parent.parent
    return place if sys.dont_write_bytecode or not os.access(place, os.W_OK) else None
