"""Cases: the points of the benchmark matrix, their stable ids, hashes and seeds."""

import dataclasses
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from greenbench.errors import ConfigurationError

SCHEMA_VERSION = 1
LABEL_PART = re.compile(r"[a-z0-9_]+")
LATER: Mapping[str, Any] = {
    "reevaluate": 0,
    "threads": None,
    "backend_options": {},
    "batched_trials": 1,
    "task": None,
    "optimizer": "adam",
    "optimizer_options": {},
    "schedule": "constant",
    "schedule_options": {},
    "devices": 1,
}
"""Fields that older versions lack; at these values they are left out of a definition."""
UNSEEDED = ("strategy", "space", "trials", "validate_every", "backend", "repeats", *LATER)
"""What no seed depends on: cases that differ in nothing else are compared in pairs."""
SPLIT, ORDER, RUN = "split", "order", "run"
DRAWING = (SPLIT, ORDER, RUN)
"""Purposes of seeds that draw data: the split, the order of samples, and whatever a training of
one's own draws, which has one seed for all."""
DATA = ("dataset", "dataset_options", "seed")
"""What those depend on, besides the name of such a training, which brings its data."""
VARYING = ("crop", "flip", "randaugment")
"""Options of data sets on which no seed depends, either: they vary images, and draw none."""
AUTO = "auto"
OWN_SPACE: Mapping[str, str] = {
    name: name for name in ("adam", "adamw", "sgd", "rmsprop", "adagrad", "adadelta", "lion")
}
"""The search space of each optimiser; of any other, only the learning rate is searched."""
LEARNING_RATE = "rate"
OWN = "own"
"""The backend and the data set of trainings that bring theirs."""
COMMAND, READS = "command_", "reads"
"""How architectures begin that are any program; their option that says what they read."""
COUNTS = (
    "trials", "epochs", "batch_size", "repeats", "threads", "batched_trials", "devices",
)  # fmt: skip
LONGEST_TEXT = 24
MOST_THREADS = 1024
MOST_DEVICES = 1024
MOST_OF_ALL = 1_000_000
MOST: Mapping[str, int] = {
    "threads": MOST_THREADS,
    "devices": MOST_DEVICES,
    "batch_size": 2**31 - 1,
}
"""What no machine can do, or wait for; a larger number is a slip that would exhaust it."""
OPTION_FIELDS = (
    "architecture_options",
    "dataset_options",
    "backend_options",
    "optimizer_options",
    "schedule_options",
)

