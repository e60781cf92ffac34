"""The fixture ``energy``: what any test uses, and a budget that it fails by; no case is needed."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.errors import BudgetWarning, ConfigurationError
from greenbench.machine.secrets import redact
from greenbench.settings import Settings

if TYPE_CHECKING:
    from greenbench.measuring import Measurement, Window


class Energy:
    """Measures a test, or blocks in it, and fails it if it takes more than its budget.

    Parameters
    ----------
    item : pytest.Item
        The test.

    Attributes
    ----------
    measurements : list of Measurement
        What was measured in this test, in the order in which it ended.
    """

    def __init__(self, item: pytest.Item) -> None:
        self._item = item
        self._budget: tuple[Window, float | None] | None = None
        self.measurements: list[Measurement] = []

    def budget(self, max_wh: float) -> None:
        """Measure from here to the end of the test, which fails if that takes more.

        Parameters
        ----------
        max_wh : float
            What is allowed, in Wh.

        Raises
        ------
        ConfigurationError
            If it is no number above 0, or the test has a budget already.
        """
        from greenbench.measuring.asked import check_max_wh, fitting_name  # noqa: PLC0415

        limit_wh = check_max_wh(max_wh)
        if self._budget is not None:
            raise ConfigurationError(
                f"{self._item.nodeid} has a budget already; `energy.measure` measures a part of it"
            )
        window = self._window(fitting_name(self._item.name, "test"))
        window.__enter__()
        self._budget = window, limit_wh

    @contextmanager
    def measure(self, name: str, *, max_wh: float | None = None) -> "Iterator[Window]":
        """Measure a block; fail the test if it takes more than `max_wh`.

        Parameters
        ----------
        name : str
            Of the block, in the report.
        max_wh : float, optional
            What is allowed, in Wh.
        """
        from greenbench.measuring.asked import check_max_wh  # noqa: PLC0415

        check_max_wh(max_wh)
        window = self._window(name)
        with window:
            yield window
        self._note(window.measurement)
        if max_wh is not None:
            self._judge(window.measurement, max_wh)

    def end(self, error: BaseException | None) -> None:
        """End the window of the test's budget, and judge it unless the test has failed.

        Parameters
        ----------
        error : BaseException or None
            What the test ended with.
        """
        if self._budget is None:
            return
        window, max_wh = self._budget
        self._budget = None
        window.__exit__(type(error) if error else None, error, None)
        self._note(window.measurement)
        if error is None and max_wh is not None:
            self._judge(window.measurement, max_wh)

    def _window(self, name: str) -> "Window":
        from greenbench.measuring import Window  # noqa: PLC0415

        option = self._item.config.getoption
        settings = Settings.from_environment(
            os.environ,
            meter=option("greenbench_meter"),
            headline=option("greenbench_headline"),
        )
        # A test makes no store of ours in its user's project.
        return Window(name, log="active", settings=settings, say=self._say)

    def _say(self, line: str) -> None:
        from greenbench.terminal.uncaptured import Uncaptured  # noqa: PLC0415

        capture = self._item.config.pluginmanager.getplugin("capturemanager")
        is_captured = capture.global_and_fixture_disabled if capture else nullcontext
        Uncaptured(is_captured).write(f"{line}\n")

    def _note(self, found: "Measurement") -> None:
        """Put a measurement into the report, as properties, which JUnit files have, too."""
        self.measurements.append(found)
        known: dict[str, Any] = {
            "energy_wh": found.energy_wh,
            "uncertainty_wh": found.uncertainty_wh,
            "provenance": found.provenance.value,
            "scope": found.scope,
            "reason": found.reason,
            "emissions_g": found.emissions_g,
            "cpu_s": found.cpu_s,
            "duration_s": found.duration_s,
            "marks": " ".join(found.marks) or None,
        }
        self._item.user_properties += [
            (f"energy/{found.name}/{name}", value)
            for name, value in known.items()
            if value is not None
        ]

    def _judge(self, found: "Measurement", max_wh: float) -> None:
        from greenbench.gate.judgement import Verdict  # noqa: PLC0415
        from greenbench.gate.wording import sentence  # noqa: PLC0415
        from greenbench.measuring.budget import judge  # noqa: PLC0415

        option = self._item.config.getoption
        judgement = judge(
            found,
            max_wh,
            include_disturbed=option("greenbench_include_disturbed"),
            include="--greenbench-include-disturbed",
        )
        line = redact(sentence(judgement))
        self._item.user_properties.append((f"energy/{found.name}/budget", line))
        is_known = judgement.verdict is not Verdict.INCONCLUSIVE
        if not is_known and option("greenbench_allow_unjudged"):
            self._item.warn(BudgetWarning(line))
        elif judgement.verdict is not Verdict.PASS:
            more = "" if is_known else "; --greenbench-allow-unjudged lets it pass"
            pytest.fail(line + more, pytrace=False)


ENERGY = pytest.StashKey[Energy]()


@pytest.fixture
def energy(request: pytest.FixtureRequest) -> Energy:
    """Return what measures this test: ``energy.budget(max_wh=0.5)``, ``energy.measure("x")``."""
    found = request.node.stash[ENERGY] = Energy(request.node)
    return found


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """End what a test has begun when its body ends, and not after what tears it down."""
    error: BaseException | None = None
    try:
        return (yield)
    except BaseException as raised:
        error = raised
        raise
    finally:
        if (found := item.stash.get(ENERGY, None)) is not None:
            found.end(error)
