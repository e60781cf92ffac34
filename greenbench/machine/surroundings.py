"""What a user's surroundings must not break: home, working folder, screen, warnings, signals."""

import signal
import sys
import warnings
from collections.abc import MutableMapping
from pathlib import Path

from greenbench.errors import ConfigurationError

# What Python ignores where nobody asks for anything else.
_UNSEEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


def check_working_folder() -> None:
    """Raise `ConfigurationError` if the folder that we work in is gone."""
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigurationError(
            f"the working folder is gone ({error.strerror}): somebody deleted it; go to another, "
            "as with `cd`"
        ) from error


def provide_home(environment: MutableMapping[str, str], folder: Path) -> None:
    """Name a folder as the home of a user who has none, as in many containers.

    MLflow, for one, cannot be imported without.

    Parameters
    ----------
    environment : dict
        Of this process, and so of its workers.
    folder : pathlib.Path
        Is made by whoever keeps something there.
    """
    try:
        Path.home()
    except RuntimeError:
        environment["HOME"] = str(folder)


def draw_without_screen(environment: MutableMapping[str, str]) -> None:
    """Let matplotlib draw into files alone: a backend that it does not find stops its import.

    Keras imports it, too. Jupyter, for one, names a backend to all that it starts.

    Parameters
    ----------
    environment : dict
        Of this process, and so of its workers.
    """
    environment["MPLBACKEND"] = "agg"


def wait_for_children() -> None:
    """Be told of the end of children, where whoever started us ignores the end of theirs.

    The system would then forget at once how a child ended, and libraries wait for it for ever.
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def tolerate_warnings() -> None:
    """Let warnings be no errors, as ``PYTHONWARNINGS=error`` and ``python -W error`` make them.

    They are meant for the code of whoever sets them; here they would stop a training, or worse a
    delivery, at the first warning inside a library.
    """
    if not any(option.startswith("error") for option in sys.warnoptions):
        return
    warnings.resetwarnings()
    for category in _UNSEEN:
        warnings.simplefilter("ignore", category)
