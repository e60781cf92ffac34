"""The charts that greenbench seeds in MLflow, on a store of a real run, in headless Chromium."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from greenbench.tracking.view import FORM_SEEN, is_form_known
from tests.browser.conftest import OpenUi
from tests.conftest import Greenbench

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not is_form_known(),
        reason=f"charts were seen with MLflow {FORM_SEEN}, which this is not",
    ),
]

REPEATS, TRIALS = 2, 3
CARD = "[data-testid='experiment-view-compare-runs-card']"
POINTS = ".scatterlayer .point"


def is_painted(canvas: "WebElement") -> bool:
    """Return whether a canvas has any pixel that is not transparent."""
    script = """
        const canvas = arguments[0];
        const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
        return image.data.some((value, index) => index % 4 === 3 && value > 0);
    """
    return bool(canvas.parent.execute_script(script, canvas))


def test_charts_are_drawn_from_a_run(
    greenbench: Greenbench,
    browser: "Chrome",
    open_ui: OpenUi,
    eventually: Callable[[Callable[[], object]], None],
    tmp_path: Path,
) -> None:
    run = ("run", "-s", "random", "-a", "dense.xs", "--trials", str(TRIALS), "--epochs", "2")
    done = greenbench(*run, "--repeats", str(REPEATS))
    assert done.returncode == 0, done.stderr
    ui, line = open_ui("greenbench/adhoc, charts")
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/#/\S+", line)

    # High enough for all charts: MLflow draws what is in sight.
    browser.set_window_size(2200, 1700)
    browser.get(url)

    def drawn(selector: str, *texts: str) -> "list[WebElement]":
        """Return what is drawn in the chart that has these texts."""
        cards = browser.find_elements("css selector", CARD)
        found = [card for card in cards if all(text in card.text for text in texts)]
        return found[0].find_elements("css selector", selector) if found else []

    scatter = ("energy/total_wh vs. accuracy/test",)
    anytime = ("search/incumbent_validation", "search/cumulative_wh")
    eventually(lambda: len(drawn(POINTS, *scatter)) == REPEATS)
    eventually(lambda: len(drawn(POINTS, *anytime)) == REPEATS * TRIALS)
    eventually(lambda: any(map(is_painted, drawn("canvas", "Parallel Coordinates"))))
    axes = [axis.text.split()[-1] for axis in drawn(".dimension", "Parallel Coordinates")]
    assert axes == ["strategy", "architecture", "size", "energy/total_wh", "accuracy/test"]
    shown = browser.find_element("tag name", "body").text
    for text in ("Accuracy against energy", "Cases side by side", f"{REPEATS} matching runs"):
        assert text in shown, shown
    assert "Error" not in shown, shown
    browser.save_screenshot(str(tmp_path / "charts.png"))
    ui.send_signal(signal.SIGTERM)
    assert ui.wait(timeout=150) == 0
