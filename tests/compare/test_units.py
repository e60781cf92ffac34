import pytest

from greenbench.compare.units import energy_unit, mass_unit, with_unit


@pytest.mark.parametrize(
    ("energy_wh", "text"),
    [(12.345, "12.3 Wh"), (0.1, "0.1 Wh"), (0.0999, "99.9 mWh"), (0.00001, "0.01 mWh")],
)
def test_small_energies_are_said_in_milliwatt_hours(energy_wh: float, text: str) -> None:
    assert with_unit(energy_wh) == text


def test_one_unit_for_all_follows_the_typical_one() -> None:
    assert energy_unit([0.01, 0.02, 50]) == ("mWh", 1000.0)
    assert energy_unit([0.01, 2, 50]) == ("Wh", 1.0)
    assert mass_unit([]) == ("mg", 1000.0)
