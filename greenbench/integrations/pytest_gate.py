"""Budgets in pytest: tests fail by them, and a run that left some unjudged fails, too."""

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.cases import Case
from greenbench.errors import BudgetWarning, GreenbenchError
from greenbench.integrations.pytest_items import (
    CASE,
    is_ours,
    leave,
    name_of,
    parameters,
    said,
    write_line,
)
from greenbench.selection import cases_by_suite, known_case_ids
from greenbench.settings import Settings
from greenbench.text import clean, printing

if TYPE_CHECKING:
    from greenbench.gate.judgement import Judgements
    from greenbench.gate.unjudged import Coverage

Row = dict[str, Any]


class Gate:
    """Judges what tests measure, and knows what was not judged, in all processes of xdist.

    Parameters
    ----------
    config : pytest.Config
        Of a run that has a budgets file.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._coverage: Coverage | None = None
        self._doubts: dict[str, None] = {}
        self._left: list[str] = []
        self._rows: list[Row] = []
        self._mistake = ""
        self._is_said = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Read the file before anything runs; under xdist in each process."""
        from greenbench.gate.budgets import read_budgets  # noqa: PLC0415
        from greenbench.gate.unjudged import Coverage  # noqa: PLC0415

        try:
            self._coverage = Coverage(read_budgets(Path(self._config.option.greenbench_budget)))
        except GreenbenchError as error:
            leave(error)

    def expect(self, cases: Iterable[Case]) -> None:
        """Note the cases among which options select."""
        if self._coverage:
            for case in cases:
                self._coverage.cases.setdefault(case.id, "not selected")

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Note what was collected, before anybody deselects."""
        from greenbench.gate.judging import check_cases  # noqa: PLC0415

        self._note(items, "its test did not run")
        if self._coverage and (self._coverage.cases or self._coverage.tests):
            try:
                check_cases(self._coverage.budgets, self._known())
            except GreenbenchError as error:
                if not hasattr(self._config, "workeroutput"):
                    self._coverage = None
                    leave(error)
                # In the place of a process that leaves xdist would start another one.
                self._mistake = f"greenbench: {error}"
                items.clear()

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """Note what ``-k``, ``-m``, ``--lf`` and others leave out."""
        self._note(items, "deselected")

    def judge(self, item: pytest.Item, case: Case, rows: Sequence[Row]) -> list[str]:
        """Return a line for each limit that a case violates; warn of milder ones.

        Parameters
        ----------
        item : pytest.Item
            Who asks.
        case : Case
            What was run.
        rows : sequence of row
            Its results, one a repeat.

        Raises
        ------
        GreenbenchError
            If it cannot be judged.
        """
        from greenbench.gate.judgement import Verdict  # noqa: PLC0415
        from greenbench.gate.wording import sentence  # noqa: PLC0415

        found = self._judgements(rows)
        for each in found.of(Verdict.WARN):
            item.warn(BudgetWarning(sentence(each)))
        doubts, report = found.of(Verdict.INCONCLUSIVE), said(item)
        ran = f"{len(rows)} of {case.repeats} repeats ran"
        is_short = len(rows) < case.repeats
        left = [f"{each.metric} {each.rule}: {ran}" for each in doubts]
        report["judged"][case.id] = left if is_short else []
        report["doubts"] += [] if is_short else [sentence(each) for each in doubts]
        return [sentence(each) for each in found.of(Verdict.FAIL)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a test of ours."""
        known = getattr(report, "greenbench", None)
        if not known or not self._coverage:
            return
        self._doubts.update(dict.fromkeys(known["doubts"]))
        self._rows += known["rows"]
        if known["judged"]:
            self._coverage.judged(known["name"], known["judged"])
        elif why := _why_unjudged(report):
            self._coverage.not_judged(known["name"], why)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a process of xdist collected; the controller collects nothing."""
        found = getattr(node, "workeroutput", {}).get("greenbench")
        if found and self._coverage:
            self._coverage.cases.update(found["cases"])
            self._coverage.tests.update(found["tests"])
            self._mistake = found["mistake"]

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail a run that would pass, though limits were not judged."""
        option, found = self._config.option, self._coverage
        if found is None or option.collectonly or option.setuponly:
            return
        if hasattr(self._config, "workeroutput"):
            known = {"cases": found.cases, "tests": found.tests, "mistake": self._mistake}
            self._config.workeroutput["greenbench"] = known
        elif self._mistake:
            session.exitstatus = GreenbenchError.exit_code
        else:
            self._left = found.lines()
            is_fine = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
            if self._left and is_fine and not option.greenbench_allow_unjudged:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is inconclusive, and what was not judged."""
        self._is_said = True
        if lines := self._lines():
            terminalreporter.section("greenbench budgets")
            for line in lines:
                write_line(terminalreporter, line)

    def pytest_unconfigure(self) -> None:
        """Say it where there is no summary, too."""
        if not self._is_said and not hasattr(self._config, "workeroutput"):
            for line in self._lines():
                printing(sys.stderr).write(f"{clean(line)}\n")

    def _judgements(self, rows: Sequence[Row]) -> "Judgements":
        from greenbench.gate.baselines import find_baseline  # noqa: PLC0415
        from greenbench.gate.builds import family_of  # noqa: PLC0415
        from greenbench.gate.judging import judge  # noqa: PLC0415

        assert self._coverage is not None  # nothing runs before it is collected
        option, settings = self._config.option, Settings.from_environment(os.environ)
        return judge(
            rows,
            self._coverage.budgets,
            find_baseline(
                option.greenbench_baseline, rows, settings.tracking_uri, settings.store_timeout_s
            ),
            known_cases=self._known(),
            include_disturbed=option.greenbench_include_disturbed,
            family=family_of(self._coverage.budgets, self._coverage.cases),
        )

    def _lines(self) -> list[str]:
        if self._mistake:
            return [self._mistake]
        lines = [f"inconclusive: {each}" for each in self._doubts]
        lines += [f"not judged: {each}" for each in self._left]
        if self._left and self._coverage:
            is_allowed = self._config.option.greenbench_allow_unjudged
            what = "was allowed" if is_allowed else "fails; --greenbench-allow-unjudged allows it"
            lines.append(f"{self._coverage.budgets.path}: not all was judged, which {what}")
        return [*lines, *self._gone()]

    def _gone(self) -> list[str]:
        """Return a note on cases of the baseline that are no more."""
        from greenbench.gate.baselines import find_baseline  # noqa: PLC0415
        from greenbench.gate.gone import gone_cases, gone_note  # noqa: PLC0415

        settings = Settings.from_environment(os.environ)
        named = {str(row["suite"]) for row in self._rows}
        try:
            reference = self._config.option.greenbench_baseline
            baseline = find_baseline(
                reference, self._rows, settings.tracking_uri, settings.store_timeout_s
            )
        except GreenbenchError:
            # Whatever is judged says so.
            return []
        suites = cases_by_suite(named, settings.data_dir)
        collected = self._coverage.cases if self._coverage else ()
        found = [name for name in gone_cases(baseline, self._rows, suites) if name not in collected]
        return [f"Note: {gone_note(found, named, baseline)}"] if found and baseline else []

    def _note(self, items: Iterable[pytest.Item], why: str) -> None:
        for item in filter(is_ours, items):
            if self._coverage:
                is_case = CASE in parameters(item)
                noted = self._coverage.cases if is_case else self._coverage.tests
                noted[name_of(item)] = why

    def _known(self) -> list[str]:
        """Return the ids of all cases, in the order of the answers."""
        data_dir = Settings.from_environment(os.environ).data_dir
        return [*(self._coverage.cases if self._coverage else ()), *known_case_ids(data_dir)]


GATE = pytest.StashKey[Gate]()


def _why_unjudged(report: pytest.TestReport) -> str | None:
    if report.skipped:
        return report.longrepr[2] if isinstance(report.longrepr, tuple) else "expected to fail"
    if report.failed:
        return "its test failed before"
    return "its test did not run it" if report.when == "call" else None
