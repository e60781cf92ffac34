"""The backend of trainings that bring their own: it builds nothing."""

import platform
from collections.abc import Mapping

from greenbench.backends import BuildRequest, TrainableModel
from greenbench.datasets import Dataset
from greenbench.errors import ConfigurationError


class OwnBackend:
    """Stands for whatever a training brings along.

    Parameters
    ----------
    name : str
        Under which it is registered.
    threads : int
        Which its libraries find in the environment.
    """

    def __init__(self, name: str, *, threads: int) -> None:
        self.name = name

    def load(self, dataset: Dataset) -> None:
        """Refuse: a training loads its data itself."""
        raise self._refusal()

    def build(self, request: BuildRequest) -> TrainableModel:
        """Refuse: a training builds its model itself."""
        raise self._refusal()

    def synchronize(self) -> None:
        """Do nothing: who reports a score has waited for it."""

    def describe(self) -> Mapping[str, str]:
        """Return the device as far as it is known before anything is trained."""
        return {"device": platform.machine()}

    def _refusal(self) -> ConfigurationError:
        return ConfigurationError(
            f"backend {self.name!r} is that of trainings of one's own, which bring data and model; "
            "expected one of them as the architecture, see register_training"
        )
