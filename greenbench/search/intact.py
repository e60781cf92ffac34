"""Intact: whether the data set is, at the end of a repeat, what it was at its beginning."""

from collections.abc import Mapping

from greenbench.backends import Backend, ReplayingBackend
from greenbench.backends.base import DigestingBackend
from greenbench.datasets import Dataset
from greenbench.datasets.base import digest_splits
from greenbench.errors import ArchitectureError


class Intact:
    """What a data set was when this was made; nothing of it is measured.

    Parameters
    ----------
    backend : Backend
        Which holds it; a replay holds none.
    dataset : Dataset
        As it was loaded.
    before : mapping of str to str, optional
        Its digests, if they are known; see `digest_splits`.
    """

    def __init__(
        self, backend: Backend, dataset: Dataset, before: Mapping[str, str] | None = None
    ) -> None:
        self._backend = backend
        self._dataset = dataset
        self._is_replay = isinstance(backend, ReplayingBackend)
        if before is None:
            before = {} if self._is_replay else digest_splits(dataset.splits)
        self._before = before

    def check(self, architecture: str) -> None:
        """Raise `ArchitectureError` if a split is another one now."""
        now = {} if self._is_replay else self._now()
        changed = [name for name, digest in self._before.items() if now.get(name) != digest]
        if changed:
            raise ArchitectureError(
                f"architecture {architecture!r} changed the images of dataset "
                f"{self._dataset.name!r} while it was trained ({', '.join(changed)}), so that "
                "nothing of this repeat counts; let its forward pass work on a copy of its input, "
                "and the backend hand out copies"
            )

    def _now(self) -> Mapping[str, str]:
        if isinstance(self._backend, DigestingBackend):
            return self._backend.digest()
        return digest_splits(self._dataset.splits)
