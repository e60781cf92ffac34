"""The error tree: every error that greenbench raises on purpose derives from `GreenbenchError`."""

import difflib
import re
from collections.abc import Iterable, Sequence

from greenbench.text.clean import clean

MOST_NAMES = 40
"""Names that a message lists where none is near; a library of networks has hundreds."""


class GreenbenchError(Exception):
    """Root of all greenbench errors; its message is one line that says what to do."""

    exit_code = 2

    def __str__(self) -> str:
        # Errors of others, which stand in ours, may have many lines and any letters.
        return clean(re.sub(r"\s*[\r\n]\s*", " ", super().__str__().strip()))


class ConfigurationError(GreenbenchError):
    """An option, a setting or a combination of them that cannot work."""


class UnknownNameError(ConfigurationError):
    """A name that no registry or table knows.

    Parameters
    ----------
    kind : str
        What the name should name, such as ``"architecture"``.
    name : str
        The name as given.
    known : iterable of str
        All names that would have been accepted.
    advice : str
        Where to look further.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], advice: str = "") -> None:
        names = sorted(known)
        nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        listed = f"known: {_listed(names)}" if names else "there is none"
        hint = f"did you mean {' or '.join(nearest)}?" if nearest else listed
        super().__init__(f"unknown {kind} {name!r}; {hint}{advice and f' ({advice})'}")
        self.kind, self.name, self.nearest = kind, name, nearest


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


class BrokenPluginError(ConfigurationError):
    """A registered part whose module cannot be imported."""

    def __init__(self, kind: str, name: str, cause: str) -> None:
        super().__init__(f"{kind} {name!r} cannot be loaded: {cause}")


class MissingPackageError(ConfigurationError):
    """An optional package that the chosen part needs is not installed."""

    def __init__(self, part: str, package: str, extra: str) -> None:
        super().__init__(
            f"{part} needs the package {package!r}, which is not installed; "
            f"run `pip install 'greenbench[{extra}]'`"
        )


class BudgetError(ConfigurationError):
    """A budgets file that cannot be used; it names every mistake, each on a line of its own.

    Parameters
    ----------
    file : str
        The file as given.
    mistakes : iterable of (int or None, str)
        The line of each, None where it is unknown, and what is wrong there.
    """

    def __init__(self, file: str, mistakes: Iterable[tuple[int | None, str]]) -> None:
        ordered = sorted(mistakes, key=lambda mistake: mistake[0] or 0)
        self._lines = [
            clean(f"{file}:{line}: {text}" if line else f"{file}: {text}") for line, text in ordered
        ]
        super().__init__("\n".join(self._lines))

    def __str__(self) -> str:
        return "\n".join(self._lines)


class ArchitectureError(ConfigurationError):
    """An architecture that does not fit the images or the backend it is asked for."""


class UncountedFlopsError(GreenbenchError):
    """FLOPs that nobody can count: a case goes on, and says that they are unknown.

    Parameters
    ----------
    operators : iterable of str
        What ran, and is in no formula.

    Attributes
    ----------
    operators : tuple of str
        As given.
    """

    def __init__(self, operators: Iterable[str]) -> None:
        self.operators = tuple(operators)
        super().__init__(
            f"the FLOPs of {', '.join(self.operators)} are not known, and so not those of a "
            "training; compare parameters and energy instead"
        )


class ArchitectureWarning(UserWarning):
    """An architecture that may be right, but looks like a mistake."""


class ScoreError(GreenbenchError):
    """A score outside its range: whatever gave it is not what it should be."""


class TaskError(ConfigurationError):
    """A task that does not fit the targets or the backend, or computes no score."""


class DatasetError(ConfigurationError):
    """A data set that is missing, corrupt or unusable."""


class ChangedError(ConfigurationError):
    """What the repeats of a case rest on has changed while the run goes on."""


class ChangedDataError(ChangedError, DatasetError):
    """A data set is not what the run began with; another machine may have that."""


class SearchSpaceError(ConfigurationError):
    """A search space whose dimensions make no sense."""


class HyperparameterError(ConfigurationError):
    """A hyperparameter that nothing reads, or whose value not every backend takes."""


class TrialError(GreenbenchError):
    """What one trial cannot be trained with, though others may: it fails, the search goes on."""


class TrainingError(TrialError):
    """A training of somebody's own that does what it must not."""


class ProtocolError(ConfigurationError):
    """A training of somebody's own that does not keep to what is agreed, whatever it trains with.

    No other trial would do better: the case ends.
    """


class SearchExhaustedError(GreenbenchError):
    """A strategy has nothing left to propose; the case ends with the trials it has."""


class EnergyError(GreenbenchError):
    """A meter that cannot be used as it was asked to."""


class TrackingError(GreenbenchError):
    """The tracking store cannot be read or written; results stay in the journal."""


class UndeliveredError(GreenbenchError):
    """One result cannot be delivered, and others can."""

    exit_code = 1


class JournalError(GreenbenchError):
    """A journal that cannot be read or written."""


class TakenOverError(JournalError):
    """A run that goes on in another process, since this one had shown no sign of life.

    Parameters
    ----------
    folder : str
        The run's.
    host : str or None
        Where it goes on; None if it has ended there, or nobody knows.
    """

    def __init__(self, folder: str, host: str | None) -> None:
        super().__init__(
            f"{folder} was taken over by another greenbench{f' on {host}' if host else ''}, since "
            "this one had shown no sign of life for a while (stopped, or cut off from a shared "
            "folder): nothing more is written here; the results are in that run"
        )


class NotComparableError(GreenbenchError):
    """Figures that must not be put side by side; the message names what differs."""


class GateError(GreenbenchError):
    """A gate that cannot do what it was asked to: write a baseline, check out a revision."""


class BudgetWarning(UserWarning):
    """A budget that is exceeded and whose level is to warn; pytest shows it and goes on."""


class MeasuringError(GreenbenchError):
    """A program that cannot be measured, whatever it is."""


class OverBudgetError(GreenbenchError):
    """A measurement that used more energy than its budget allows."""

    exit_code = 1


class UndecidedBudgetError(GreenbenchError):
    """A measurement of which nobody knows whether it kept its budget: that is no pass."""

    exit_code = 3


class ReportError(GreenbenchError):
    """A report that cannot be written."""


class CaseFailedError(GreenbenchError):
    """A case in which no trial completed."""

    exit_code = 1


class RunFailedError(GreenbenchError):
    """Some repeats of a run failed; others did not, and their results are in `results`.

    Parameters
    ----------
    errors : sequence of GreenbenchError
        What went wrong, at least one.
    results : sequence of CaseResult
        What the other repeats gave.
    """

    exit_code = 1

    def __init__(self, errors: Sequence[GreenbenchError], results: Sequence[object]) -> None:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{errors[0]}{more}; `results` of this error has what others gave")
        self.errors, self.results = tuple(errors), results


class ClusterError(GreenbenchError):
    """A cluster that cannot be reached or started, or whose machines do not fit the run."""


class WorkerError(GreenbenchError):
    """A worker process that could not be started or that broke off."""

    exit_code = 1
