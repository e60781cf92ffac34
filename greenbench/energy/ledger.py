"""The ledger: books every joule of a case to a phase."""

from collections.abc import Iterator
from contextlib import contextmanager

from greenbench.energy.meter import Meter
from greenbench.errors import EnergyError
from greenbench.results import PHASES, Account, Reading


class Ledger:
    """Account of one case, fed by one meter.

    From `open` to `close` exactly one window is open at any moment: what is not inside a
    `phase` is booked to ``other``, so that the phases cover the case without gap or overlap.

    Parameters
    ----------
    meter : Meter
        What reads the energy.

    Examples
    --------
    >>> from greenbench.testing import FakeClock, FakeMeter
    >>> clock = FakeClock()
    >>> ledger = Ledger(FakeMeter(clock, power_w=10.0))
    >>> ledger.open()
    >>> with ledger.phase("train"):
    ...     clock.advance(2.0)
    >>> ledger.close()
    >>> ledger.take().energy_j("train")
    20.0
    """

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._phase: str | None = None
        self._account = Account()

    def open(self) -> None:
        """Start the account; time from here on is booked."""
        self._begin("other")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Book what happens inside to `name`; phases do not nest."""
        if name not in PHASES:
            raise EnergyError(f"unknown phase {name!r}; known: {', '.join(PHASES)}")
        if self._phase != "other":
            raise EnergyError(f"phase {name!r} cannot start inside phase {self._phase!r}")
        self._switch(name)
        try:
            yield
        finally:
            self._switch("other")

    def take(self) -> Account:
        """Return what was booked since the last call, and start over from zero."""
        if self._phase is not None:
            self._switch(self._phase)
        account, self._account = self._account, Account()
        return account

    def close(self) -> None:
        """End the account; safe to call twice."""
        if self._phase is not None:
            self._end()

    def _switch(self, phase: str) -> None:
        self._end()
        self._begin(phase)

    def _begin(self, phase: str) -> None:
        self._meter.begin_window()
        self._phase = phase

    def _end(self) -> None:
        reading: Reading = self._meter.end_window()
        if self._phase is None:
            raise EnergyError("the ledger is not open")
        self._account += Account({self._phase: reading})
        self._phase = None
