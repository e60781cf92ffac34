"""The source of a training: a digest of its file, and of all that this imports of the user's."""

import hashlib
from functools import cache
from pathlib import Path

from greenbench import registry
from greenbench.machine.sources import Sources, sources_of
from greenbench.trainings.declaration import Training


def source_of(training: Training) -> str | None:
    """Return the first 16 hex digits of the SHA-256 over its sources.

    It is that of the files as they were when they were first asked for: soon after they were
    imported.

    Returns
    -------
    str or None
        None of a training that is registered in no file of the user's.
    """
    if training.files:
        return _digest_of_scripts(training.files)
    origin = registry.architectures.place(training.name)
    if origin is None or origin.file is None:
        return None
    return _digest(origin.module, origin.file)


@cache
def _digest(module: str, file: str) -> str:
    return _digest_of(sources_of([{"name": module, "file": file}]))


@cache
def _digest_of_scripts(files: tuple[str, ...]) -> str:
    return _digest_of(sources_of([], map(Path, files)))


def _digest_of(sources: Sources) -> str:
    return hashlib.sha256(repr(sorted(sources.digests().items())).encode()).hexdigest()[:16]
