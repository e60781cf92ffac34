"""The pytest plugin: cases as benchmarks, and a summary of what they cost.

A test that takes the fixture ``greenbench_case`` is run for every selected case; the
fixture ``greenbench_run`` runs one.
"""

import os
import random
import statistics
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from greenbench import registry
from greenbench.cases import Case
from greenbench.cases.spelling import spelled_once
from greenbench.errors import BudgetWarning, GreenbenchError
from greenbench.selection import Selection
from greenbench.settings import Settings

CASE = "greenbench_case"
BUDGET = ("trials", "epochs", "repeats", "threads")
ROWS = pytest.StashKey[list[dict[str, Any]]]()
BUDGETS = pytest.StashKey[tuple[Any, list[str]]]()
EXTRA_INFO = pytest.StashKey[dict[str, Any]]()
PLACE = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that select cases."""
    group = parser.getgroup("greenbench", "energy benchmarks of training")
    group.addoption("--greenbench-suite", metavar="NAME", help="suite to run (default: ci)")
    for part in ("strategy", "architecture", "backend", "dataset"):
        group.addoption(
            f"--greenbench-{part}",
            action="append",
            default=[],
            metavar="NAME",
            help=f"only cases with this {part}; repeatable",
        )
    group.addoption("--greenbench-case", metavar="GLOB", help="only case ids that match")
    for field in BUDGET:
        group.addoption(f"--greenbench-{field}", type=int, metavar="N", help=f"set the {field}")
    group.addoption(
        "--greenbench-keep-order",
        action="store_true",
        help="run cases in the order of the suite, not in random order",
    )
    group.addoption(
        "--greenbench-budget", metavar="FILE", help="fail cases that cost more than it allows"
    )
    group.addoption(
        "--greenbench-baseline",
        metavar="B",
        help="a file, run:ID or tag:NAME=TEXT (default: benchmarks/baselines/SUITE.json)",
    )
    group.addoption("--greenbench-meter", metavar="NAMES", help="such as 'codecarbon,zeus'")
    group.addoption(
        "--greenbench-include-disturbed",
        action="store_true",
        help="count samples that other processes disturbed",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register our mark and the summary; whoever takes no case of ours pays for no more."""
    config.addinivalue_line(
        "markers", "greenbench(cases): run these cases instead of a suite's, a list of Case"
    )
    config.pluginmanager.register(_Summary(config), "greenbench-summary")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle our cases among their places: a machine that warms up must favour nobody."""
    places = [place for place, item in enumerate(items) if CASE in _parameters(item)]
    if places and config.getoption("greenbench_budget"):
        config.stash[BUDGETS] = _budgets(config, items)
    for place in places:
        items[place].stash[PLACE] = place
    if config.getoption("greenbench_keep_order"):
        return
    # xdist wants the same order in all of its processes.
    order = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID"))
    moved = [items[place] for place in order.sample(places, len(places))]
    for place, item in zip(places, moved, strict=True):
        items[place] = item


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise a test that takes ``greenbench_case`` with the selected cases."""
    if CASE not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("greenbench")
    try:
        cases = _selected(metafunc.config, marker.args[0] if marker and marker.args else None)
    except GreenbenchError as error:
        pytest.exit(f"greenbench: {error}", returncode=error.exit_code)
    _register_marks(metafunc.config, cases)
    metafunc.parametrize(CASE, [pytest.param(c, id=c.id, marks=_marks(c)) for c in cases])


