"""What `greenbench_run` does for one test: each sample is measured, timed and told once."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import update_wrapper
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.cases import Case
from greenbench.errors import GreenbenchError
from greenbench.integrations.pytest_gate import GATE
from greenbench.integrations.pytest_items import said, suite
from greenbench.integrations.pytest_turns import Asked, Key, Turns, asked
from greenbench.machine.secrets import redact

if TYPE_CHECKING:
    from greenbench.results import CaseResult

Row = dict[str, Any]

EXTRA_INFO = pytest.StashKey[dict[str, Any]]()


class Run:
    """Runs cases for one test.

    Parameters
    ----------
    item : pytest.Item
        The test.
    turns : Turns
        Measure, and know what is measured.
    benchmark : BenchmarkFixture or None
        Of pytest-benchmark, if that is there.
    """

    def __init__(self, item: pytest.Item, turns: Turns, benchmark: Any) -> None:
        self._item, self._turns, self._benchmark = item, turns, benchmark
        self._is_timed = False

    def __call__(self, case: Case) -> "list[CaseResult]":
        """Return the results of all repeats of a case; fail the test for what is wrong with them.

        Parameters
        ----------
        case : Case
            Any; that of the test, as a rule.
        """
        from greenbench.results.table import to_row  # noqa: PLC0415
        from greenbench.running.case_checks import check_completed  # noqa: PLC0415

        data_dir = self._turns.session.settings.data_dir
        wanted = asked(self._item, case, suite(self._item.config), data_dir)
        keys = self._run(wanted)
        samples = [self._turns.measured[key] for key in keys]
        rows = [{**to_row(each.result), "session": each.session} for each in samples]
        self._tell(keys, rows)
        gate = self._item.config.stash.get(GATE, None)
        try:
            for each in samples:
                check_completed(each.result)
            violations = gate.judge(self._item, wanted.case, rows) if gate else []
        except GreenbenchError as error:
            pytest.fail(redact(str(error)), pytrace=False)
        if violations:
            pytest.fail("\n".join(violations), pytrace=False)
        return [each.result for each in samples]

    def close(self) -> None:
        """Tell pytest-benchmark that nothing was to be timed, if all was measured before."""
        if said(self._item)["again"] and not self._is_timed and self._benchmark is not None:
            self._benchmark.disabled = True
            self._benchmark.pedantic(lambda: None)

    def _run(self, wanted: Asked) -> list[Key]:
        """Have measured what no test has, and return what belongs to the case."""
        case, is_short = wanted.case, self._benchmark is not None and self._benchmark.disabled
        keys = [(case.hash, repeat) for repeat in range(1 if is_short else case.repeats)]
        fresh = [key for key in keys if key not in self._turns.told]
        if len(fresh) < len(keys):
            said(self._item)["again"].append(case.id)
        if fresh and self._benchmark is None:
            self._turns.measure(wanted, len(keys))
        elif fresh:
            self._time(wanted, fresh, len(keys))
        return keys

    def _time(self, wanted: Asked, fresh: Sequence[Key], rounds: int) -> None:
        """Let pytest-benchmark time repeats as its rounds, which may have been measured before."""
        replay = _Replay(wanted.timer)

        def measure() -> None:
            if not replay.is_loaded:
                self._turns.measure(wanted, rounds)
                replay.load([self._turns.measured[key].seconds for key in fresh])

        self._is_timed = True
        self._benchmark.group = f"greenbench {wanted.suite}"
        self._benchmark._timer = replay
        # Each round is a repeat, with a seed of its own; the worker warms up by itself.
        self._benchmark.pedantic(lambda: None, setup=measure, rounds=len(fresh))

    def _tell(self, keys: Sequence[Key], rows: Sequence[Row]) -> None:
        """Put results into the report and pytest-benchmark's file, unless another test did."""
        from greenbench.results.table import to_trial_rows  # noqa: PLC0415

        told = self._turns.told
        fresh = {key: row for key, row in zip(keys, rows, strict=True) if key not in told}
        told.update(fresh)
        own = said(self._item)["rows"]
        own += fresh.values()
        if not fresh or not self._is_timed:
            return
        samples = [self._turns.measured[key] for key in fresh]
        trials = [
            {**trial, "session": each.session}
            for each in samples
            for trial in to_trial_rows(each.result)
        ]
        self._benchmark.extra_info.update(extra_info(own), trials=trials)
        self._item.stash[EXTRA_INFO] = self._benchmark.extra_info


class _Replay:
    """A timer by which rounds take what repeats took, under the name of the one that timed them."""

    def __init__(self, timer: Callable[[], float]) -> None:
        update_wrapper(self, timer)
        self._edges: Iterator[float] | None = None

    @property
    def is_loaded(self) -> bool:
        return self._edges is not None

    def load(self, seconds: Sequence[float]) -> None:
        # Differences from 0 are exact.
        self._edges = chain.from_iterable((0.0, each) for each in seconds)

    def __call__(self) -> float:
        # A profiler of pytest-benchmark calls once more, which is no sample.
        return next(self._edges or iter(()), 0.0)


def extra_info(rows: Sequence[Row]) -> dict[str, Any]:
    """Return medians of numbers, common texts, all marks, and all rows under ``repeats``.

    Parameters
    ----------
    rows : sequence of row
        One a repeat.
    """
    from greenbench.results.marks import merge_marks  # noqa: PLC0415

    summary: dict[str, Any] = {}
    # Under this name are the trials themselves; how many there were is said of each repeat.
    columns = [column for column in (rows[0] if rows else ()) if column != "trials"]
    for column in columns:
        # A text or a number may be unknown in some repeats, such as a peak of memory.
        known = [row[column] for row in rows if row[column] is not None]
        if known and isinstance(known[0], str):
            texts = sorted(set(known))
            summary[column] = texts[0] if len(texts) == 1 else texts
        else:
            summary[column] = statistics.median(known) if known else None
    marks = merge_marks(row["marks"] for row in rows)
    return {**summary, "marks": marks, "repeats": list(rows)}
