"""Backends do what every backend must do; one that ignores what it is asked for is caught."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from greenbench import registry
from greenbench.backends.base import BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.backends.takes import TAKES, check_request_taken
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_model import TorchModel
from greenbench.cases import Case
from greenbench.datasets import Augmentation, Dataset
from greenbench.errors import ConfigurationError
from greenbench.running.case_checks import check_cases
from greenbench.testing import BackendConformance


class TestTorch(BackendConformance):
    backend = TorchBackend
    name = "torch"


class TestKeras(BackendConformance):
    backend = KerasBackend
    name = "keras"


class Deaf(TorchBackend):
    """Obeys nothing but what every backend has to."""

    takes = ()

    def load(self, dataset: Dataset) -> None:
        super().load(replace(dataset, augmentation=None))

    def build(self, request: BuildRequest) -> TorchModel:
        asked = request.architecture, replace(BuildRequest(request.architecture).optimizer)
        return super().build(
            BuildRequest(*asked, request.batch_size, request.seed, task=request.task)
        )


class TestDeaf(BackendConformance):
    backend = Deaf
    name = "deaf"


class Boasting(Deaf):
    takes = TAKES


class OfBoasting(BackendConformance):
    backend = Boasting
    name = "boasting"


@pytest.mark.parametrize(
    "rule",
    [
        "test_another_optimizer_is_obeyed_or_refused",
        "test_a_schedule_is_obeyed_or_refused",
        "test_augmentation_is_obeyed_or_refused",
        "test_an_option_that_it_does_not_have_is_refused",
    ],
)
def test_backend_that_takes_what_it_ignores_fails_the_conformance_suite(rule: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        getattr(OfBoasting(), rule)(Boasting("boasting", threads=1))


@pytest.fixture
def _registered() -> Iterator[None]:
    registry.register_backend("deaf")(Deaf)
    registry.register_backend("boasting")(Boasting)
    yield
    registry.backends.forget({__name__})


ASKED: dict[str, tuple[dict[str, Any], str]] = {
    "optimizer": ({"optimizer": "sgd"}, "sgd"),
    "schedule": ({"schedule": "cosine"}, "cosine"),
    "backend_options": (
        {"backend_options": (("channels_last", True), ("precision", "bf16"))},
        "channels_last=True, precision=bf16",
    ),
    "augmentation": ({"dataset_options": (("crop", 2), ("flip", True))}, "crop=2, flip=True"),
}


@pytest.mark.usefixtures("_registered")
@pytest.mark.parametrize("name", ASKED)
def test_case_that_a_backend_might_ignore_is_refused_before_it_runs(name: str) -> None:
    asked, shown = ASKED[name]
    case = Case("random", backend="deaf", **asked)
    with pytest.raises(ConfigurationError) as refused:
        check_cases([case])
    assert str(refused.value) == (
        f"{case.id}: backend 'deaf' does not say that it takes {name} ({shown}), and might ignore "
        f"it; leave it out, or name {name!r} in the backend's `takes` once it obeys or refuses it"
    )
    check_cases([replace(case, backend="boasting"), Case("random", backend="deaf")])


@pytest.mark.usefixtures("_registered")
def test_augmentation_of_ones_own_data_is_refused_where_a_model_is_built() -> None:
    request = BuildRequest(None)  # type: ignore[arg-type]  # looked at by nobody
    vary = Augmentation(flip=True)
    case = Case(backend="deaf")
    with pytest.raises(ConfigurationError, match=r"augmentation \(Augmentation\(crop=0"):
        check_request_taken(case, Deaf("deaf", threads=1), request, vary)
    check_request_taken(case, Deaf("deaf", threads=1), request, None)
    check_request_taken(Case(), TorchBackend("torch", threads=1), request, vary)


@pytest.mark.usefixtures("_registered")
def test_backend_that_takes_what_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deaf, "takes", ("schedules",))
    with pytest.raises(ConfigurationError, match="takes schedules; expected some of optimizer, "):
        check_cases([Case(backend="deaf")])
