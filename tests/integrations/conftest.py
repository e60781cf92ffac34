"""A run whose phases are told: each second of a made-up clock costs a joule."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from greenbench.energy.ledger import Ledger
from greenbench.testing import FakeClock, FakeMeter
from greenbench.trainings import Report, Run


@dataclass
class Booked:
    """A run, and what is booked of it."""

    run: Run
    ledger: Ledger
    clock: FakeClock
    pauses: int = field(default=0)

    def spend(self) -> None:
        """Let a second pass."""
        self.clock.advance(1.0)

    def reports(self, steps: Iterator[Report]) -> list[Report]:
        """Let a training run to its end, as a driver does."""
        found = []
        while True:
            with self.run.running():
                report = next(steps, None)
            if report is None:
                return found
            found.append(report)

    def seconds(self) -> Mapping[str, float]:
        """Return what was booked, by phase."""
        self.ledger.close()
        phases = self.ledger.whole().phases
        return {name: each.duration_s for name, each in phases.items() if each.duration_s}


@pytest.fixture
def booked() -> Callable[..., Booked]:
    def make(max_epochs: int = 3, **hyperparameters: float) -> Booked:
        clock = FakeClock()
        ledger = Ledger(FakeMeter(clock, power_w=1.0))
        ledger.open()
        return Booked(Run("training 'own'", hyperparameters, 1, max_epochs, ledger), ledger, clock)

    return make
