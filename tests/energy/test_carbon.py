import json
import math
import re
import subprocess
import sys

import pytest

from greenbench.energy.carbon import CarbonIntensity, carbon_intensity
from greenbench.errors import ConfigurationError, UnknownNameError

WORLD = carbon_intensity()


def test_own_figure_comes_first() -> None:
    assert carbon_intensity(12.5, "NLD") == CarbonIntensity(12.5, "given by the user")


def test_own_figure_of_zero_is_a_figure() -> None:
    assert carbon_intensity(0.0, "NLD").g_per_kwh == 0.0


def test_country_is_named_with_year_and_source() -> None:
    found = carbon_intensity(country="NLD")
    assert found.g_per_kwh > 0
    assert found.g_per_kwh != WORLD.g_per_kwh
    for part in ("Netherlands", r"20\d\d", r"codecarbon \d"):
        assert re.search(part, found.source)


def test_country_may_be_written_small() -> None:
    assert carbon_intensity(country="nld") == carbon_intensity(country="NLD")


@pytest.mark.parametrize("country", ["NLX", "Netherlands", "NL", "", "XXX", "WORLD"])
def test_unknown_country_is_an_error_and_never_the_world_average(country: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown country '{country.upper()}'"):
        carbon_intensity(country=country)


def test_unknown_country_offers_near_codes() -> None:
    with pytest.raises(UnknownNameError, match=r"did you mean .*NLD"):
        carbon_intensity(country="NLX")
    with pytest.raises(UnknownNameError, match=r"did you mean .*NLD"):
        carbon_intensity(country="nlx")


def test_no_country_is_the_world_average_and_says_so_and_how_to_do_better() -> None:
    assert 300 < WORLD.g_per_kwh < 700
    assert WORLD.source.startswith("world average of https://www.iea.org/")
    assert "GREENBENCH_COUNTRY" in WORLD.source


@pytest.mark.parametrize("figure", [-1.0, math.nan, math.inf, -math.inf, 1e308])
def test_impossible_figure_is_refused(figure: float) -> None:
    with pytest.raises(ConfigurationError, match="expected grams CO2e per kWh, 0 or above"):
        carbon_intensity(figure)


def test_emissions_are_grams_by_the_kilowatt_hour() -> None:
    assert CarbonIntensity(400.0, "given").emissions_g(3.6e6) == 400.0
    assert CarbonIntensity(400.0, "given").emissions_g(0.0) == 0.0


COUNTRIES = ("NLD", "FRA", "DEU", "USA", "POL", "NOR", "IND", "CHN", "ZAF", "BRA")
"""Of many mixes; codecarbon's own code turns a kilowatt-hour into kilograms."""

CONTRACT = f"""
import json
from codecarbon.core.emissions import Emissions
from codecarbon.core.units import Energy
from codecarbon.external.geography import GeoMetadata
from codecarbon.input import DataSource
emissions = Emissions(DataSource())
print(json.dumps({{
    code: 1000 * emissions.get_country_emissions(
        Energy.from_energy(kWh=1.0), GeoMetadata(country_iso_code=code)
    )
    for code in {COUNTRIES!r}
}}))
"""


def test_figures_are_those_that_codecarbon_itself_computes_with() -> None:
    # In a process of its own: codecarbon imports pandas and sets up logging.
    command = [sys.executable, "-c", CONTRACT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    theirs = json.loads(done.stdout.splitlines()[-1])
    ours = {code: carbon_intensity(country=code).g_per_kwh for code in COUNTRIES}
    assert ours == pytest.approx(theirs)
