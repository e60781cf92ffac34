"""Runs that have ended, and others that take their results over."""

from collections.abc import Iterable
from typing import Any, ClassVar

from greenbench.cases import Case
from greenbench.energy.carbon import carbon_intensity
from greenbench.errors import WorkerError
from greenbench.machine.environment import describe_environment
from greenbench.results import CaseResult
from greenbench.running.conditions import Conditions, conditions_of, conditions_of_each, digest_of
from greenbench.running.reuse import take_over
from greenbench.running.run_folder import Request, RunFolder
from greenbench.settings import Settings
from tests.builders import STARTED_AT, make_result

CASES = [Case(size="s", repeats=2), Case(size="m", repeats=1)]
OLD, NEW = "ci-20250101-120000-1", "ci-20250102-120000-1"
BASIS = {"content": "c" * 12, "digest": "d" * 12, "device": "cpu"}


class Pool:
    """Workers that load data, and nothing else."""

    data: ClassVar[dict[str, str] | None] = BASIS
    device: ClassVar[str] = "cpu"
    loaded: ClassVar[list[str]] = []
    launched: ClassVar[list[list[Case]]] = []
    gpus: ClassVar[list[Any]] = []
    measures = False

    def __init__(self, *_: object) -> None:
        pass

    def launch(self, cases: Iterable[Case]) -> None:
        self.launched.append(list(cases))

    def wait_until_ready(self) -> None:
        pass

    def data_of(self, case: Case, repeat: int) -> dict[str, str]:
        self.loaded.append(f"{case.size}{repeat}")
        if self.data is None:
            raise WorkerError("the worker died")
        return self.data

    def device_of(self, case: Case) -> str:
        return self.device

    def close(self) -> None:
        pass


def known(settings: Settings, cases: list[Case]) -> Conditions:
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    return conditions_of(settings, cases, intensity)


def ran(
    settings: Settings,
    cases: list[Case] = CASES,
    name: str = OLD,
    *,
    is_done: bool = True,
    basis: dict[str, str | None] | None = None,
    **changed: Any,
) -> RunFolder:
    """Leave a folder as a run does that has all its results."""
    of_run = known(settings, cases)
    of_each = conditions_of_each(settings, cases, of_run)
    folder = RunFolder(settings.journal_dir / name, Request("other", cases, of_run))
    folder.path.mkdir(parents=True)
    folder.begin()
    for case, repeat, journal in folder.repeats():
        fields = {
            "environment": describe_environment(1, {}),
            "conditions": digest_of(of_each[case], case, repeat),
            "started_at": STARTED_AT + repeat,
            "suite": "other",
            **changed,
        }
        journal.start(STARTED_AT + repeat, BASIS if basis is None else basis)
        journal.finish(make_result(case, repeat=repeat, energy_j=36.0 + repeat, **fields))
    if is_done:
        folder.finish()
    return folder


def reused(
    settings: Settings,
    cases: list[Case] = CASES,
    conditions: Conditions | None = None,
    said: list[str] | None = None,
) -> dict[tuple[str | None, int], CaseResult]:
    """Take over what can be; return the results by size and repeat."""
    of_run = known(settings, cases) if conditions is None else conditions
    intensity = carbon_intensity(settings.carbon_g_per_kwh, settings.country)
    folder = RunFolder(settings.journal_dir / NEW, Request("ci", cases, of_run))
    folder.path.mkdir(parents=True, exist_ok=True)
    of_each = conditions_of_each(settings, cases, of_run)
    notice = (lambda _: None) if said is None else said.append
    take_over(folder, of_each, settings, intensity, notice)
    found = {}
    for case, repeat, journal in folder.repeats():
        if result := journal.read().result:
            found[case.size, repeat] = result
    return found
