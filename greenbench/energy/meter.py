"""The meter protocol: what reads energy, and how it is asked."""

from typing import Protocol, runtime_checkable

from greenbench.results.readings import Component, Reading


@runtime_checkable
class Meter(Protocol):
    """Reads energy between two moments.

    Windows follow one another and never nest: ``begin_window``, then ``end_window``, then
    the next. A meter starts its background work in its constructor, so that a window's
    edges cost no more than reading the hardware.

    Attributes
    ----------
    name : str
        The name it is registered under.
    """

    name: str

    def begin_window(self) -> None:
        """Start measuring.

        Raises
        ------
        EnergyError
            If a window is open.
        """

    def end_window(self) -> Reading:
        """Stop measuring and return what was used since `begin_window`.

        A component that exists but cannot be read has energy None and provenance
        ``none``; a component that does not exist is absent.

        Raises
        ------
        EnergyError
            If no window is open.
        """

    def describe(self) -> dict[str, Component]:
        """Return the components that it reads, with provenance and source, without energy."""

    def close(self) -> None:
        """Stop background work; safe to call twice."""
