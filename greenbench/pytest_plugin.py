"""The pytest plugin: cases as benchmarks, and a summary of what they cost.

A test that takes the fixture ``greenbench_case`` is run for every selected case; the
fixture ``greenbench_run`` runs one.
"""

import os
import random
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from greenbench import registry
from greenbench.cases import Case
from greenbench.errors import GreenbenchError
from greenbench.integrations import pytest_energy
from greenbench.integrations.pytest_gate import GATE, Gate
from greenbench.integrations.pytest_items import (
    BENCHMARK,
    CASE,
    RUN,
    SAID,
    conceal,
    conceal_warning,
    encoding,
    is_ours,
    name_of,
    on_one_line,
    parameters,
    room_of,
    said,
    suite,
    write_line,
)
from greenbench.integrations.pytest_marks import Marked, marked, register_suites, suite_of
from greenbench.integrations.pytest_run import EXTRA_INFO, Run
from greenbench.integrations.pytest_run import extra_info as _extra_info
from greenbench.integrations.pytest_turns import TURNS, Turns, announced, takes_turns
from greenbench.machine.surroundings import provide_home
from greenbench.selection import Selection
from greenbench.settings import Scope, Settings, home_of_nobody, unread

BUDGET = ("trials", "epochs", "repeats", "threads", "devices")
Row = dict[str, Any]
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
        "--greenbench-allow-unjudged",
        action="store_true",
        help="let the run pass though limits of the budget were not judged",
    )
    group.addoption(
        "--greenbench-baseline",
        metavar="B",
        help="a file, run:ID or tag:NAME=TEXT (default: benchmarks/baselines/SUITE.json)",
    )
    group.addoption("--greenbench-meter", metavar="NAMES", help="such as 'codecarbon,zeus'")
    group.addoption("--greenbench-headline", metavar="SCOPE", help=", ".join(Scope))
    group.addoption(
        "--greenbench-idle",
        type=float,
        metavar="SECONDS",
        help="for how long idle power is measured before and after; 0 leaves it out (default: 3)",
    )
    group.addoption(
        "--greenbench-cool-down",
        action="store_true",
        help="before each repeat, wait until the GPU is as cool as before the first one",
    )
    group.addoption(
        "--greenbench-include-disturbed",
        action="store_true",
        help="count samples that other processes disturbed",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register our mark and the summary; whoever takes no case of ours pays for no more."""
    config.addinivalue_line(
        "markers",
        "greenbench(cases, suite=None): run these cases, a list of Case, instead of a suite's; "
        "with a name, they make a suite",
    )
    provide_home(os.environ, home_of_nobody(os.environ))
    config.pluginmanager.register(_Summary(config), "greenbench-summary")
    config.pluginmanager.register(pytest_energy, "greenbench-energy")
    if config.getoption("greenbench_budget"):
        gate = config.stash[GATE] = Gate(config)
        config.pluginmanager.register(gate, "greenbench-gate")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make a benchmark of a test that runs cases, for pytest-benchmark's options."""
    names = getattr(item, "fixturenames", [])
    if RUN in names and BENCHMARK not in names and item.config.pluginmanager.hasplugin(BENCHMARK):
        names.append(BENCHMARK)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Shuffle our cases among their places: a machine that warms up must favour nobody."""
    places = [place for place, item in enumerate(items) if CASE in parameters(item)]
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
    register_suites(metafunc.module)
    found = marked(metafunc.definition)
    if (
        found
        and found.suite
        and metafunc.config.getoption("greenbench_suite")
        not in (
            None,
            found.suite,
        )
    ):
        # Another suite is asked for: its test is skipped.
        metafunc.parametrize(CASE, [])
        return
    cases = _selected(metafunc.config, found)
    if gate := metafunc.config.stash.get(GATE, None):
        # An option may not fit a case that it does not select.
        with suppress(GreenbenchError):
            gate.expect(_selected(metafunc.config, found, is_narrowed=False))
    _register_marks(metafunc.config, cases)
    metafunc.parametrize(CASE, [pytest.param(c, id=c.id, marks=_marks(c)) for c in cases])


@pytest.fixture(scope="session")
def greenbench_session(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Hold the workers, the host lock and the journal behind all cases of this pytest run."""
    from greenbench.running.session import Session  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    config, items = request.config, request.session.items
    if config.getoption("benchmark_skip", False) and not config.getoption("benchmark_only"):
        # Whoever asks for us late has started nothing, either.
        pytest.skip("benchmarks are skipped (--benchmark-skip)")
    ours = [item for item in items if is_ours(item)]
    found = map(parameters, ours)
    cases = list(dict.fromkeys(each[CASE] for each in found if CASE in each))
    suites = list(dict.fromkeys(suite_of(item, suite(config)) for item in ours))
    settings = _settings(config)
    with (
        Progress(cases, _uncaptured(config)) as progress,
        Session(
            settings,
            suites[0] if len(suites) == 1 else suite(config),
            cases,
            progress,
            is_fresh=True,
            is_resumable=False,
        ) as session,
    ):
        for line in unread(os.environ):
            progress.notice(line)
        config.stash[TURNS] = Turns(
            session,
            progress,
            announced(ours, suite(config), settings.data_dir) if takes_turns(config) else (),
            keeps_order=config.getoption("greenbench_keep_order"),
            stops_at_failure=config.getoption("maxfail") == 1,
        )
        yield session
    _mark_hot(items)
    for item in items:
        _mark_drift(item, session)


def _mark_hot(items: Sequence[pytest.Item]) -> None:
    from greenbench.results.heat import mark_hot  # noqa: PLC0415

    mark_hot([row for item in items if SAID in item.stash for row in said(item)["rows"]])


def _mark_drift(item: pytest.Item, session: Any) -> None:
    from greenbench.results.marks import mark_drift  # noqa: PLC0415

    rows = said(item)["rows"] if SAID in item.stash else []
    for row in rows:
        if row["session"] == session.folder.name:
            mark_drift(row, session.idle_drift)
    # pytest-benchmark writes its file later than this.
    item.stash.get(EXTRA_INFO, {}).update(_extra_info(rows))


@pytest.fixture
def greenbench_run(
    request: pytest.FixtureRequest,
    greenbench_session: Any,  # opens it
) -> Iterator[Callable[[Case], list[Any]]]:
    """Return a function that runs all repeats of a case and returns their results."""
    run = Run(request.node, request.config.stash[TURNS], _benchmark(request))
    yield run
    run.close()


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, Any]:
    """Show our errors on one line, as the command line does."""
    report = yield
    on_one_line(report, getattr(report, "call", None))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, Any]:
    """Send what is known along with the report, which reaches the controller under xdist, too."""
    report = yield
    on_one_line(report, call)
    if is_ours(item):
        conceal(report)
    if is_ours(item) or SAID in item.stash:
        place = item.stash.get(PLACE, 0)
        report.greenbench = {"name": name_of(item), "place": place, **said(item)}
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_warning_recorded(warning_message: warnings.WarningMessage) -> None:
    """Take passwords out of what the summary of warnings shows."""
    conceal_warning(warning_message)


