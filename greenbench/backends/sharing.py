"""The protocol of backends that can share each training out among several processes."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from greenbench.backends.base import Backend, DigestingBackend, LocatingBackend


@runtime_checkable
class SharingBackend(Backend, DigestingBackend, LocatingBackend, Protocol):
    """A backend that can share each training out among several processes.

    It is built as ``Backend(name, threads=..., devices=..., rank=...)``. Its models are alike in
    all of them, and train together: `train_epoch` is called everywhere at once, with the order of
    the first process, of which others know the length.
    """

    devices: int

    def join(self, meeting: Path) -> None:
        """Meet the other processes, in a file that none has used before; wait for all."""

    def leave(self) -> None:
        """Let them go; others may be met afterwards."""
