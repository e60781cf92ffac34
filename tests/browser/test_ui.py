"""The MLflow UI on a store that a real run made, in headless Chromium."""

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import OpenUi
from tests.conftest import Greenbench

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

pytestmark = pytest.mark.browser


def test_runs_table_shows_parts_energy_and_accuracy(
    greenbench: Greenbench,
    browser: "Chrome",
    open_ui: OpenUi,
    eventually: Callable[[Callable[[], object]], None],
    tmp_path: Path,
) -> None:
    run = ("run", "-s", "random", "-a", "dense.xs", "--trials", "2", "--epochs", "2")
    done = greenbench(*run, "--repeats", "1")
    assert done.returncode == 0, done.stderr
    ui, line = open_ui("greenbench/adhoc")
    (url,) = re.findall(r"http://127\.0\.0\.1:\d+/#/\S+", line)

    browser.get(url)

    def text() -> str:
        return str(browser.find_element("tag name", "body").text)

    eventually(lambda: "dense.xs" in text() and "energy/total_wh" in text())
    shown = text()
    for column in ("strategy", "architecture", "backend", "energy/total_wh", "accuracy/test"):
        assert column in shown, shown
    for value in ("random", "dense.xs", "torch", "1 matching run"):
        assert value in shown, shown
    browser.save_screenshot(str(tmp_path / "runs.png"))
    ui.send_signal(signal.SIGTERM)
    assert ui.wait(timeout=150) == 0
