"""What is known of tasks of ours by their names: what they want of data and of networks."""

from greenbench import registry
from greenbench.datasets.loaders import held_by
from greenbench.errors import TaskError

SAMPLE, PIXEL, TOKEN = "sample", "pixel", "token"

_PER = {"segmentation": PIXEL, "language_modelling": TOKEN}
_ALIKE = (
    ("classification", "binary"),
    ("regression", "multilabel"),
    ("segmentation",),
    ("language_modelling",),
)
"""Tasks whose targets are of one kind: data for one may be for another."""


def wanted_per(task: str) -> str:
    """Return what a task of ours wants outputs for: each ``"sample"``, ``"pixel"``, ``"token"``."""
    return _PER.get(task, SAMPLE)


def check_targets(task: str, dataset: str) -> None:
    """Refuse a task of which it is known, without loading data, that they have no such targets.

    Parameters
    ----------
    task, dataset : str
        Names in the registry.

    Raises
    ------
    TaskError
        If the data set is declared to be for a task with targets of another kind.
    """
    declared = held_by(dataset).task
    alike = next((each for each in _ALIKE if declared in each), ())
    # The targets of a task of one's own are whatever its `check` says.
    if alike and registry.tasks.place(task) is None and task not in alike:
        others = f"expected {' or '.join(alike)}: choose one, " if len(alike) > 1 else ""
        raise TaskError(
            f"task {task!r} does not fit dataset {dataset!r}, whose targets are for {declared}; "
            f"{others}leave the task out, or choose other data"
        )
