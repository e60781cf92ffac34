"""Headless Chromium, driven through selenium."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Greenbench

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=2200,1000",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator["Chrome"]:
    """A browser of its own, which logs what it asks for and what goes wrong."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        pytest.skip("chromium and chromedriver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


OpenUi = Callable[[str], "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def open_ui(greenbench: Greenbench, browser: "Chrome") -> OpenUi:
    """Start `greenbench ui`, log the browser in, and return the line that has a text."""

    def start(until: str) -> "tuple[subprocess.Popen[str], str]":
        ui = greenbench.start("ui")
        lines: list[str] = []
        while not (lines and until in lines[-1]):
            lines.append(ui.stdout.readline() if ui.stdout else "")
            assert lines[-1], "the UI ended"
        said = "".join(lines)
        (pair,) = re.findall(r"user (\S+), password (\S+)", said)
        address = re.findall(r"http://(127\.0\.0\.1:\d+)", said)[0]
        # It keeps them for further pages, whose scripts refuse addresses that have them.
        browser.get(f"http://{':'.join(pair)}@{address}/version")
        return ui, lines[-1]

    return start
