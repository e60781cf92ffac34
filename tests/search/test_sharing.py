"""Trainings that several processes share, without the processes: what is refused, and what is lost.

What needs them is in ``integration/test_shared_training.py``.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import greenbench
from greenbench import registry
from greenbench.backends.torch import TorchBackend
from greenbench.backends.torch_ranks import Ranks
from greenbench.cases import Case
from greenbench.errors import ConfigurationError, TrialError
from greenbench.running.case_checks import check_cases
from greenbench.running.devices import check_devices
from greenbench.search.sharing import SharedBackend, SharedModel
from greenbench.search.subject import NetworkSubject, load_subject
from greenbench.search.unmeasured import unmeasured
from greenbench.settings import Settings
from greenbench.strategies import Categorical, Dimension, SearchSpace
from tests.made_up_nvml import Card, install

SHARED = Case(architecture="dense", size="xs", devices=2, threads=1)
LINE = "true {devices} {epochs}"
RATE = Dimension("learning_rate", 1e-4, 1e-2, "log")

for name, batch in (
    ("even_batches", Categorical("batch_size", (16, 32))),
    ("odd_batches", Categorical("batch_size", (16, 25))),
    ("any_batch", Dimension("batch_size", 16, 64, type="int")),
):
    registry.register_space(name)(SearchSpace(name, (RATE, batch)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backend": "keras"}, "devices is 2, but backend 'keras' trains on one; choose"),
        ({"backend": "tabular"}, "devices is 2, but backend 'tabular' trains on one"),
        ({"batch_size": 65}, "batches of 65 cannot be shared out evenly among 2 devices; "),
        ({"devices": 3}, "a --batch-size that 3 divides, such as 63"),
        ({"strategy": "random", "batched_trials": 4}, "leave --devices or --batched-trials out"),
        ({"strategy": "random", "batched_trials": "auto"}, "batched_trials auto: a training is"),
        ({"backend_options": {"cuda_graphs": True}}, "leave --compute cuda_graphs=true or"),
        ({"strategy": "random", "space": "odd_batches"}, "batches of 25 cannot be shared out"),
        ({"strategy": "random", "space": "any_batch"}, "batch_size from 16 to 64, not all of"),
    ],
)
def test_what_cannot_be_shared_is_refused_before_anything_is_started(
    change: Mapping[str, Any], said: str
) -> None:
    case = Case(**{**vars(SHARED), **change})
    with pytest.raises(ConfigurationError) as refused:
        check_cases([case])
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@greenbench.register_training("one_process_alone")
def one_process_alone(run: Any) -> float:
    """Stand for a training of one's own that is a function."""
    return 0.5


def test_training_of_ones_own_is_shared_by_a_program_that_is_told_how_many() -> None:
    own = Case(architecture="one_process_alone", backend="own", dataset="own", devices=2)
    with pytest.raises(ConfigurationError, match="is a function, which runs in one process; run"):
        check_cases([own])
    for line, said in (("true {epochs}", "has no place for {devices}, which is 2"), (LINE, None)):
        options = {"command": line}
        case = replace(own, architecture="command_true", architecture_options=options)  # type: ignore[arg-type]
        if said is None:
            check_cases([case])
            continue
        with pytest.raises(ConfigurationError, match=re.escape(said)):
            check_cases([case])


def test_batches_that_are_searched_may_be_shared_where_all_are_even() -> None:
    check_cases([Case(**{**vars(SHARED), "strategy": "random", "space": "even_batches"})])


@pytest.mark.parametrize(
    ("cards", "devices", "threads", "said"),
    [
        (2, 2, 99, None),
        (2, 3, 1, "devices is 3, but CUDA shows 2 GPUs; choose at most --devices 2"),
        (0, 2, 1, None),
        (0, 4, 1, "devices is 4 of 1 thread each, but there is no GPU and this process may use 2"),
        (0, 2, 2, "devices is 2 of 2 threads each, but there is no GPU and this process may use 2"),
        (0, 1, 99, None),
    ],
)
def test_more_devices_than_there_are_are_refused(
    monkeypatch: pytest.MonkeyPatch, cards: int, devices: int, threads: int, said: str | None
) -> None:
    install(monkeypatch, *(Card(f"GPU-{place}", bus=place) for place in range(cards)))
    monkeypatch.setattr("greenbench.running.devices.available_cores", lambda: 2)
    case = Case(devices=devices)
    if said is None:
        check_devices(case, threads, {})
        return
    with pytest.raises(ConfigurationError) as refused:
        check_devices(case, threads, {})
    assert str(refused.value).startswith(said)


def test_threads_of_the_settings_are_shared_out_and_those_of_a_case_are_each_ones() -> None:
    settings = Settings.from_environment({"GREENBENCH_THREADS": "5"})
    told = {"none": Case(devices=2), "three": Case(devices=2, threads=3), "many": Case(devices=8)}
    found = {name: settings.threads_of(case) for name, case in told.items()}
    assert found == {"none": 2, "three": 3, "many": 1}


