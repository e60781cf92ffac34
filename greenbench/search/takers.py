"""Takers: what of a case a dimension of a search space may name, and which of them takes it."""

import difflib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from greenbench import registry
from greenbench.architectures.base import options_taken, sizes_of
from greenbench.cases import Case
from greenbench.errors import SearchSpaceError
from greenbench.machine.signatures import REQUIRED, options_of, takes_any

OF_CASE = ("batch_size", "epochs", "optimizer", "schedule")
"""Fields of a case that may be searched themselves."""


@dataclass(frozen=True)
class Taker:
    """Something that has options.

    Attributes
    ----------
    kind : str
        What stands before the dot in ``optimizer.learning_rate``.
    words : str
        What people call it.
    defaults : mapping
        Its options, with their defaults; `REQUIRED` where there is none.
    settled : mapping of str to str
        Options that something else decides, and what a message says of it.
    takes_any : bool
        Whether it takes further options, whose names nobody knows.
    """

    kind: str
    words: str
    defaults: Mapping[str, Any]
    settled: Mapping[str, str] = field(default_factory=dict)
    takes_any: bool = False


@dataclass(frozen=True)
class Place:
    """Where the value of a dimension goes."""

    taker: Taker
    option: str

    @property
    def default(self) -> Any:
        """What it is where nothing is searched; `REQUIRED` where nothing says so."""
        return self.taker.defaults.get(self.option, REQUIRED)


class Takers:
    """All that a case has options for, with one choice of optimiser and schedule.

    Parameters
    ----------
    case : Case
        The definition.
    optimizer, schedule : str
        Names in the registries.

    Attributes
    ----------
    all : sequence of Taker
        In the order in which messages name them.
    """

    def __init__(self, case: Case, optimizer: str, schedule: str) -> None:
        self._case = case
        if case.backend == registry.OWN:
            self.all: Sequence[Taker] = (
                self._of_architecture(),
                self._of_run(optimizer),
                Taker("case", "the case", {"epochs": case.epochs}, self._of_case().settled),
            )
            return
        self.all = (
            self._of_dataclass("optimizer", optimizer, registry.optimizers, "optimizer_options"),
            self._of_dataclass("schedule", schedule, registry.schedules, "schedule_options"),
            self._of_architecture(),
            self._of_dataset(),
            self._of_case(),
        )

    def place(self, name: str, where: str = "the search space") -> Place:
        """Return where a dimension of this name goes.

        Parameters
        ----------
        name : str
            With or without the kind of its taker before a dot.
        where : str
            What messages call the space.

        Raises
        ------
        SearchSpaceError
            If nothing takes it, or more than one thing.
        """
        kind, dot, option = name.rpartition(".")
        found = [
            each
            for each in self.all
            if (option in each.defaults and kind in ("", each.kind))
            or (dot and kind == each.kind and each.takes_any)
        ]
        if not found and not dot and self._case.backend == registry.OWN:
            return Place(self.all[1], name)
        if not found:
            raise SearchSpaceError(self._unread(name, where))
        if len(found) > 1:
            raise SearchSpaceError(
                f"{where} has the dimension {name!r}, which "
                f"{' and '.join(each.words for each in found)} take; write "
                f"{' or '.join(f'{each.kind}.{option}' for each in found)}"
            )
        return Place(found[0], option)

    def _unread(self, name: str, where: str) -> str:
        spelled = [
            *(option for each in self.all for option in each.defaults),
            *(f"{each.kind}.{option}" for each in self.all for option in each.defaults),
        ]
        near = list(dict.fromkeys(difflib.get_close_matches(name, spelled, n=3, cutoff=0.6)))
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        taken = "; ".join(
            f"of {each.words}: {', '.join(each.defaults) or 'none'}" for each in self.all
        )
        return (
            f"{where} has the dimension {name!r}, which nothing reads; {hint}expected one of what "
            f"the case takes, {taken}"
        )

    def _of_dataclass(self, kind: str, name: str, among: Any, set_in: str) -> Taker:
        return Taker(
            kind,
            f"{kind} {name!r}",
            {
                **{each.name: each.default for each in fields(among.get(name))},
                **dict(getattr(self._case, set_in)),
            },
            self._set_on_case(set_in),
        )

    def _of_architecture(self) -> Taker:
        case = self._case
        function = registry.architectures.get(case.architecture)
        of_size = sizes_of(function).get(case.size or "", {})
        settled = dict.fromkeys(of_size, f"size {case.size!r} sets it; leave the size out")
        return Taker(
            "architecture",
            f"architecture {case.architecture!r}",
            options_taken(function),
            {**settled, **self._set_on_case("architecture_options")},
        )

    def _of_run(self, optimizer: str) -> Taker:
        """Return what hands a training its hyperparameters, whatever they are called."""
        published = fields(registry.optimizers.get(optimizer))
        return Taker(
            "run",
            f"training {self._case.architecture!r}",
            {each.name: each.default for each in published},
            takes_any=True,
        )

    def _of_dataset(self) -> Taker:
        case = self._case
        load = registry.datasets.get(case.dataset)
        return Taker(
            "dataset",
            f"dataset {case.dataset!r}",
            {**options_of(load, given=1), **dict(case.dataset_options)},
            self._set_on_case("dataset_options"),
            takes_any(load),
        )

    def _of_case(self) -> Taker:
        case = self._case
        settled = {}
        if case.scheduler:
            settled["epochs"] = f"scheduler {case.scheduler!r} decides how far a trial is trained"
        return Taker("case", "the case", {name: getattr(case, name) for name in OF_CASE}, settled)

    def _set_on_case(self, name: str) -> dict[str, str]:
        if self._case.proposer == "default":
            # The control proposes what the case sets.
            return {}
        options = dict(getattr(self._case, name))
        return {
            option: f"the case sets it to {value!r} ({name}); leave that out"
            for option, value in options.items()
        }


def is_required(default: object) -> bool:
    """Return whether a default stands for none."""
    return default is inspect.Parameter.empty
