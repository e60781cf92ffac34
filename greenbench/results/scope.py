"""Scope: which components an energy figure covers, which is part of how it came about.

A headline is what is measured on the device that trains; what is only modelled stands beside it, in
columns of its own. Figures of different scopes are never put side by side.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from greenbench.errors import ConfigurationError
from greenbench.settings import Scope

if TYPE_CHECKING:
    from greenbench.results.readings import Component

Names = tuple[str, ...]
"""Components that count, by name."""

PARTS = ("cpu", "gpu", "ram")
CPU, GPU, RAM = PARTS
ON_CPU = "cpu"
"""What backends call the device where there is no other."""


def part_of(device: str | None) -> str | None:
    """Return the component that a device belongs to: ``cpu`` or ``gpu``; None if nobody knows."""
    if device is None:
        return None
    return CPU if device.lower() == ON_CPU else GPU


def usual_scope(components: Mapping[str, "Component"], device: str | None) -> Scope:
    """Return the scope that a headline has if nobody asks for one.

    ``measured`` where the device that trains has an energy counter, else ``total``. Power that is
    sampled is no counter: some GPUs look a quarter of the time (Yang et al. 2023,
    arXiv 2312.02741). Whoever asks for ``measured`` gets it all the same.

    Parameters
    ----------
    components : mapping of str to Component
        As the meter describes them.
    device : str or None
        What the backend says that it trains on: ``cpu``, or a GPU's name; None if that is not
        known, or if the meter does not read it.
    """
    part = components.get(part_of(device) or "")
    # By its text, since readings lie above this module.
    return Scope.MEASURED if part and part.provenance.value == "counter" else Scope.TOTAL


def names_in(
    asked: str | None, components: Mapping[str, "Component"], device: str | None
) -> Names | None:
    """Return the components that count in figures of one meter and one device.

    They are chosen once, before anything is measured: a counter that is lost later makes the figure
    unknown, and never a smaller one.

    Parameters
    ----------
    asked : str or None
        A `Scope`; None for the usual one.
    components, device
        As in `usual_scope`.

    Returns
    -------
    tuple of str or None
        Names; None for all components but RAM that is only modelled.

    Raises
    ------
    ConfigurationError
        If the scope that is asked for has nothing to count here.
    """
    match Scope(asked) if asked else usual_scope(components, device):
        case Scope.TOTAL:
            return None
        case Scope.MEASURED:
            return _measured(components, device)
        case Scope() as scope:
            if scope.value not in components:
                raise _refusal(scope, f"the meter finds no {scope.upper()}", components)
            return (scope.value,)


def counting(
    components: Mapping[str, "Component"], names: Names | None
) -> dict[str, "Component | None"]:
    """Return the components that count, by name; None for one that should have been read.

    Parameters
    ----------
    components : mapping of str to Component
        Of a reading.
    names : tuple of str or None
        As `names_in` gives them.
    """
    if names is not None:
        return {name: components.get(name) for name in names}
    # RAM that was lost counts as unknown: it may have been measured until then.
    return {
        name: part
        for name, part in components.items()
        if name != RAM or not _is_modelled(part.provenance.value)
    }


def to_text(names: Mapping[str, Any] | Names) -> str | None:
    """Return names of components as one text, such as ``cpu+gpu``; None without any."""
    return "+".join(sorted(names)) or None


def scope_of(row: Mapping[str, Any]) -> str | None:
    """Return the scope of a row's energy; of an older version's row, what counted then.

    Parameters
    ----------
    row : mapping
        Of `greenbench.results.table`.
    """
    told = row.get("energy_scope")
    return str(told) if told is not None else total_of(row)


def total_of(row: Mapping[str, Any]) -> str | None:
    """Return what would count in a row's energy under the scope ``total``; None if not known."""
    known = {part: row.get(f"{part}_provenance") for part in PARTS}
    return to_text(
        tuple(
            part
            for part, provenance in known.items()
            if provenance is not None and (part != RAM or not _is_modelled(str(provenance)))
        )
    )


def _is_modelled(provenance: str) -> bool:
    return provenance in ("model", "constant")


def _measured(components: Mapping[str, "Component"], device: str | None) -> Names:
    training = part_of(device)
    measured = tuple(n for n, part in components.items() if part.provenance.is_measured)
    if not measured:
        raise _refusal(Scope.MEASURED, "the meter measures nothing", components)
    if training is not None and training not in measured:
        what = f"what trains ({device}) is not measured"
        raise _refusal(Scope.MEASURED, what, components)
    # The CPU works for every training, a GPU for those on it.
    return tuple(name for name in measured if name != GPU or training != CPU)


def _refusal(scope: Scope, why: str, components: Mapping[str, "Component"]) -> ConfigurationError:
    here = ", ".join(f"{name} {part.provenance.label}" for name, part in sorted(components.items()))
    return ConfigurationError(
        f"headline is {scope.value!r}, but {why} (here: {here or 'nothing'}); choose another one "
        "with --headline or GREENBENCH_HEADLINE, or leave it out; see `greenbench doctor`"
    )