def test_backend_counts_the_devices_that_it_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch  # noqa: PLC0415

    monkeypatch.setattr("greenbench.backends.torch_ranks.available_cores", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for kind, threads, said in (
        ("cpu", 1, "this process may use 2 cores"),
        ("cuda", 9, "torch sees 2 GPUs; choose at most --devices 2"),
        ("mps", 1, "one Apple GPU"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            Ranks(0, 3, torch.device(kind), threads)


def test_ranks_that_have_met_need_the_file_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch  # noqa: PLC0415

    had_file: list[bool] = []
    whole = torch.distributed.all_reduce

    def sum_up(*given: Any, **more: Any) -> Any:
        had_file.append((tmp_path / "meeting").exists())
        return whole(*given, **more)

    monkeypatch.setattr(torch.distributed, "all_reduce", sum_up)
    ranks = Ranks(0, 1, torch.device("cpu"), 1)
    try:
        ranks.join(tmp_path / "meeting")
        # NCCL meets as late as that, and not when its group is made.
        assert had_file == [True]
    finally:
        ranks.leave()


class MadeUp:
    """Companions that are asked and do nothing; `lost` is what one of them has ended by."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.lost: str | None = None
        self.is_closed = False

    @property
    def is_lost(self) -> bool:
        return self.lost is not None

    def tell(self, request: Mapping[str, Any]) -> None:
        self.asked.append(request)

    def settle(self) -> None:
        if self.lost:
            raise TrialError(self.lost)

    @contextmanager
    def together(self) -> Iterator[None]:
        yield

    def close(self) -> str | None:
        self.is_closed = True
        return self.lost


class Alone(TorchBackend):
    """A backend that is to share, and meets nobody."""

    def __init__(self, devices: int = 2) -> None:
        super().__init__("torch", threads=1)
        self.devices = devices

    def join(self, meeting: Path) -> None:
        """Meet nobody."""


Led = tuple[NetworkSubject, list[MadeUp]]


@pytest.fixture
def led(tmp_path: Path) -> Led:
    """A subject whose trainings are shared with what the list gets."""
    started: list[MadeUp] = []

    def start() -> MadeUp:
        started.append(MadeUp())
        return started[-1]

    backend = SharedBackend(Alone(), start)
    backend.attend({"case": SHARED.to_dict(), "repeat": 0})
    bench = unmeasured(backend, tmp_path, lambda event, values: None)
    return load_subject(bench, SHARED, 0), started


def built(subject: NetworkSubject) -> SharedModel:
    model = subject.build({"learning_rate": 0.01}, seed=7)
    assert isinstance(model, SharedModel)
    return model


def test_companions_are_told_of_the_case_once_and_of_each_model_and_those_that_are_gone(
    led: Led,
) -> None:
    subject, started = led
    model = built(subject)
    model.train_epoch(np.arange(128))
    del model
    built(subject)
    (companions,) = started
    assert [sorted(each) for each in companions.asked] == [
        ["join"],
        ["case", "repeat"],
        ["build", "drop", "hyperparameters", "seed"],
        ["samples", "train"],
        ["build", "drop", "hyperparameters", "seed"],
    ]
    assert companions.asked[2]["hyperparameters"] == {"learning_rate": 0.01}
    assert (companions.asked[2]["drop"], companions.asked[4]["drop"]) == ([], [0])


def test_trial_that_loses_a_companion_fails_and_the_next_one_has_new_ones(led: Led) -> None:
    subject, started = led
    model = built(subject)
    started[0].lost = "rank 1 of 2 was killed by SIGKILL"
    with pytest.raises(TrialError, match="rank 1 of 2 was killed by SIGKILL"):
        model.train_epoch(np.arange(128))
    assert started[0].is_closed
    built(subject).train_epoch(np.arange(128))
    assert len(started) == 2


def test_companions_that_cannot_begin_are_ended_and_the_next_trial_has_new_ones(
    led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, started = led

    def cannot(self: Alone, meeting: Path) -> None:
        raise TrialError("rank 1 of 2: no such device")

    with monkeypatch.context() as once:
        once.setattr(Alone, "join", cannot)
        with pytest.raises(TrialError, match="no such device"):
            built(subject)
    built(subject)
    assert [each.is_closed for each in started] == [True, False]


def test_companion_that_ends_between_trials_is_replaced(led: Led) -> None:
    subject, started = led
    built(subject)
    started[0].lost = "rank 1 of 2 ended with exit code 1"
    built(subject)
    assert [each.is_closed for each in started] == [True, False]


def test_error_of_a_trials_own_is_told_as_it_is_and_ends_the_companions(
    led: Led, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject, started = led
    model = built(subject)
    with pytest.raises(IndexError):
        model.train_epoch(np.array([10**6] * 64))
    assert started[0].is_closed


def test_training_that_is_too_small_for_a_batch_must_be_even_itself(tmp_path: Path) -> None:
    case = Case(
        architecture="dense", size="xs", dataset="synthetic", devices=2, threads=1, batch_size=512,
        dataset_options={"samples": 125},  # type: ignore[arg-type]
    )  # fmt: skip
    backend = SharedBackend(Alone(devices=4), MadeUp)
    bench = unmeasured(backend, tmp_path, lambda event, values: None)
    subject = load_subject(bench, case, 0)
    assert len(subject.dataset.train) % 4
    with pytest.raises(ConfigurationError, match="cannot be shared out evenly among 4 devices"):
        built(subject)
