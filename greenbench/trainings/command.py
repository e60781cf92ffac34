"""Commands: any program, in any language, as a training."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenbench.cases import Case, Scalar
from greenbench.cases.case import COMMAND as PREFIX
from greenbench.cases.case import READS
from greenbench.errors import ConfigurationError, ProtocolError, TrainingError
from greenbench.machine.files import last_words
from greenbench.strategies.spaces import find_space, spelled_out
from greenbench.trainings.command_line import CommandLine, quoted
from greenbench.trainings.declaration import Training
from greenbench.trainings.messages import EXAMPLE, Merged, Message, read_message, shown
from greenbench.trainings.named_scores import named_score
from greenbench.trainings.program import Program
from greenbench.trainings.report import Report
from greenbench.trainings.run import Run

COMMAND, REPORT, SCORE = "command", "report", "score"
OPTIONS = (COMMAND, REPORT, SCORE, READS)
"""Options of such a case that fill no place: the command line, its report, score and data."""
GIVEN = ("epochs", "seed", "batch_size")
"""Places that every case fills."""
DEVICES = "devices"
"""One more; with one device, an option of that name may fill it, as it always could."""
SEED = "GREENBENCH_SEED"
DEFAULT_SCORE = "accuracy"


@dataclass(frozen=True)
class Command:
    """A program that is run as a training.

    Attributes
    ----------
    name : str
        What messages call it.
    line : CommandLine
        With places for hyperparameters, epochs, seed, and what else its case sets.
    values : mapping of str to scalar
        What the case sets, by place.
    score : str
        Name of what it reports.
    file : str or None
        Of its own, in which it reports.
    is_scheduled : bool
        Whether a scheduler decides how far its trials are trained.
    devices : int
        Among how many its trainings are shared out.
    reads : str or None
        The files, folders and variables that it reads, as words of a command line.
    """

    name: str
    line: CommandLine
    values: Mapping[str, Scalar]
    score: str
    file: str | None
    is_scheduled: bool
    devices: int = 1
    reads: str | None = None

    @property
    def read(self) -> tuple[str, ...] | None:
        """What it reads, with what its case sets in its places; None if it does not say."""
        if not self.reads:
            return None if self.reads is None else ()
        return tuple(CommandLine(self.reads).filled(self.values))

    @property
    def is_stepwise(self) -> bool:
        """Whether it can be told how many epochs to train; else only its end counts."""
        return "epochs" in self.line.places

    def train(self, run: Run, **_options: Any) -> Iterator[Report]:
        """Run it for a trial, from report to report."""
        values = {DEVICES: self.devices, **self.values, **run.hyperparameters, **_of_run(run)}
        log = run.place.with_suffix(f"{run.place.suffix}.log") if run.place else None
        log = log or Path(tempfile.gettempdir(), f"greenbench-{os.getpid()}.log")
        file = CommandLine(self.file).filled(values)[0] if self.file else None
        since = log.stat().st_size if log.exists() else 0
        try:
            yield from self._reports(run, self.line.filled(values), log, file)
        except (TrainingError, ProtocolError) as error:
            said = f": {words}" if (words := last_words(log, since)) else ""
            raise type(error)(f"command {self.name!r}: {error}{said}; see {log}") from error

    def _reports(
        self, run: Run, arguments: list[str], log: Path, file: str | None
    ) -> Iterator[Report]:
        environment = {"PYTHONUNBUFFERED": "1", SEED: str(run.seed)}
        own = Path(file) if file else None
        program = Program(arguments, environment, log, own, is_spread=self.devices > 1)
        reading = _Reading(self.score, run)
        try:
            for line, is_meant in program.lines():
                message = reading.read(line, is_meant=is_meant)
                if message is None:
                    continue
                if message.ends_epoch and self.is_stepwise:
                    program.pause()
                    yield reading.report()
                program.go_on(waits=message.waits)
            self._check_end(program.wait(), reading)
        finally:
            program.close()
        if not self.is_stepwise:
            yield reading.report()

    def _check_end(self, code: int, reading: "_Reading") -> None:
        if code:
            raise TrainingError(f"it {_ended(code)}")
        if reading.last is None:
            raise ProtocolError(f"it ended without a report; {reading.advice(self.file)}")
        if "score" not in reading.last.told:
            raise ProtocolError(f"its last report has no score; expected a line such as {EXAMPLE}")
        if self.is_scheduled and reading.count == 1 < reading.run.max_epochs:
            raise ProtocolError(
                "it reports once, at its end, so that no scheduler can stop it earlier; report "
                "each epoch, or choose a strategy without a scheduler"
            )


class _Reading:
    """What a program has told so far."""

    def __init__(self, score: str, run: Run) -> None:
        self._score, self.run = score, run
        self._merged = Merged()
        self._misspelled: bytes | None = None
        self.count = 0
        self.last: Message | None = None

    def read(self, line: bytes, *, is_meant: bool) -> Message | None:
        """Return what a line tells, and hand on what is no report of an epoch."""
        message = read_message(line, self._score, is_meant=is_meant)
        if message is None:
            if line.lstrip().startswith(b"{"):
                self._misspelled = line
            return None
        told = message.told
        if "test_score" in told:
            self.run.final(told["test_score"], **message.metrics)
        if "parameters" in told or "train_flops_per_sample" in told:
            self.run.costs(
                *(
                    int(told[name]) if name in told else getattr(self.run, name)
                    for name in ("parameters", "train_flops_per_sample")
                )
            )
        merged = self._merged.add(message)
        if merged is not None:
            self.count, self.last = self.count + 1, merged
        return merged or message

    def report(self) -> Report:
        """Return the report of the last epoch."""
        assert self.last is not None
        if self.run.done == self.run.max_epochs:
            raise ProtocolError(
                f"it reports more than the {self.run.max_epochs} epochs that it was given; report "
                "once an epoch, and only as many"
            )
        told = self.last.told
        samples = int(told["samples"]) if "samples" in told else None
        return self.run.report(told.get("loss"), told.get("score"), samples, **self.last.metrics)

    def advice(self, file: str | None) -> str:
        """Return how it could have reported."""
        where = f"write {file}, or " if file else ""
        said = f"; {shown(self._misspelled)} is no such line" if self._misspelled else ""
        return (
            f"{where}print a line such as {EXAMPLE}, or call greenbench.report(score=…) in Python"
            f"{said}"
        )


def named(architecture: str) -> Callable[..., Any]:
    """Return the architecture of commands that are called so: its case says what it is."""

    def command(run: Run, **options: Any) -> Iterator[Report]:
        raise _no_command(architecture)

    setattr(command, "training", None)  # noqa: B010
    setattr(command, "of_case", training_of)  # noqa: B010
    return command


def training_of(case: Case) -> Training:
    """Return the command of a case as a training, checked as far as it can be without running it.

    Raises
    ------
    ConfigurationError
        If it has a place that nothing fills, leaves out what is searched, or names a program that
        is not there.
    """
    options = dict(case.architecture_options)
    if COMMAND not in options:
        raise _no_command(case.architecture)
    score = named_score(str(options.get(SCORE, DEFAULT_SCORE)))
    command = Command(
        name=case.architecture.removeprefix(PREFIX),
        line=CommandLine(str(options[COMMAND])),
        values={name: value for name, value in options.items() if name not in OPTIONS},
        score=score.name,
        file=None if REPORT not in options else str(options[REPORT]),
        is_scheduled=case.scheduler is not None,
        devices=case.devices,
        reads=None if READS not in options else str(options[READS]),
    )
    _check(case, command)

    def train(run: Run, **options: Any) -> Iterator[Report]:
        yield from command.train(run, **options)

    files = tuple(str(path) for path in command.line.files)
    return Training(case.architecture, train, score, files, command.read)


def files_of(case: Case) -> tuple[Path, ...]:
    """Return the files of a case's command that a change of changes it; none of any other case."""
    line = line_of(case)
    return line.files if line else ()


