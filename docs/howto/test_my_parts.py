"""The rules of greenbench, tested on parts of one's own."""

from my_parts import GoldenStrategy, NameplateMeter

from greenbench.testing import MeterConformance, StrategyConformance


class TestGolden(StrategyConformance):
    """Twelve rules, on several search spaces."""

    strategy = GoldenStrategy


class TestNameplate(MeterConformance):
    """Thirteen rules."""

    def make_meter(self) -> NameplateMeter:
        """Return a new meter."""
        return NameplateMeter()
