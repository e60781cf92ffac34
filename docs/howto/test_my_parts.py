"""The rules of greenbench, tested on parts of one's own."""

from my_parts import GoldenStrategy, NameplateMeter, load_stripes

from greenbench.testing import DatasetConformance, MeterConformance, StrategyConformance


class TestStripes(DatasetConformance):
    """Eight rules, with the options that tests are quick with."""

    loader = staticmethod(load_stripes)
    options = {"samples": 100}  # noqa: RUF012


class TestGolden(StrategyConformance):
    """Twelve rules, on several search spaces."""

    strategy = GoldenStrategy


class TestNameplate(MeterConformance):
    """Thirteen rules."""

    def make_meter(self) -> NameplateMeter:
        """Return a new meter."""
        return NameplateMeter()
