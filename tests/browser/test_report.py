"""The report in headless Chromium: opened from disk, and in MLflow's UI after a real run."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from greenbench.reports import find, write_report
from greenbench.reports.canvas import COLOURS
from greenbench.reports.page import DARK
from tests.builders import make_result
from tests.reports.tables import everything, family, table_of

if TYPE_CHECKING:
    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that answers every question, with one case of unknown energy."""
    rows, trials = everything()
    more, _ = table_of([make_result(energy_j=None)])
    folder = tmp_path_factory.mktemp("report")
    findings = find([*rows, *more], trials, {"0123456789ab": {"cpu": "a CPU"}})
    return folder / write_report(findings, folder, ["See `greenbench doctor`."])[0]


def show(browser: "Chrome", page: Path, **media: str) -> None:
    """Open a file from disk, with media features such as a dark colour scheme."""
    features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page.as_uri())


def requests(browser: "Chrome", page: Path) -> list[str]:
    """Return the addresses that a page has asked for; the browser's own for new tabs asks a lot."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [str(each["request"]["url"]) for each in sent if each["documentURL"] == page.as_uri()]


def column(browser: "Chrome", table: str, heading: str) -> tuple["WebElement", list[str]]:
    """Return the button of a column, and the texts of its cells."""
    found = browser.find_element("id", f"table-{table}")
    buttons = found.find_elements("css selector", "th button")
    (number,) = [i for i, each in enumerate(buttons) if each.text.startswith(heading)]
    script = "return [...arguments[0].tBodies[0].rows].map(r => r.cells[arguments[1]].textContent)"
    return buttons[number], browser.execute_script(script, found, number)


def numbers(texts: list[str]) -> list[float]:
    return [float(text.partition(" ")[0].replace(",", "")) for text in texts]


def style(browser: "Chrome", selector: str, name: str) -> str:
    script = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    return str(browser.execute_script(script, selector, name))


def rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))})"


def test_page_opens_without_an_error_and_asks_for_nothing(browser: "Chrome", report: Path) -> None:
    show(browser, report)
    assert browser.get_log("browser") == []
    assert [url for url in requests(browser, report) if not url.startswith("data:")] == [
        report.as_uri()
    ]


def test_a_click_sorts_figures_and_a_second_one_the_other_way(
    browser: "Chrome", report: Path
) -> None:
    show(browser, report)
    button, before = column(browser, "cases", "energy,")
    button.click()
    _, texts = column(browser, "cases", "energy,")
    assert texts[-1] == "–"
    rising = numbers(texts[:-1])
    assert rising == sorted(rising)
    # Sorted as texts, 10 comes before 9.
    assert rising != sorted(rising, key=str)
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    button.click()
    _, texts = column(browser, "cases", "energy,")
    # What is unknown comes last, whichever way.
    assert texts[-1] == "–"
    assert numbers(texts[:-1]) == rising[::-1]
    assert button.find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    assert sorted(texts) == sorted(before)


def test_texts_are_sorted_by_keyboard_and_rows_stay_whole(browser: "Chrome", report: Path) -> None:
    show(browser, report)
    _, names = column(browser, "cases", "case")
    _, energies = column(browser, "cases", "energy,")
    button, _ = column(browser, "cases", "marks")
    button.send_keys("\n")
    button, _ = column(browser, "cases", "case")
    button.send_keys("\n")
    _, sorted_names = column(browser, "cases", "case")
    _, sorted_energies = column(browser, "cases", "energy,")
    assert sorted(sorted_names) == sorted(names)
    assert dict(zip(sorted_names, sorted_energies, strict=True)) == dict(
        zip(names, energies, strict=True)
    )
    active = browser.find_elements("css selector", "#table-cases th[aria-sort]")
    assert len(active) == 1


def test_pointing_at_a_mark_says_what_it_is(browser: "Chrome", report: Path) -> None:
    from selenium.webdriver import ActionChains  # noqa: PLC0415

    show(browser, report)
    tip = browser.find_element("id", "tip")
    assert not tip.is_displayed()
    marks = browser.find_elements("css selector", "#front .tip")
    (mark,) = [
        each
        for each in marks
        if str(each.get_attribute("aria-label")).startswith("default-simple_cnn.xl-torch-digits:")
    ]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", mark)
    ActionChains(browser).move_to_element(mark).perform()
    assert re.fullmatch(
        r"default-simple_cnn\.xl-torch-digits: 98\.\d% for [\d.]+ mWh, on the front, n = 5",
        tip.text,
    )
    assert 0 <= tip.rect["x"] <= 2200 - tip.rect["width"]
    ActionChains(browser).move_to_element(browser.find_element("tag name", "h2")).perform()
    assert not tip.is_displayed()


def test_keys_move_along_the_marks_of_a_figure(browser: "Chrome", report: Path) -> None:
    from selenium.webdriver import ActionChains  # noqa: PLC0415
    from selenium.webdriver.common.keys import Keys  # noqa: PLC0415

    show(browser, report)
    stops = browser.find_elements("css selector", "#returns svg [tabindex='0']")
    # One stop for Tab in a figure.
    assert len(stops) == len(browser.find_elements("css selector", "#returns svg"))
    browser.execute_script("arguments[0].focus()", stops[0])
    tip = browser.find_element("id", "tip")
    said = [tip.text]
    for _ in range(4):
        ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
        said.append(tip.text)
    assert [text.partition(":")[0] for text in said] == [
        f"simple_cnn.{size}" for size in ("xs", "s", "m", "l", "xl")
    ]
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    assert tip.text == said[-1]
    ActionChains(browser).send_keys(Keys.ESCAPE).perform()
    assert not tip.is_displayed()


@pytest.mark.parametrize(("scheme", "palette"), [("light", COLOURS), ("dark", DARK)])
def test_colours_follow_the_reader(
    browser: "Chrome", report: Path, scheme: str, palette: dict[str, str]
) -> None:
    show(browser, report, prefers_color_scheme=scheme)
    assert style(browser, "body", "backgroundColor") == rgb(palette["paper"])
    assert style(browser, "h2", "color") == rgb(palette["ink"])
    assert style(browser, "#front svg text", "fill") == rgb(palette["muted"])
    assert rgb(palette["series-1"]) in {
        style(browser, f"#front .tip:nth-of-type({i}) use", "fill")
        for i in range(1, 80)
        if browser.find_elements("css selector", f"#front .tip:nth-of-type({i}) use")
    }


def test_a_phone_scrolls_tables_and_never_the_page(browser: "Chrome", report: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    show(browser, report)
    width = "return document.documentElement.{}Width"
    assert browser.execute_script(width.format("scroll")) <= 390
    assert browser.execute_script(width.format("client")) == 390
    for svg in browser.find_elements("css selector", "figure svg"):
        assert svg.rect["x"] + svg.rect["width"] <= 390
    table = browser.find_element("id", "table-cases")
    assert table.rect["width"] > 390
    # The case is in sight wherever the table was scrolled to.
    browser.execute_script("arguments[0].parentElement.scrollLeft = 300", table)
    assert table.find_element("css selector", "td").rect["x"] >= 0


def test_paper_shows_tables_in_whole_and_light(browser: "Chrome", report: Path) -> None:
    show(browser, report, prefers_color_scheme="dark")
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert style(browser, "body", "backgroundColor") == rgb(COLOURS["paper"])
    assert style(browser, ".scroll", "maxHeight") == "none"
    assert not browser.find_element("tag name", "nav").is_displayed()
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"paperWidth": 8.27, "paperHeight": 11.69})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


def test_without_scripts_everything_can_be_read(browser: "Chrome", report: Path) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    show(browser, report)
    text = browser.find_element("tag name", "body").text
    assert "simple_cnn.l reaches" in text
    assert "default-simple_cnn.xl-torch-digits" in text
    svg = browser.find_element("css selector", "#front svg")
    assert svg.is_displayed()
    assert "on the front, n = 5" in str(svg.get_attribute("innerHTML"))
    link = browser.find_element("css selector", "#front a.csv")
    assert str(link.get_attribute("href")).startswith("data:application/gzip;base64,")


def test_a_link_gives_the_csv(
    browser: "Chrome",
    report: Path,
    tmp_path: Path,
    eventually: Callable[[Callable[[], object]], None],
) -> None:
    show(browser, report)
    browser.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.find_element("css selector", "#front a.csv").click()
    eventually((tmp_path / "cases.csv").exists)
    assert (tmp_path / "cases.csv").read_bytes() == (
        report.parent / "tables" / "cases.csv"
    ).read_bytes()
    assert browser.get_log("browser") == []


def test_hostile_names_run_nothing(browser: "Chrome", tmp_path: Path) -> None:
    name = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    rows, trials = table_of(family(repeats=2), case_id=name, host=name, suite=name, setting=name)
    findings = find(rows, trials, {name: {name: name}})
    page = tmp_path / write_report(findings, tmp_path, [name])[0]
    show(browser, page)
    assert browser.title == f"greenbench report: {name}"
    assert browser.get_log("browser") == []
    assert name in browser.find_element("tag name", "body").text
