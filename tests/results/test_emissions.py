import pytest

from greenbench.energy.carbon import carbon_intensity
from greenbench.results.emissions import are_rough, intensity_in_words, one_digit


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.985, "~1"),
        (0.0214, "~0.02"),
        (2.45, "~2"),
        (253.0, "~300"),
        (0.0, "~0"),
        (0.00004, "~4e-05"),
    ],
)
def test_a_rough_figure_has_one_digit(value: float, shown: str) -> None:
    assert one_digit(value) == shown


def test_only_the_world_average_is_rough() -> None:
    world, own, country = (
        carbon_intensity(),
        carbon_intensity(g_per_kwh=123.4),
        carbon_intensity(country="NLD"),
    )
    assert are_rough([own.source, world.source])
    assert not are_rough([own.source, country.source, None])
    assert intensity_in_words(own.g_per_kwh, own.source) == "123.4 g CO2e/kWh"
    assert intensity_in_words(world.g_per_kwh, world.source) == "~500 g CO2e/kWh"