class _Summary:
    """Collects rows from reports, and prints them at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._found: list[tuple[int, list[Row]]] = []
        self._again: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if known := getattr(report, "greenbench", None):
            self._found.append((known["place"], known["rows"]))
            # A test that is run again says all that it said before, too.
            self._again[report.nodeid] = known["again"]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        rows = self._rows()
        if not rows:
            return
        from greenbench.terminal import summary_lines  # noqa: PLC0415

        terminalreporter.section("greenbench")
        if reason := _why_untimed(self._config):
            write_line(terminalreporter, reason)
        include = self._config.getoption("greenbench_include_disturbed")
        room = room_of(terminalreporter)
        for line in summary_lines(rows, encoding(), width=room, include_disturbed=include):
            write_line(terminalreporter, line, is_whole=True)
        for failure in registry.broken_plugins():
            write_line(terminalreporter, f"Warning: {failure}")
        for case_id, times in Counter(chain.from_iterable(self._again.values())).items():
            write_line(
                terminalreporter,
                f"{case_id}: asked for {times} more time{'' if times == 1 else 's'}, and measured "
                "once: its samples count once; for more of them, --greenbench-repeats",
            )

    def _rows(self) -> list[Row]:
        in_order = sorted(self._found, key=lambda found: found[0])
        kept: dict[tuple[str, int], Row] = {}
        for row in (row for _, rows in in_order for row in rows):
            # Two processes of xdist may both have run it, with the same seed.
            kept.setdefault((row["case_hash"], row["repeat"]), row)
        return list(kept.values())


def _selected(
    config: pytest.Config, found: Marked | None, *, is_narrowed: bool = True
) -> list[Case]:
    def option(name: str) -> Any:
        return config.getoption(f"greenbench_{name}")

    registry.load_plugins()
    whole = Selection(
        suite=(found and found.suite) or suite(config),
        budget={name: option(name) for name in BUDGET},
        listed=found.cases if found else None,
        data_dir=_settings(config).data_dir,
    )
    if not is_narrowed:
        return whole.cases()
    return replace(
        whole,
        strategies=option("strategy"),
        networks=option("architecture"),
        backends=option("backend"),
        datasets=option("dataset"),
        pattern=option("case"),
    ).cases()


def _settings(config: pytest.Config) -> Settings:
    from greenbench.energy.meters import check_meters  # noqa: PLC0415

    settings = Settings.from_environment(
        os.environ,
        meter=config.getoption("greenbench_meter"),
        idle_s=config.getoption("greenbench_idle"),
        cool_down=config.getoption("greenbench_cool_down"),
        headline=config.getoption("greenbench_headline"),
    )
    check_meters(settings.meter)
    return settings


def _parts(case: Case) -> tuple[str, ...]:
    named = (case.task, case.optimizer, case.schedule)
    return case.strategy, case.architecture, case.backend, case.dataset, *filter(None, named)


def _marks(case: Case) -> list[pytest.MarkDecorator]:
    return [getattr(pytest.mark, name) for name in _parts(case)]


def _register_marks(config: pytest.Config, cases: Sequence[Case]) -> None:
    for name in sorted({part for case in cases for part in _parts(case)}):
        config.addinivalue_line("markers", f"{name}: greenbench cases with this part")


def _uncaptured(config: pytest.Config) -> Any:
    from greenbench.terminal.uncaptured import Uncaptured  # noqa: PLC0415

    capture = config.pluginmanager.getplugin("capturemanager")
    return Uncaptured(capture.global_and_fixture_disabled if capture else nullcontext)


def _benchmark(request: pytest.FixtureRequest) -> Any:
    if not request.config.pluginmanager.hasplugin(BENCHMARK):
        return None
    return request.getfixturevalue(BENCHMARK)


def _why_untimed(config: pytest.Config) -> str | None:
    if not config.pluginmanager.hasplugin(BENCHMARK):
        return "pytest-benchmark is off: cases ran, but their times are not in its table."
    if getattr(config.option, "numprocesses", None):
        return (
            "xdist is on, which turns pytest-benchmark off: each case ran once, one at a time, "
            "because two on one machine would measure each other."
        )
    if getattr(config.option, "benchmark_disable", False):
        return "pytest-benchmark is disabled: each case ran once."
    return None
