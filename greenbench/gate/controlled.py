"""Sessions divided by their control workload, where they vary less then."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from greenbench.gate.changepoints import noise_of, without_steps
from greenbench.gate.correlation import Floats


@dataclass(frozen=True)
class Controlled:
    """A series, as it is looked at.

    Attributes
    ----------
    values : array of float, shape (points,)
        In the unit of the metric; divided, what they would be at the control's median.
    is_divided : bool
        Whether they are.
    shows_states : bool
        Whether a state of the machine that matters would be seen in the control.
    note : str or None
        Why not, where some sessions have a control.
    """

    values: Floats
    is_divided: bool = False
    shows_states: bool = False
    note: str | None = None


def controlled(values: Floats, controls: Sequence[float | None], smallest: float) -> Controlled:
    """Return a series, divided by its control where it is likelier then to have no step.

    So nothing is divided for the sake of a step; and a machine that was in another state for a
    while, which differences of neighbours hardly show, is seen.

    Parameters
    ----------
    values : array of float, shape (points,)
        Not negative.
    controls : sequence of float or None
        What the control cost in the same sessions.
    smallest : float
        A step that matters, as a share.
    """
    known = [control for control in controls if control]
    if not known:
        return Controlled(values)
    if len(known) < len(controls):
        lacking = len(controls) - len(known)
        what = f"{lacking} of {len(controls)} sessions ran no control workload"
        return Controlled(values, note=f"nothing is divided: {what}")
    divided = values * float(np.median(known)) / np.array(known)
    if _likelihood(divided, smallest) > _likelihood(values, smallest):
        return Controlled(divided, is_divided=True, shows_states=True)
    note = "not divided by its control, which varies in other ways"
    shows_states = noise_of(np.log(known)) <= smallest
    return Controlled(values, shows_states=shows_states, note=note)


def _likelihood(values: Floats, smallest: float) -> float:
    return without_steps(values, smallest, is_ratio=True).log_likelihood
