"""What trainings of people's own read: digests of the files that they name."""

import hashlib
from pathlib import Path

from greenbench import registry
from greenbench.cases import Case

BLOCK = 2**20


def reads_of(case: Case) -> tuple[str, ...] | None:
    """Return the files and folders that a training says it reads.

    Parameters
    ----------
    case : Case
        The definition.

    Returns
    -------
    tuple of str or None
        None if it does not say, or a backend trains the case.
    """
    training = registry.training_of(case)
    return None if training is None else training.reads


def digest_of_data(path: Path) -> str | None:
    """Return the first 16 hex digits of the SHA-256 over a file, or all that lies in a folder.

    Parameters
    ----------
    path : pathlib.Path
        The names of files in a folder count, too.

    Returns
    -------
    str or None
        None if it is not there, or cannot be read.
    """
    digest = hashlib.sha256()
    try:
        inside = sorted(path.rglob("*")) if path.is_dir() else []
        for each in [path, *inside]:
            name = str(each.relative_to(path)).encode(errors="surrogateescape")
            digest.update(len(name).to_bytes(8) + name)
            if not each.is_dir():
                digest.update(each.stat().st_size.to_bytes(8))
                with each.open("rb") as file:
                    while block := file.read(BLOCK):
                        digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()[:16]