def line_of(case: Case) -> CommandLine | None:
    """Return the command line of a case; None of any other case."""
    text = dict(case.architecture_options).get(COMMAND)
    is_command = case.architecture.startswith(PREFIX) and text is not None
    return CommandLine(str(text)) if is_command else None


def _check(case: Case, command: Command) -> None:
    line, space = command.line, find_space(case.space)
    searched = [each.name for each in space.dimensions]
    in_file = CommandLine(command.file).places if command.file else ()
    filled = dict.fromkeys([*searched, *command.values, *GIVEN, DEVICES])
    if unknown := [name for name in (*line.places, *in_file) if name not in filled]:
        raise ConfigurationError(
            f"command {line.text!r} has {quoted(unknown)}, which nothing fills; expected some of "
            f"{quoted(list(filled))}, or --set {unknown[0]}=…"
        )
    is_search = case.proposer != "default"
    if is_search and (unread := [name for name in searched if name not in line.places]):
        raise ConfigurationError(
            f"command {line.text!r} has no place for {quoted(unread)}, which "
            f"{spelled_out(space.name)} searches; add it, or choose another --space"
        )
    if unset := [name for name in _places_read(command) if name not in command.values]:
        raise ConfigurationError(
            f"--reads {command.reads!r} has {quoted(unset)}, which nothing sets; expected what "
            f"--set or --size sets, such as --set {unset[0]}=…"
        )
    if unread := [name for name in command.values if name not in (*line.places, *in_file)]:
        raise ConfigurationError(
            f"command {line.text!r} has no place for {quoted(unread)}, which --set or --size "
            "sets; add it, or leave that out"
        )
    if case.devices > 1 and DEVICES not in line.places:
        raise ConfigurationError(
            f"command {line.text!r} has no place for {{devices}}, which is {case.devices}; start "
            "its processes with it, such as by 'torchrun --standalone --nproc-per-node={devices} "
            "train.py', or leave --devices out"
        )
    given = (*GIVEN, DEVICES) if case.devices > 1 else GIVEN
    if twice := [name for name in (*searched, *given) if name in command.values]:
        raise ConfigurationError(
            f"--set or --size sets {twice[0]!r}, which the case fills itself; leave that out"
        )
    if command.is_scheduled and not command.is_stepwise:
        raise ConfigurationError(
            f"command {line.text!r} has no place for {{epochs}}, so that scheduler "
            f"{case.scheduler!r} cannot say how far it is trained; add it, or choose a strategy "
            "without a scheduler"
        )
    line.check_program()


def _places_read(command: Command) -> tuple[str, ...]:
    return CommandLine(command.reads).places if command.reads else ()


def _of_run(run: Run) -> Mapping[str, Scalar]:
    return {"epochs": run.max_epochs, "seed": run.seed, "batch_size": run.batch_size or 0}


def _ended(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = ", as systems do when memory runs out" if name == "SIGKILL" else ""
    return f"was killed by {name}{memory}"


def _no_command(architecture: str) -> ConfigurationError:
    return ConfigurationError(
        f"architecture {architecture!r} is a command, which the case lacks; expected "
        "`greenbench run --command 'python train.py --lr {learning_rate} --epochs {epochs}'`"
    )
