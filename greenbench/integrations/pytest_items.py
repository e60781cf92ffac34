"""Tests that run cases: which they are, their names, and what their reports say."""

import shutil
import sys
import warnings
from typing import Any, NoReturn

import pytest

from greenbench.errors import GreenbenchError
from greenbench.machine.places import described
from greenbench.machine.secrets import redact
from greenbench.text import clean
from greenbench.text.streams import fitted

CASE, RUN, BENCHMARK = "greenbench_case", "greenbench_run", "benchmark"
SAID = pytest.StashKey[dict[str, Any]]()


def parameters(item: pytest.Item) -> dict[str, Any]:
    """Return what a test is parametrised with."""
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def is_ours(item: pytest.Item) -> bool:
    """Return whether a test has a case, or runs one."""
    return CASE in parameters(item) or RUN in getattr(item, "fixturenames", ())


def name_of(item: pytest.Item) -> str:
    """Return the id of a test's case, or the test's own where only it knows what it runs."""
    found = parameters(item)
    return found[CASE].id if CASE in found else item.nodeid


def said(item: pytest.Item) -> dict[str, Any]:
    """Return what the reports of a test say, as plain values that xdist can send.

    ``rows`` are results that no other test told, ``again`` the ids of cases that were measured
    before; ``judged`` has the cases that were judged, each with what fewer repeats than it has
    left open, and ``doubts`` the sentences of all that is inconclusive.
    """
    return item.stash.setdefault(SAID, {"rows": [], "again": [], "judged": {}, "doubts": []})


def suite(config: pytest.Config) -> str:
    """Return the suite that is asked for."""
    return str(config.getoption("greenbench_suite") or "ci")


def on_one_line(report: pytest.TestReport | pytest.CollectReport, call: Any) -> None:
    """Leave of an error of ours what it says, and where in the user's code it came from.

    Parameters
    ----------
    report : TestReport or CollectReport
        What pytest made of it.
    call : CallInfo or None
        What was called.
    """
    found = call.excinfo if call else None
    if found is not None and isinstance(found.value, GreenbenchError):
        found.value.args = (described(found.value), *found.value.args[1:])
        report.longrepr = found.getrepr(style="value", chain=False)


def conceal(report: pytest.TestReport) -> None:
    """Take passwords out of what a report shows of a test: values of variables, output, logs."""
    if report.failed:
        text = str(report.longrepr)
        if (hidden := redact(text)) != text:
            report.longrepr = hidden
    report.sections = [(name, redact(text)) for name, text in report.sections]


def conceal_warning(warning: warnings.WarningMessage) -> None:
    """Take passwords out of a warning; one without stays what it is."""
    text = str(warning.message)
    if (hidden := redact(text)) != text:
        warning.message = hidden


def leave(error: GreenbenchError) -> NoReturn:
    """End the run with an error's line and exit code."""
    pytest.exit(f"greenbench: {redact(str(error))}", returncode=error.exit_code)


def encoding() -> str:
    """Return the encoding of what pytest writes to, which is no longer what is captured."""
    return getattr(sys.__stdout__, "encoding", None) or "utf-8"


def write_line(reporter: pytest.TerminalReporter, line: str, *, is_whole: bool = False) -> None:
    """Write a line of ours into pytest's output, cleaned, in letters and width that it has."""
    from greenbench.terminal.wrapping import folded  # noqa: PLC0415

    shown = fitted(clean(line), encoding())
    room = None if is_whole else room_of(reporter)
    for each in [shown] if room is None else folded(shown, room):
        reporter.write_line(each)


def room_of(reporter: pytest.TerminalReporter) -> int | None:
    """Return how many columns pytest's output has in a terminal, or None for a pipe or a file."""
    return shutil.get_terminal_size().columns if reporter.isatty else None