Scalar = str | int | float | bool
Options = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True)
class Case:
    """One point of the benchmark matrix.

    Attributes
    ----------
    strategy : str
        Name in the registry, with that of a scheduler after a plus: ``"bayesian+asha"``.
    architecture, backend, dataset, space : str
        Names in the registries; the space ``adam`` is that of whichever optimiser it is.
    size : str or None
        Member of the architecture's family, such as ``"m"``.
    architecture_options, dataset_options : tuple of (str, scalar)
        What the architecture and data set functions are called with, sorted by name.
    trials : int
        Hyperparameter configurations to try; the ``default`` strategy always tries one.
    epochs, batch_size : int
        Fidelity of a trial, and samples a step.
    validate_every : int or None
        Epochs between validations; None validates once, at the end of a trial.
    repeats : int
        How often the whole case runs, each time with another seed.
    seed : int
        Distinguishes otherwise equal cases; see `derive_seed`.
    reevaluate : int
        After the search, train so many of its best configurations again with new seeds, and
        choose among those; the energy is the search's.
    threads : int or None
        CPU threads of an operation, the same for training and BLAS; None takes the setting's
        number, by default the physical cores that the process may use.
    backend_options : tuple of (str, scalar)
        How the backend computes, such as ``precision``; what a backend takes, it documents.
    batched_trials : int or str
        Trials that are trained at once, as one vectorised model, and share its energy out;
        on a GPU, for strategies that do not learn from one trial to the next. ``"auto"``
        leaves the number to what the device has memory for.
    task : str or None
        What is learned; None takes what the data set is for.
    optimizer, schedule : str
        Names in the registries: what updates the weights, and by what its learning rate is
        multiplied as training goes on.
    optimizer_options, schedule_options : tuple of (str, scalar)
        Their options, such as ``momentum``; what the search space names is the search's.
    devices : int
        GPUs, or without any processes on the CPU, that one training is shared out among: each
        learns from its part of every batch, of which `batch_size` is the whole.
    """

    strategy: str = "default"
    architecture: str = "simple_cnn"
    backend: str = "torch"
    dataset: str = "digits"
    size: str | None = None
    architecture_options: Options = ()
    dataset_options: Options = ()
    space: str = "adam"
    trials: int = 16
    epochs: int = 12
    batch_size: int = 64
    validate_every: int | None = None
    repeats: int = 3
    seed: int = 0
    reevaluate: int = 0
    threads: int | None = None
    backend_options: Options = ()
    batched_trials: int | str = 1
    task: str | None = None
    optimizer: str = "adam"
    optimizer_options: Options = ()
    schedule: str = "constant"
    schedule_options: Options = ()
    devices: int = 1

    def __post_init__(self) -> None:
        for name in OPTION_FIELDS:
            object.__setattr__(self, name, freeze_options(getattr(self, name)))
        if self.space == "adam":
            object.__setattr__(self, "space", self.own_space)
        self._check_labels()
        self._check_counts()
        if self.strategy == "default":
            object.__setattr__(self, "trials", 1)
            if isinstance(self.reevaluate, int):
                object.__setattr__(self, "reevaluate", min(self.reevaluate, 1))
            object.__setattr__(self, "batched_trials", 1)
        self._check_numbers()

    def _check_counts(self) -> None:
        for name in COUNTS:
            value = getattr(self, name)
            may_be = (name, value) in {("threads", None), ("batched_trials", AUTO)}
            if not may_be and (not isinstance(value, int) or value < 1):
                expected = "a whole number above 0" + f", or {AUTO}" * (name == "batched_trials")
                raise ConfigurationError(f"{name} is {value!r}; expected {expected}")
            if not may_be and value > (most := MOST.get(name, MOST_OF_ALL)):
                raise ConfigurationError(f"{name} is {value}; expected 1 to {most}")

    def _check_numbers(self) -> None:
        again = self.reevaluate
        if not isinstance(again, int) or not 0 <= again <= self.trials:
            raise ConfigurationError(
                f"reevaluate is {again!r}; expected 0 to {self.trials}, the trials of the search"
            )
        every = self.validate_every
        if every is not None and not (isinstance(every, int) and 1 <= every <= self.epochs):
            raise ConfigurationError(
                f"validate_every is {every!r}; expected 1 to {self.epochs}, the epochs of a trial"
            )

    def _check_labels(self) -> None:
        if "+" in self.strategy and not (self.proposer and self.scheduler):
            raise ConfigurationError(
                f"strategy is {self.strategy!r}; expected a strategy, or one with a scheduler, "
                "such as bayesian+asha"
            )
        if self.proposer == "default" and self.scheduler:
            raise ConfigurationError(
                f"strategy is {self.strategy!r}; the default strategy has one trial, and nothing "
                "to stop: leave the scheduler out"
            )
        names = [name for field in OPTION_FIELDS for name, _ in getattr(self, field)]
        sizes = [] if self.size is None else [self.size]
        for kind, labels in (("option name", names), ("size", sizes)):
            for label in labels:
                if not LABEL_PART.fullmatch(label):
                    raise ConfigurationError(
                        f"{kind} {label!r} is not valid; use lower-case letters, digits and _"
                    )

    @property
    def id(self) -> str:
        """Readable, stable name: ``strategy-architecture-backend-dataset`` plus differences."""
        return f"{self.strategy}-{self.network}-{self.backend_variant}-{self.setting}"

    @property
    def proposer(self) -> str:
        """The strategy without its scheduler."""
        return self.strategy.partition("+")[0]

    @property
    def scheduler(self) -> str | None:
        """The scheduler of the trials; None if each is trained to its end."""
        return self.strategy.partition("+")[2] or None

    @property
    def setting(self) -> str:
        """The data set, and what else differs from the defaults: ``digits+epochs3``."""
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        defaults["space"] = self.own_space
        if self.strategy == "default":
            defaults["trials"] = 1
        differences = [
            _label(name, getattr(self, name))
            for name in (
                "space",
                "trials",
                "epochs",
                "batch_size",
                "validate_every",
                "seed",
                "reevaluate",
                "threads",
                "batched_trials",
                "task",
                "devices",
            )
            if getattr(self, name) != defaults[name]
        ]
        learning = [
            label
            for label, default in (
                (self.optimizer_variant, "adam"),
                (self.schedule_variant, "constant"),
            )
            if label != default
        ]
        parts = [*_labels(self.dataset_options), *differences, *learning]
        return "+".join([self.dataset, *parts])

    @property
    def own_space(self) -> str:
        """The space that is searched unless another is named: that of the optimiser."""
        # A training of one's own has whichever optimiser it likes.
        is_own = self.backend == OWN
        return LEARNING_RATE if is_own else OWN_SPACE.get(self.optimizer, LEARNING_RATE)

    @property
    def optimizer_variant(self) -> str:
        """The optimiser with its options, such as ``sgd.momentum0p9``."""
        return _varied(self.optimizer, *_labels(self.optimizer_options))

    @property
    def schedule_variant(self) -> str:
        """The schedule with its options, such as ``step.every1_gamma0p7``."""
        return _varied(self.schedule, *_labels(self.schedule_options))

    @property
    def network(self) -> str:
        """The architecture with its size and options, such as ``simple_cnn.m``."""
        options = self.architecture_options
        if self.architecture.startswith(COMMAND):
            # What a size is made of is its own; the command line is too long for a name.
            unnamed = ("command", "report", READS)
            kept = () if self.size is not None else options
            options = tuple(each for each in kept if each[0] not in unnamed)
        return _varied(self.architecture, self.size, *_labels(options))

    @property
    def backend_variant(self) -> str:
        """The backend with its options, such as ``torch.precisionbfloat16``."""
        return _varied(self.backend, *_labels(self.backend_options))

    @property
    def hash(self) -> str:
        """First 12 hex digits of the SHA-256 of the definition; `repeats` does not count."""
        return _digest_without(self.to_dict(), "repeats")

    def derive_seed(self, *index: int | str) -> int:
        """Return a 32-bit seed that depends on `index` and on what is trained.

        Neither the strategy nor the backend has an influence, nor how far a search goes, nor
        how images are varied: in the same repeat all of them meet the same split, initial
        weights and order of samples. The seed of the split and that of the order (`DRAWING`)
        depend on the data set alone, so that networks and sizes, too, meet the same of both.

        Parameters
        ----------
        *index : int or str
            What it is for, such as ``0, "split"``: the repeat, the purpose, the trial.
        """
        drawn = {name: v for name, v in self.dataset_options if name not in VARYING}
        definition = {**self.to_dict(), "dataset_options": drawn}
        if self.architecture.startswith(COMMAND):
            # To say what it reads changes nothing of it.
            definition.get("architecture_options", {}).pop(READS, None)
        if not set(DRAWING).isdisjoint(map(str, index)):
            brings = ("architecture",) if self.backend == OWN else ()
            definition = {name: definition[name] for name in (*DATA, *brings)}
        text = ":".join(map(str, (_digest_without(definition, *UNSEEDED), *index)))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])

    def to_dict(self) -> dict[str, Any]:
        """Return the definition as JSON-ready values, without what older versions lack."""
        values = dataclasses.asdict(self)
        for name in OPTION_FIELDS:
            values[name] = dict(getattr(self, name))
        return {
            name: value
            for name, value in values.items()
            if name not in LATER or value != LATER[name]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Case":
        """Rebuild a case from `to_dict`; unknown keys are an error."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigurationError(f"case definition has unknown keys: {', '.join(unknown)}")
        return cls(**values)


def freeze_options(options: Mapping[str, Scalar] | Options) -> Options:
    """Return options as pairs sorted by name."""
    pairs = options.items() if isinstance(options, Mapping) else options
    return tuple(sorted((str(name), value) for name, value in pairs))


def matrix(
    strategies: Iterable[str] = ("default",),
    networks: Iterable[str] = ("simple_cnn",),
    backends: Iterable[str] = ("torch",),
    **common: Any,
) -> list[Case]:
    """Return every combination of strategies, networks and backends.

    Parameters
    ----------
    strategies, backends : iterable of str
        Names.
    networks : iterable of str
        Architectures, each with its size if it has one: ``"simple_cnn.m"``.
    **common
        Further fields of `Case`, equal in all of them.
    """
    cases = []
    for strategy, network, backend in itertools.product(strategies, networks, backends):
        architecture, size = split_network(network)
        cases.append(Case(strategy, architecture, backend, size=size, **common))
    return cases


def split_network(network: str) -> tuple[str, str | None]:
    """Split ``"simple_cnn.m"`` into architecture and size."""
    architecture, _, size = network.partition(".")
    return architecture, size or None


def _digest_without(values: Mapping[str, Any], *names: str) -> str:
    definition = {"schema": SCHEMA_VERSION, **values}
    for name in names:
        definition.pop(name, None)
    text = json.dumps(definition, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _varied(name: str, *labels: str | None) -> str:
    variation = "_".join(filter(None, labels))
    return f"{name}.{variation}" if variation else name


def _labels(options: Options) -> Iterator[str]:
    return (_label(name, value) for name, value in options)


def _label(name: str, value: Scalar | None) -> str:
    if name in ("space", "task"):
        return str(value)
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    text = str(value)
    if isinstance(value, float):
        return name + text.translate(str.maketrans(".-", "pm", "+"))
    if LABEL_PART.fullmatch(text) and len(text) <= LONGEST_TEXT:
        return f"{name}{text}"
    slug = re.sub(r"[^a-z0-9]+", "_", text.rsplit("/", 1)[-1].lower())[:LONGEST_TEXT].strip("_")
    return f"{name}_{slug}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"
