"""What `greenbench_run` does for one test: each sample is measured, timed and told once."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.cases import Case
from greenbench.cases.spelling import spelled_once
from greenbench.errors import GreenbenchError
from greenbench.integrations.pytest_gate import GATE
from greenbench.integrations.pytest_items import said, suite
from greenbench.integrations.pytest_marks import suite_of
from greenbench.machine.secrets import redact

if TYPE_CHECKING:
    from greenbench.results import CaseResult
    from greenbench.running.session import Session

Row = dict[str, Any]
Key = tuple[str, int]


@dataclass
class Samples:
    """What this run of pytest has measured, whichever test asked for it.

    Attributes
    ----------
    measured : dict of (hash, repeat) to (CaseResult, str)
        Results, each with the name of its session.
    told : set of (hash, repeat)
        Those that are in a test's report.
    """

    measured: "dict[Key, tuple[CaseResult, str]]" = field(default_factory=dict)
    told: set[Key] = field(default_factory=set)


SAMPLES = pytest.StashKey[Samples]()
EXTRA_INFO = pytest.StashKey[dict[str, Any]]()


class Run:
    """Runs cases for one test.

    Parameters
    ----------
    item : pytest.Item
        The test.
    session : Session
        Runs a repeat.
    benchmark : BenchmarkFixture or None
        Of pytest-benchmark, if that is there.
    """

    def __init__(self, item: pytest.Item, session: "Session", benchmark: Any) -> None:
        self._item, self._session, self._benchmark = item, session, benchmark
        self._samples = item.config.stash.setdefault(SAMPLES, Samples())
        self._suite = suite_of(item, suite(item.config))
        self._is_timed = False

    def __call__(self, case: Case) -> "list[CaseResult]":
        """Return the results of all repeats of a case; fail the test for what is wrong with them.

        Parameters
        ----------
        case : Case
            Any; that of the test, as a rule.
        """
        from greenbench.results.table import to_row  # noqa: PLC0415
        from greenbench.running.session import check_completed  # noqa: PLC0415

        case = spelled_once(case, self._session.settings.data_dir)
        keys = self._run(case)
        samples = [self._samples.measured[key] for key in keys]
        rows = [{**to_row(result), "session": session} for result, session in samples]
        self._tell(keys, rows)
        gate = self._item.config.stash.get(GATE, None)
        try:
            for result, _ in samples:
                check_completed(result)
            violations = gate.judge(self._item, case, rows) if gate else []
        except GreenbenchError as error:
            pytest.fail(redact(str(error)), pytrace=False)
        if violations:
            pytest.fail("\n".join(violations), pytrace=False)
        return [result for result, _ in samples]

    def close(self) -> None:
        """Tell pytest-benchmark that nothing was to be timed, if all was measured before."""
        if said(self._item)["again"] and not self._is_timed and self._benchmark is not None:
            self._benchmark.disabled = True
            self._benchmark.pedantic(lambda: None)

    def _run(self, case: Case) -> list[Key]:
        """Measure what no test has, and return what belongs to the case."""
        is_short = self._benchmark is not None and self._benchmark.disabled
        keys = [(case.hash, repeat) for repeat in range(1 if is_short else case.repeats)]
        due = [repeat for _, repeat in keys if (case.hash, repeat) not in self._samples.measured]
        if len(due) < len(keys):
            said(self._item)["again"].append(case.id)
        if due:
            self._measure(case, due)
        return keys

    def _measure(self, case: Case, due: Sequence[int]) -> None:
        pending = iter(due)
        last: list[CaseResult] = []

        def one_repeat() -> None:
            # A profiler of pytest-benchmark calls once more, which is no sample.
            if (repeat := next(pending, None)) is not None:
                last.append(self._session.run_repeat(case, repeat, self._suite))
                self._samples.measured[case.hash, repeat] = last[0], self._session.folder.name

        def deliver_last() -> None:
            if last:
                self._session.deliver(last.pop())

        try:
            if self._benchmark is None:
                for _ in due:
                    deliver_last()
                    one_repeat()
            else:
                self._is_timed = True
                self._benchmark.group = f"greenbench {self._suite}"
                # Each round is a repeat, with a seed of its own; the worker warms up by itself.
                # Logging is none of a round's time.
                self._benchmark.pedantic(one_repeat, setup=deliver_last, rounds=len(due))
        finally:
            deliver_last()

    def _tell(self, keys: Sequence[Key], rows: Sequence[Row]) -> None:
        """Put results into the report and pytest-benchmark's file, unless another test did."""
        from greenbench.results.table import to_trial_rows  # noqa: PLC0415

        told = self._samples.told
        fresh = {key: row for key, row in zip(keys, rows, strict=True) if key not in told}
        told.update(fresh)
        own = said(self._item)["rows"]
        own += fresh.values()
        if not fresh or not self._is_timed:
            return
        samples = [self._samples.measured[key] for key in fresh]
        trials = [
            {**trial, "session": session}
            for result, session in samples
            for trial in to_trial_rows(result)
        ]
        self._benchmark.extra_info.update(extra_info(own), trials=trials)
        self._item.stash[EXTRA_INFO] = self._benchmark.extra_info


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
