"""Results that a cluster's worker measured on this host, which a run here takes over."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.cluster.orders import Common, conditions_on, digest_on
from greenbench.energy.carbon import CarbonIntensity, carbon_intensity
from greenbench.machine.environment import describe_environment
from greenbench.results.journal import Journal
from greenbench.running.conditions import (
    WHICH_CARD,
    conditions_asked,
    conditions_here,
    conditions_of_each,
)
from greenbench.running.run_folder import Request, RunFolder
from greenbench.settings import Settings
from tests.builders import STARTED_AT, make_result
from tests.running.reusing import BASIS, CASES, OLD, Pool, known, reused

pytestmark = pytest.mark.usefixtures("pool")
CASE = CASES[1]


def intensity_of(settings: Settings) -> CarbonIntensity:
    return carbon_intensity(settings.carbon_g_per_kwh, settings.country)


def clustered(
    settings: Settings, worker: dict[str, Any] | None = None, **changed: Any
) -> RunFolder:
    """Leave a folder as the driver of a cluster does whose worker measured a case here."""
    asked = conditions_asked(settings, [CASE], intensity_of(settings))
    here = {**conditions_here(settings, [CASE]), **(worker or {})}
    folder = RunFolder(settings.journal_dir / OLD, Request("other", [CASE], asked))
    folder.path.mkdir(parents=True)
    folder.begin()
    common = Common.of(settings, [CASE], intensity_of(settings))
    order = {
        "case": CASE.to_dict(),
        "repeat": 0,
        "conditions": conditions_of_each(settings, [CASE], asked)[CASE],
        "packages": [],
    }
    fields = {
        "environment": describe_environment(1, {}),
        "conditions": digest_on(order, here, common),
        "started_at": STARTED_AT,
        "suite": "other",
        **changed,
    }
    journal = Journal.of(folder.path, CASE, 0)
    place = {name: value for name, value in here.items() if name != WHICH_CARD}
    journal.place({**place, "device": "cpu"})
    journal.start(STARTED_AT, BASIS)
    journal.finish(make_result(CASE, energy_j=36.0, **fields))
    folder.finish()
    return folder


def again(settings: Settings) -> tuple[bool, str]:
    said: list[str] = []
    return bool(reused(settings, [CASE], said=said)), said[-1]


def test_result_of_a_worker_on_this_host_is_taken_over(settings: Settings) -> None:
    clustered(settings)
    found = reused(settings, [CASE])
    assert [result.reused_from for result in found.values()] == [OLD]


@pytest.mark.parametrize(
    ("name", "value"),
    [("host", "0123"), ("torch", "1.0"), ("python", "3.10.1"), ("threads", 77), ("MKL_CBWR", "x")],
)
def test_what_was_another_on_the_workers_host_prevents_it(
    settings: Settings, name: str, value: Any
) -> None:
    clustered(settings, {name: value})
    is_reused, said = again(settings)
    assert not is_reused
    assert said.startswith(f"1 repeat is measured anew: since their results, {name} ({value}, now ")


def test_another_card_than_the_workers_prevents_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clustered(settings, {WHICH_CARD: "GPU-1"})
    is_reused, said = again(settings)
    assert not is_reused
    assert "do not say that they were measured under these conditions" in said
    monkeypatch.setenv(WHICH_CARD, "GPU-1")
    assert again(settings)[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"conditions": None}, "do not say that they were measured under these conditions"),
        ({"idle_w": {"cpu": 9.0}}, "by how much idle power changed during their run on a cluster"),
        ({"mixed": ("torch (1, now 2)",)}, "marked as mixed"),
        (
            {"environment": {**describe_environment(1, {}), "cpu": "another"}},
            "of a machine with another cpu",
        ),
    ],
)
def test_doubtful_result_of_a_cluster_is_measured_anew(
    settings: Settings, changed: dict[str, Any], said: str
) -> None:
    clustered(settings, **changed)
    is_reused, line = again(settings)
    assert not is_reused
    assert said in line


def test_settings_that_changed_since_prevent_it(settings: Settings) -> None:
    clustered(settings)
    is_reused, said = again(replace(settings, min_window_s=9.0))
    assert not is_reused
    assert "since their results, shortest window in s (" in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("data", {**BASIS, "content": "another"}, "the data set digits changed"),
        ("device", "H100", "device (cpu, now H100) changed"),
    ],
)
def test_data_and_device_of_a_workers_result_are_compared(
    settings: Settings, pool: type[Pool], name: str, value: Any, said: str
) -> None:
    clustered(settings)
    setattr(pool, name, value)
    is_reused, line = again(settings)
    assert not is_reused
    assert said in line


def test_damaged_place_is_a_reason_and_no_error(settings: Settings) -> None:
    folder = clustered(settings)
    path = Journal.of(folder.path, CASE, 0).path
    path.write_bytes(b'{"event": "place", "values": 1}\n' + path.read_bytes().partition(b"\n")[2])
    assert again(settings) == (False, "1 repeat is measured anew: their results cannot be read")


def test_worker_knows_of_a_case_what_a_session_there_would(settings: Settings) -> None:
    cases = [Case(), Case(threads=3), Case(seed=1)]
    asked = conditions_asked(settings, cases, intensity_of(settings))
    common = replace(
        Common.of(settings, cases, intensity_of(settings)), packages=["mlflow", "numpy"]
    )
    of_each = conditions_of_each(settings, cases, asked)
    alone = conditions_of_each(settings, cases, known(settings, cases))
    for case in cases:
        here = conditions_here(settings, [case], common.packages, Path())
        assert "mlflow" in here
        # No part of a case imports it.
        assert conditions_on(of_each[case], [], here, common) == alone[case]
        its_own = conditions_on(of_each[case], ["mlflow"], here, common)
        assert its_own == {**alone[case], "mlflow": here["mlflow"]}
    assert conditions_on(None, [], {}, common) is None
