"""NVML, the library of NVIDIA's driver: opened, asked and closed without ever raising.

A machine without driver, card or ``nvidia-ml-py`` has no NVML, and what a card does not answer is
not known: neither is an error.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


def open_nvml() -> Any | None:
    """Return the module ``pynvml``, ready to be asked; None if there is nothing to ask.

    NVML counts: each opening needs a `close_nvml`, and disturbs no other user in the process.
    """
    try:
        import pynvml  # noqa: PLC0415

        pynvml.nvmlInit()
    except Exception:  # Not installed, no driver, no card, or a driver of another version.
        return None
    return pynvml


def close_nvml(library: Any | None) -> None:
    """Give back what `open_nvml` returned."""
    if library is not None:
        with suppress(Exception):
            library.nvmlShutdown()


@contextmanager
def nvml() -> Iterator[Any | None]:
    """Open NVML for a block; None if there is nothing to ask."""
    library = open_nvml()
    try:
        yield library
    finally:
        close_nvml(library)


def answer(library: Any, function: str, *arguments: Any, absent: Any = None) -> Any:
    """Return what a function of NVML answers; None if it does not.

    Parameters
    ----------
    library : module
        From `open_nvml`.
    function : str
        Its name; older releases of library or driver may lack it.
    *arguments
        What it takes.
    absent : object
        What to return if NVML answers that it has found none of what it was asked for.
    """
    try:
        return getattr(library, function)(*arguments)
    except Exception as error:
        is_absent = getattr(error, "value", None) == getattr(library, "NVML_ERROR_NOT_FOUND", 6)
        return absent if is_absent else None


def text(answered: Any) -> str | None:
    """Return a name that NVML answered, which older releases give as bytes."""
    if isinstance(answered, bytes):
        return answered.decode("utf-8", errors="replace")
    return None if answered is None else str(answered)
