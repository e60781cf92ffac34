"""The command line as a user meets it; what needs real runs is in ``integration/``."""

import json
import re
import subprocess
import sys

import pytest

from greenbench import __version__
from tests.conftest import Greenbench


def test_version_is_the_packages(greenbench: Greenbench) -> None:
    assert greenbench("--version").stdout.strip().endswith(__version__)


def test_help_names_every_command(greenbench: Greenbench) -> None:
    shown = greenbench("--help").stdout
    for command in ("list", "run", "compare", "doctor", "ui", "sync"):
        assert re.search(rf"^  {command} ", shown, re.MULTILINE)


def test_list_shows_suites_cases_and_parts(greenbench: Greenbench) -> None:
    shown = greenbench("list").stdout
    assert "bayesian-simple_cnn.s-torch-digits" in shown
    assert "strategy: bayesian, default, grid, random" in shown


def test_list_as_json_names_the_same_cases(greenbench: Greenbench) -> None:
    listed = json.loads(greenbench("list", "--json").stdout)
    assert "default-dense.xl-torch-digits" in listed["suites"]["ci"]
    assert listed["parts"]["backend"] == ["keras", "keras_jax", "keras_tensorflow", "torch"]
    assert listed["broken_plugins"] == []


def test_doctor_says_what_is_estimated_and_where_carbon_intensity_comes_from(
    greenbench: Greenbench,
) -> None:
    found = json.loads(greenbench("doctor", "--json").stdout)
    assert any(re.match(r"cpu: (measured|estimated)", line) for line in found["energy"])
    assert any("beside the headline" in line for line in found["energy"])
    assert "world average" in found["carbon intensity"]
    assert "no store" in found["mlflow store"]


def test_doctor_takes_the_users_country(greenbench: Greenbench) -> None:
    greenbench.environment["GREENBENCH_COUNTRY"] = "NLD"
    assert "Netherlands 20" in greenbench("doctor").stdout


def test_a_bad_variable_is_one_line_with_its_name(greenbench: Greenbench) -> None:
    greenbench.environment["GREENBENCH_THREADS"] = "many"
    done = greenbench("doctor")
    assert done.returncode == 2
    assert done.stderr == "Error: GREENBENCH_THREADS is 'many'; expected a whole number above 0\n"


@pytest.mark.parametrize("arguments", [["--help"], ["list"]])
def test_help_and_list_import_nothing_heavy(greenbench: Greenbench, arguments: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['greenbench', *{arguments!r}]\n"
        "from greenbench.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'keras', 'mlflow', 'pandas', 'numpy', 'scipy', 'sklearn'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=greenbench.environment,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"
