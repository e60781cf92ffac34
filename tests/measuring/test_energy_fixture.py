"""The fixture `energy` in a plain pytest file: budgets, reports, and no trace of us without it."""

from xml.etree import ElementTree

import pytest

from tests.step_meter import StepMeter

pytestmark = pytest.mark.usefixtures("steps")

TESTS = """
import pytest

def test_within(energy):
    energy.budget(max_wh=0.02)

def test_beyond(energy):
    energy.budget(max_wh=0.005)

def test_part(energy):
    with energy.measure("load", max_wh=0.005):
        pass

def test_free(energy):
    with energy.measure("load") as window:
        pass
    assert window.measurement.energy_wh == pytest.approx(0.01)
    assert energy.measurements == [window.measurement]

def test_broken(energy):
    energy.budget(max_wh=0.005)
    assert 1 == 2

def test_twice(energy):
    energy.budget(max_wh=1)
    energy.budget(max_wh=1)

def test_plain():
    pass
"""


def test_tests_fail_by_their_budgets_with_the_gates_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_plain_file=TESTS)
    result = pytester.runpytest_inprocess("--junitxml=out.xml", "-p", "no:randomly")
    result.assert_outcomes(passed=3, failed=4)
    result.stdout.fnmatch_lines(
        [
            "test_beyond: energy_wh is 10 mWh; the budget is 5 mWh, so 100% too much; n = 1, *",
            "load: energy_wh is 10 mWh; the budget is 5 mWh, so 100% too much; n = 1, *",
            "*assert 1 == 2*",
            "*test_twice has a budget already*",
        ]
    )
    # A test that has failed is not judged as well, and none of this is an error of its end.
    result.stdout.no_fnmatch_line("*test_broken: energy_wh*")
    root = ElementTree.parse(pytester.path / "out.xml").getroot()
    said = {
        case.get("name"): {each.get("name"): each.get("value") for each in case.iter("property")}
        for case in root.iter("testcase")
    }
    assert said["test_within"]["energy/test_within/provenance"] == "counter"
    assert float(str(said["test_within"]["energy/test_within/energy_wh"])) == pytest.approx(0.01)
    assert "the budget is 5 mWh" in str(said["test_beyond"]["energy/test_beyond/budget"])
    assert said["test_plain"] == {}
    assert not (pytester.path / "mlruns").exists()


UNKNOWN = """
def test_unknown(energy):
    energy.budget(max_wh=1)
"""


@pytest.mark.parametrize(
    ("options", "outcome"),
    [((), {"failed": 1}), (("--greenbench-allow-unjudged",), {"passed": 1})],
)
def test_unknown_energy_fails_unless_it_is_allowed(
    pytester: pytest.Pytester,
    steps: type[StepMeter],
    options: tuple[str, ...],
    outcome: dict[str, int],
) -> None:
    steps.joules = None
    pytester.makepyfile(test_unknown_file=UNKNOWN)
    result = pytester.runpytest_inprocess(*options)
    # Of warnings there may be others.
    assert result.parseoutcomes().items() >= outcome.items()
    result.stdout.fnmatch_lines("*test_unknown: unknown whether energy_wh is within 1 Wh: *")


USERS_OWN = """
import pytest

@pytest.fixture
def energy():
    return "mine"

def test_own(energy):
    assert energy == "mine"
"""


def test_fixture_of_the_user_with_that_name_wins(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_own_file=USERS_OWN)
    pytester.runpytest_inprocess().assert_outcomes(passed=1)
