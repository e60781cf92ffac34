"""Carbon intensity: grams of CO2 equivalent a kilowatt-hour, always with its source."""

import json
from dataclasses import dataclass
from importlib.metadata import distribution, version
from pathlib import Path
from typing import Any

from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.results.emissions import WORLD_AVERAGE

MOST_G_PER_KWH = 1e6
"""A thousand times that of coal."""


@dataclass(frozen=True)
class CarbonIntensity:
    """Carbon intensity of the electricity used.

    Attributes
    ----------
    g_per_kwh : float
        Grams of CO2 equivalent a kilowatt-hour.
    source : str
        Where the figure comes from, with country and year where it has them.
    """

    g_per_kwh: float
    source: str

    def emissions_g(self, energy_j: float) -> float:
        """Return grams of CO2 equivalent for `energy_j` joules; no PUE is applied."""
        return energy_j / 3.6e6 * self.g_per_kwh


def carbon_intensity(g_per_kwh: float | None = None, country: str | None = None) -> CarbonIntensity:
    """Return the user's own figure, else the country's mix, else the named world average.

    Parameters
    ----------
    g_per_kwh : float, optional
        The user's own figure.
    country : str, optional
        ISO 3166 code of three letters, such as ``"NLD"``.

    Raises
    ------
    ConfigurationError
        If the figure is not a number from 0 to `MOST_G_PER_KWH`.
    UnknownNameError
        If the country is not in codecarbon's table.
    """
    if g_per_kwh is not None:
        if not 0 <= g_per_kwh <= MOST_G_PER_KWH:
            raise ConfigurationError(
                f"carbon intensity is {g_per_kwh}; expected grams CO2e per kWh, 0 or above and at "
                f"most {MOST_G_PER_KWH:g}"
            )
        return CarbonIntensity(g_per_kwh, "given by the user")
    release = f"codecarbon {version('codecarbon')}"
    if country is None:
        table = _table("carbon_intensity_per_source.json")
        origin = f"{WORLD_AVERAGE} of {table['world_average_source']}, {release}"
        return CarbonIntensity(float(table["world_average"]), f"{origin} ({_HOW_TO_SET})")
    mix = _table("global_energy_mix.json")
    entry = mix.get(country.upper())
    if entry is None or entry.get("carbon_intensity") is None:
        raise UnknownNameError("country", country.upper(), mix)
    source = f"{entry['country_name']} {entry['year']}, country mix of {release}"
    return CarbonIntensity(float(entry["carbon_intensity"]), source)


_HOW_TO_SET = "no country given: set GREENBENCH_COUNTRY or GREENBENCH_CARBON_INTENSITY"


def _table(name: str) -> dict[str, Any]:
    # Read as data: importing codecarbon takes a second, and may print.
    path = Path(str(distribution("codecarbon").locate_file("codecarbon"))) / "data"
    text = (path / "private_infra" / name).read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table
