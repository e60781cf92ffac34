"""What the headline figure covers on this machine, and why."""

from collections.abc import Mapping

from greenbench.errors import ConfigurationError
from greenbench.results.readings import Component, Components, headline
from greenbench.results.scope import CPU, GPU, ON_CPU, Names, names_in, to_text, usual_scope
from greenbench.settings import Scope


def headlines(components: Components, asked: str | None, *, is_replay: bool) -> list[str]:
    """Return a line for each device that may train here.

    Parameters
    ----------
    components : mapping of str to Component
        As the meter describes them.
    asked : str or None
        The scope that the settings ask for.
    is_replay : bool
        Whether the meter reads what was recorded elsewhere.
    """
    if is_replay:
        return [_said(components, asked, None)]
    devices = {GPU: "GPU", CPU: ON_CPU} if GPU in components else {CPU: ON_CPU}
    if len(devices) == 1:
        return [_said(components, asked, ON_CPU)]
    return [
        f"of training on the {part.upper()}: {_said(components, asked, device)}"
        for part, device in devices.items()
    ]


def likely_scope(components: Components, asked: str | None, *, is_replay: bool) -> Names | None:
    """Return the components that count where training runs on the GPU, if there is one."""
    device = "GPU" if GPU in components else ON_CPU
    try:
        return names_in(asked, components, None if is_replay else device)
    except ConfigurationError:
        # The line of the headline says so.
        return None


def _said(components: Components, asked: str | None, device: str | None) -> str:
    try:
        names = names_in(asked, components, device)
    except ConfigurationError as error:
        return f"refused: {error}"
    covered = headline(components, names)
    said = f"{to_text(covered) or 'nothing'}: {_reason(components, asked, device)}"
    beside = [n for n in sorted(components) if n not in covered]
    return f"{said}; beside it: {_listed(components, beside)}" if beside else said


def _reason(components: Components, asked: str | None, device: str | None) -> str:
    if asked:
        return f"as GREENBENCH_HEADLINE={asked} asks"
    if device is None:
        return "all of the recording but modelled RAM (total)"
    name = "CPU" if device == ON_CPU else device
    if usual_scope(components, device) is Scope.MEASURED:
        return f"what is measured, since the {name} has an energy counter (measured)"
    return f"all but modelled RAM, since the {name} has no energy counter that is read (total)"


def _listed(components: Mapping[str, Component], names: list[str]) -> str:
    return ", ".join(f"{name} {components[name].provenance.label}" for name in names)