@pytest.fixture(scope="session")
def greenbench_session(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Hold the workers, the host lock and the journal behind all cases of this pytest run."""
    from greenbench.results.marks import mark_drift  # noqa: PLC0415
    from greenbench.running.session import Session  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    items = request.session.items
    parameters = map(_parameters, items)
    cases = list(dict.fromkeys(found[CASE] for found in parameters if CASE in found))
    config = request.config
    meter = config.getoption("greenbench_meter")
    settings = Settings.from_environment(os.environ, meter=meter)
    with (
        Progress(cases, _Uncaptured(config)) as progress,
        Session(
            settings, _suite(config), cases, progress, is_fresh=True, is_resumable=False
        ) as session,
    ):
        yield session
    for item in items:
        rows = item.stash.get(ROWS, [])
        for row in rows:
            mark_drift(row, session.idle_drift)
        # pytest-benchmark writes its file later than this.
        item.stash.get(EXTRA_INFO, {}).update(_extra_info(rows))


@pytest.fixture
def greenbench_run(
    request: pytest.FixtureRequest, greenbench_session: Any
) -> Callable[[Case], list[Any]]:
    """Return a function that runs all repeats of a case and returns their results."""
    from greenbench.results.table import to_row, to_trial_rows  # noqa: PLC0415
    from greenbench.running.session import check_completed  # noqa: PLC0415

    def run(case: Case) -> list[Any]:
        results: list[Any] = []
        session = greenbench_session
        case = spelled_once(case, session.settings.data_dir)

        def one_repeat() -> None:
            results.append(session.run_repeat(case, len(results)))

        def deliver_last() -> None:
            if results:
                session.deliver(results[-1])

        benchmark = _benchmark(request)
        rounds = case.repeats
        try:
            if benchmark is None:
                for _ in range(rounds):
                    deliver_last()
                    one_repeat()
            else:
                benchmark.group = f"greenbench {_suite(request.config)}"
                # Each round is a repeat, with a seed of its own; the worker warms up by itself.
                # Logging is none of a round's time.
                benchmark.pedantic(one_repeat, setup=deliver_last, rounds=rounds)
        finally:
            deliver_last()
        of_session = {"session": session.folder.name}
        rows = [{**to_row(result), **of_session} for result in results]
        if benchmark is not None:
            trials = [
                {**trial, **of_session} for result in results for trial in to_trial_rows(result)
            ]
            benchmark.extra_info.update(_extra_info(rows), trials=trials)
            request.node.stash[EXTRA_INFO] = benchmark.extra_info
        request.node.stash[ROWS] = rows
        try:
            for result in results:
                check_completed(result)
            violations = _violations(request.node, rows)
        except GreenbenchError as error:
            pytest.fail(str(error), pytrace=False)
        if violations:
            pytest.fail("\n".join(violations), pytrace=False)
        return results

    return run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """Send the rows along with the report, which reaches the controller under xdist, too."""
    report = yield
    if report.when == "call":
        report.greenbench_rows = item.stash.get(ROWS, [])
        report.greenbench_place = item.stash.get(PLACE, 0)
    return report


class _Summary:
    """Collects rows from reports, and prints them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._found: list[tuple[int, list[dict[str, Any]]]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if rows := getattr(report, "greenbench_rows", None):
            self._found.append((getattr(report, "greenbench_place", 0), rows))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._found:
            return
        in_order = sorted(self._found, key=lambda found: found[0])
        rows = [row for _, rows in in_order for row in rows]
        from greenbench.terminal import new_console, print_summary  # noqa: PLC0415

        terminalreporter.section("greenbench")
        if reason := _why_untimed(self._config):
            terminalreporter.write_line(reason)
        text = StringIO()
        include = self._config.getoption("greenbench_include_disturbed")
        print_summary(rows, new_console(text), include_disturbed=include)
        for line in text.getvalue().splitlines():
            terminalreporter.write_line(line.rstrip())


class _Uncaptured(StringIO):
    """The real standard error, which pytest captures while a test runs."""

    def __init__(self, config: pytest.Config) -> None:
        super().__init__()
        capture = config.pluginmanager.getplugin("capturemanager")
        self._uncaptured = capture.global_and_fixture_disabled if capture else nullcontext

    def write(self, text: str) -> int:
        with self._uncaptured():
            sys.stderr.write(text)
            sys.stderr.flush()
        return len(text)

    def isatty(self) -> bool:
        with self._uncaptured():
            return sys.stderr.isatty()


def _selected(config: pytest.Config, marked: Sequence[Case] | None) -> list[Case]:
    def option(name: str) -> Any:
        return config.getoption(f"greenbench_{name}")

    registry.load_plugins()
    selection = Selection(
        suite=_suite(config),
        strategies=option("strategy"),
        networks=option("architecture"),
        backends=option("backend"),
        datasets=option("dataset"),
        pattern=option("case"),
        budget={name: option(name) for name in BUDGET},
        listed=marked,
        data_dir=Settings.from_environment(os.environ).data_dir,
    )
    return selection.cases()


def _budgets(config: pytest.Config, items: Sequence[pytest.Item]) -> tuple[Any, list[str]]:
    """Read the budgets, and the ids of all cases, before anything runs."""
    from greenbench.gate.budgets import read_budgets  # noqa: PLC0415
    from greenbench.gate.judging import check_cases  # noqa: PLC0415
    from greenbench.selection import known_case_ids  # noqa: PLC0415

    collected = [_parameters(item)[CASE].id for item in items if CASE in _parameters(item)]
    try:
        data_dir = Settings.from_environment(os.environ).data_dir
        known = [*collected, *known_case_ids(data_dir)]
        budgets = read_budgets(Path(config.getoption("greenbench_budget")))
        check_cases(budgets, known)
    except GreenbenchError as error:
        pytest.exit(f"greenbench: {error}", returncode=error.exit_code)
    return budgets, known


def _violations(item: pytest.Item, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each limit that the results of a case violate; warn of milder ones."""
    config = item.config
    if BUDGETS not in config.stash:
        return []
    budgets, known = config.stash[BUDGETS]
    from greenbench.gate.baselines import find_baseline  # noqa: PLC0415
    from greenbench.gate.judgement import Verdict  # noqa: PLC0415
    from greenbench.gate.judging import judge  # noqa: PLC0415
    from greenbench.gate.wording import sentence  # noqa: PLC0415

    settings = Settings.from_environment(os.environ)
    reference = config.getoption("greenbench_baseline")
    baseline = find_baseline(reference, rows, settings.tracking_uri)
    include = config.getoption("greenbench_include_disturbed")
    found = judge(rows, budgets, baseline, known_cases=known, include_disturbed=include)
    for each in found.of(Verdict.WARN):
        item.warn(BudgetWarning(sentence(each)))
    return [sentence(each) for each in found.of(Verdict.FAIL)]


def _suite(config: pytest.Config) -> str:
    return str(config.getoption("greenbench_suite") or "ci")


def _parts(case: Case) -> tuple[str, ...]:
    return case.strategy, case.architecture, case.backend, case.dataset


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    return [getattr(pytest.mark, name) for name in _parts(case)]


def _register_marks(config: pytest.Config, cases: Sequence[Case]) -> None:
    for name in sorted({part for case in cases for part in _parts(case)}):
        config.addinivalue_line("markers", f"{name}: greenbench cases with this part")


def _parameters(item: pytest.Item) -> dict[str, Any]:
    callspec = getattr(item, "callspec", None)
    return callspec.params if callspec else {}


def _benchmark(request: pytest.FixtureRequest) -> Any:
    if not request.config.pluginmanager.hasplugin("benchmark"):
        return None
    return request.getfixturevalue("benchmark")


def _why_untimed(config: pytest.Config) -> str | None:
    if not config.pluginmanager.hasplugin("benchmark"):
        return "pytest-benchmark is off: cases ran, but their times are not in its table."
    if getattr(config.option, "numprocesses", None):
        return (
            "xdist is on, which turns pytest-benchmark off: each case ran once, one at a time, "
            "because two on one machine would measure each other."
        )
    if getattr(config.option, "benchmark_disable", False):
        return "pytest-benchmark is disabled: each case ran once."
    return None


def _extra_info(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return medians of numbers, common texts, all marks, and all rows under ``repeats``."""
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
