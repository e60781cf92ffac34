"""The MLflow UI on the store of a real run, in headless Chromium: its runs, charts and report."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from greenbench.tracking.view import FORM_SEEN, is_form_known
from tests.browser.test_report import column, numbers
from tests.conftest import Greenbench

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser

REPEATS, TRIALS = 2, 3
RUNS = 2 * REPEATS
RUN = ("run", "-s", "random", "-a", "dense.xs", "-a", "dense.s", "--epochs", "2")
TABLE = "greenbench/adhoc"
CHARTS = "greenbench/adhoc, charts"
CARD = "[data-testid='experiment-view-compare-runs-card']"
POINTS = ".scatterlayer .point"

Eventually = Callable[[Callable[[], object]], None]


@dataclass(frozen=True)
class Ui:
    """What `greenbench ui` says, and where in it the report is."""

    lines: tuple[str, ...]
    report: str

    @property
    def address(self) -> str:
        ((address,),) = [
            re.findall(r"http://(127\.0\.0\.1:\d+)", line)
            for line in self.lines
            if line.startswith("MLflow UI:")
        ]
        return str(address)

    def page(self, name: str) -> str:
        (line,) = [line for line in self.lines if line.strip().startswith(f"{name}: ")]
        return line.split()[-1]


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    """A run, a report on it, and the UI that shows both, which ends when it is told to."""
    folder = tmp_path_factory.mktemp("ui")
    own = {
        "GREENBENCH_RUNS_DIR": str(folder / "mlruns"),
        "GREENBENCH_HOST_LOCK": str(folder / "host.lock"),
        "GREENBENCH_THREADS": "1",
    }
    greenbench = Greenbench(folder, {**os.environ, **own})
    done = greenbench(*RUN, "--trials", str(TRIALS), "--repeats", str(REPEATS))
    assert done.returncode == 0, done.stderr
    # Whatever else this machine does.
    done = greenbench("report", "--include-disturbed")
    assert done.returncode == 0, done.stderr
    (report,) = re.findall(r"http://127\.0\.0\.1:\d+(/#/\S+report\.html)", done.stdout)
    process = greenbench.start("ui")
    try:
        last, lines = CHARTS if is_form_known() else TABLE, [""]
        while f"{last}: " not in lines[-1]:
            lines.append(process.stdout.readline() if process.stdout else "")
            assert lines[-1], f"the UI ended: {lines}"
        yield Ui(tuple(lines[1:]), report)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=400) == 0
    finally:
        process.kill()
        process.wait()


def open_page(browser: "Chrome", ui: Ui, url: str) -> None:
    """Log the browser in, and open a page."""
    ((user, password),) = re.findall(r"user (\S+), password (\S+)", "".join(ui.lines))
    # It keeps them for further pages, whose scripts refuse addresses that have them.
    browser.get(f"http://{user}:{password}@{ui.address}/version")
    browser.get(url)


def test_runs_table_shows_parts_energy_and_accuracy(
    ui: Ui, browser: "Chrome", eventually: Eventually, tmp_path: Path
) -> None:
    open_page(browser, ui, ui.page(TABLE))

    @unless_drawn_anew("")
    def text() -> str:
        return str(browser.find_element("tag name", "body").text)

    eventually(lambda: "dense.xs" in text() and "energy/total_wh" in text())
    shown = text()
    for name in ("strategy", "architecture", "backend", "energy/total_wh", "score/test"):
        assert name in shown, shown
    for value in ("random", "dense.xs", "dense.s", "torch", f"{RUNS} matching runs"):
        assert value in shown, shown
    browser.save_screenshot(str(tmp_path / "runs.png"))


def unless_drawn_anew(instead: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a look at a page return something instead where the page is drawn anew meanwhile."""
    from selenium.common.exceptions import (  # noqa: PLC0415
        NoSuchElementException,
        NoSuchFrameException,
        StaleElementReferenceException,
    )

    moments = NoSuchElementException, NoSuchFrameException, StaleElementReferenceException

    def decorate(look: Callable[..., Any]) -> Callable[..., Any]:
        def looked(*given: Any) -> Any:
            with suppress(*moments):
                return look(*given)
            return instead

        return looked

    return decorate


def is_painted(canvas: "WebElement") -> bool:
    """Return whether a canvas has any pixel that is not transparent."""
    script = """
        const canvas = arguments[0];
        const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return image.data.some((value, index) => index % 4 === 3 && value > 0);
    """
    return bool(canvas.parent.execute_script(script, canvas))


@pytest.mark.skipif(
    not is_form_known(), reason=f"charts were seen with MLflow {FORM_SEEN}, which this is not"
)
def test_charts_are_drawn_from_a_run(
    ui: Ui, browser: "Chrome", eventually: Eventually, tmp_path: Path
) -> None:
    # High enough for all charts: MLflow draws what is in sight.
    browser.set_window_size(2200, 1700)
    open_page(browser, ui, ui.page(CHARTS))

    @unless_drawn_anew([])
    def drawn(selector: str, *texts: str) -> "list[WebElement]":
        """Return what is drawn in the chart that has these texts."""
        cards = browser.find_elements("css selector", CARD)
        found = [card for card in cards if all(text in card.text for text in texts)]
        return found[0].find_elements("css selector", selector) if found else []

    scatter = ("energy/total_wh vs. score/test",)
    anytime = ("search/incumbent_validation", "search/cumulative_wh")
    eventually(lambda: len(drawn(POINTS, *scatter)) == RUNS)
    eventually(lambda: len(drawn(POINTS, *anytime)) == RUNS * TRIALS)

    @unless_drawn_anew([])
    def axes() -> list[str]:
        found = [axis.text.split() for axis in drawn(".dimension", "Parallel Coordinates")]
        return [words[-1] for words in found if words]

    @unless_drawn_anew(False)
    def are_painted() -> bool:
        return any(map(is_painted, drawn("canvas", "Parallel Coordinates")))

    eventually(are_painted)
    compared = ["strategy", "architecture", "size", "energy/total_wh", "score/test"]
    eventually(lambda: axes() == compared)
    shown = browser.find_element("tag name", "body").text
    for text in ("Score against energy", "Cases side by side", f"{RUNS} matching runs"):
        assert text in shown, shown
    assert "Error" not in shown, shown
    browser.save_screenshot(str(tmp_path / "charts.png"))


def test_mlflow_shows_the_report_of_a_real_run(
    ui: Ui, browser: "Chrome", eventually: Eventually, tmp_path: Path
) -> None:
    open_page(browser, ui, f"http://{ui.address}{ui.report}")

    @unless_drawn_anew("")
    def text() -> Any:
        browser.switch_to.default_content()
        for frame in browser.find_elements("tag name", "iframe"):
            browser.switch_to.frame(frame)
            found = browser.find_element("tag name", "body").text
            if "What training cost" in found:
                return found
            browser.switch_to.default_content()
        return ""

    eventually(text)
    shown = text()
    for words in ("dense.s reaches", "dense.xs", "Accuracy against energy", "estimated"):
        assert words in shown, shown
    button, before = column(browser, "cases", "energy,")
    button.click()
    _, after = column(browser, "cases", "energy,")
    assert numbers(after) == sorted(numbers(before))
    browser.switch_to.default_content()
    browser.save_screenshot(str(tmp_path / "report.png"))
