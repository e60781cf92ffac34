"""Which number of threads takes least: what is tried, what decides, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.doctor.thread_counts import (
    LARGE,
    ROUNDS,
    SMALL,
    ThreadCounts,
    counts_up_to,
    judge_threads,
    to_cases,
)
from greenbench.errors import NotComparableError
from greenbench.results import CaseResult
from greenbench.results.account import Account
from greenbench.results.readings import Provenance
from tests.builders import make_reading, make_result


def result(
    case: Case,
    repeat: int,
    *,
    cpu_s: float | None,
    energy_j: float | None = 36.0,
    provenance: Provenance = Provenance.MODEL,
    other_cpu_s: float = 0.0,
) -> CaseResult:
    """Return a result of 1,000 samples that were trained in 2 s."""
    reading = replace(
        make_reading(energy_j, provenance=provenance), cpu_s=cpu_s, other_cpu_s=other_cpu_s
    )
    return make_result(case, repeat=repeat, account=Account({"train": reading}))


def judged(
    cpu_s: Mapping[int, Sequence[float]],
    energy_j: Mapping[int, float] | None = None,
    *,
    network: Case = SMALL,
    provenance: Provenance = Provenance.MODEL,
) -> ThreadCounts:
    return judge_threads(
        result(
            replace(network, threads=threads),
            repeat,
            cpu_s=seconds,
            energy_j=(energy_j or {}).get(threads, 36.0),
            provenance=provenance,
        )
        for threads, rounds in cpu_s.items()
        for repeat, seconds in enumerate(rounds)
    )


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])],
)
def test_powers_of_two_and_all_cores_are_tried(cores: int, counts: list[int]) -> None:
    assert counts_up_to(cores) == counts


def test_cases_differ_in_threads_alone_and_have_equal_seeds() -> None:
    cases = to_cases([SMALL, LARGE], [1, 2])
    assert [case.threads for case in cases] == [1, 2, 1, 2]
    assert {case.repeats for case in cases} == {ROUNDS}
    assert cases[0].derive_seed("order") == cases[1].derive_seed("order")


def test_least_cpu_time_a_sample_is_best_where_energy_is_estimated() -> None:
    found = judged({1: [1.0] * 5, 2: [2.0] * 5}, energy_j={1: 50.0, 2: 10.0})
    assert found.best == found.networks[0].best == 1
    assert "Energy is not measured here, so CPU time decides" in found.notes[0]
    assert found.networks[0].sentence.endswith(
        "1 thread takes least CPU time a sample; 2 threads take 2 [2, 2] times as much, more "
        "than the spread."
    )


def test_least_energy_a_sample_is_best_where_it_is_measured() -> None:
    found = judged(
        {1: [1.0] * 5, 2: [2.0] * 5}, energy_j={1: 50.0, 2: 10.0}, provenance=Provenance.COUNTER
    )
    assert found.best == 2
    assert (found.networks[0].decides, found.networks[0].provenance) == ("energy", "measured")
    assert found.notes == []


def test_figures_are_of_a_thousand_samples() -> None:
    (network,) = judged({1: [1.5] * 5}, energy_j={1: 36.0}).networks
    (figures,) = network.figures
    assert figures.samples_per_s.median == 500
    assert figures.cpu_s is not None
    assert figures.cpu_s.median == 1.5
    assert figures.energy_j is not None
    assert figures.energy_j.median == 36.0


def test_rounds_are_compared_with_each_other() -> None:
    # Each round was slower than the one before; two threads took a tenth more in each.
    (network,) = judged({1: [1, 2, 3, 4, 5], 2: [1.1, 2.2, 3.3, 4.4, 5.5]}).networks
    assert network.best == 1
    assert network.is_clear
    assert network.figures[1].ratio.median == pytest.approx(1.1)


def test_difference_within_the_spread_is_not_shown() -> None:
    (network,) = judged({1: [1.0, 1.3, 1.0, 1.3, 1.0], 2: [1.3, 1.0, 1.1, 1.0, 1.1]}).networks
    assert not network.is_clear
    assert "no difference is shown" in network.sentence


def test_of_equal_ones_fewer_threads_are_best() -> None:
    assert judged({2: [1.0] * 5, 1: [1.0] * 5, 4: [1.0] * 5}).best == 1


def test_best_over_networks_has_the_least_geometric_mean_and_a_difference_is_said() -> None:
    small = {1: [1.0] * 5, 2: [4.0] * 5}
    large = {1: [3.0] * 5, 2: [2.0] * 5}
    found = judge_threads(
        result(replace(network, threads=threads), repeat, cpu_s=seconds)
        for network, counts in ((LARGE, large), (SMALL, small))
        for threads, rounds in counts.items()
        for repeat, seconds in enumerate(rounds)
    )
    assert [network.best for network in found.networks] == [1, 2]
    assert found.best == 1
    assert "The networks differ" in found.notes[-1]


def test_the_only_core_has_one_thread() -> None:
    (network,) = judged({1: [1.0] * 5}).networks
    assert network.sentence.endswith("there is no core for another.")


def test_disturbed_windows_are_told() -> None:
    case = replace(SMALL, threads=1)
    found = judge_threads(
        result(case, repeat, cpu_s=1.0, other_cpu_s=2.0 if repeat else 0.0) for repeat in range(5)
    )
    assert "during 4 of 5 windows" in found.notes[-1]


def test_unknown_cpu_time_is_refused() -> None:
    with pytest.raises(NotComparableError, match="neither energy nor CPU time is known"):
        judge_threads([result(replace(SMALL, threads=1), 0, cpu_s=None)])


# The command


def doctor(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["doctor", *arguments])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-a", "simple_cnn"],
            "--architecture says what to train: give it with --threads or --compute",
        ),
        (
            ["--batch-size", "8"],
            "--batch-size says what to train: give it with --threads or --compute",
        ),
        (["--threads", "-a", "no_such"], "unknown architecture 'no_such'"),
        (["--threads", "-a", "simple_cnn.huge"], "unknown size of simple_cnn 'huge'"),
        (["--threads", "-d", "no_such"], "unknown dataset 'no_such'"),
        (["--threads", "-b", "no_such"], "unknown backend 'no_such'"),
        (["--threads", "--batch-size", "0"], "batch_size is 0"),
    ],
)
def test_bad_network_is_refused_in_one_line(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = doctor(*arguments)
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert words in done.stderr
    assert not list(tmp_path.glob("greenbench-doctor-*"))
