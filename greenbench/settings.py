"""Settings: what the environment and the command line decide, read once and passed on."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from greenbench.cases import Case
from greenbench.cases.case import MOST_THREADS
from greenbench.errors import ConfigurationError
from greenbench.machine.plugins import PLUGINS
from greenbench.machine.secrets import StoreUri
from greenbench.machine.switches import is_on
from greenbench.machine.threads import available_cores

RUNS_DIR = "mlruns"
TABULAR_DIR = "benchmarks/tabular"
LONGEST_IDLE_S = 3600.0
# Whatever TMPDIR says: all users of a machine must meet there.
HOST_LOCK = "/tmp/greenbench-host.lock"
STORE_TIMEOUT_S = 60.0
MOST_TDP_W = 1e6
# Of GitHub, for a pull request and for a branch, and of GitLab.
BRANCH = ("GITHUB_HEAD_REF", "GITHUB_REF_NAME", "CI_COMMIT_REF_NAME")
PREFIX = "GREENBENCH_"
READ = (
    "RUNS_DIR", "DATA_DIR", "HOST_LOCK", "THREADS", "METER", "HEADLINE", "CARBON_INTENSITY",
    "COUNTRY", "CPU_TDP_W", "TRIAL_TIMEOUT_S", "MIN_WINDOW_S", "IDLE_S", "STORE_TIMEOUT_S",
    "TABULAR_DIR", "KEEP_MODELS", "CONTROL", "PLUGINS",
)  # fmt: skip
"""What people set, without the prefix."""
TOLD = ("HOST_LOCK_HOLDER", "REPORT", "SEED", "PROGRAM", "MEASURED", "UI_PID")
"""What programs find that we start, and so what they start of ours."""
TESTED = ("REFERENCE_DIR",)
"""What our own tests read, and so whoever works on greenbench has set."""
MAY_BE_ZERO = ("GREENBENCH_CARBON_INTENSITY", "GREENBENCH_MIN_WINDOW_S", "GREENBENCH_IDLE_S")


class Scope(StrEnum):
    """What a headline covers, as it is asked for; see `greenbench.results.scope`."""

    MEASURED = "measured"
    TOTAL = "total"
    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True)
class Settings:
    """How and where cases run.

    Attributes
    ----------
    runs_dir : pathlib.Path
        Holds the journal, and the default MLflow store.
    tracking_uri : StoreUri
        MLflow tracking URI; a text becomes one.
    data_dir : pathlib.Path
        Local image files; downloads go there.
    host_lock : pathlib.Path
        The lock that allows one measurement at a time on this machine.
    threads : int
        CPU threads of a case that does not say them, the same for training and BLAS; by
        default the physical cores that this process may use.
    meter : str
        Names of meters, as `greenbench.energy.meters.open_meter` takes them.
    headline : str or None
        A `Scope`: which components the headline energy covers; None for ``measured`` where the
        device that trains has an energy counter, and ``total`` elsewhere.
    carbon_g_per_kwh : float or None
        The user's own carbon intensity, in g CO2e/kWh.
    country : str or None
        ISO 3166 code of three letters, for the country's mix.
    trial_timeout_s : float
        A trial that takes longer is stopped and recorded as timed out.
    min_window_s : float
        Shortest training window; a shorter one is filled with further passes of the same
        training, and the mean of a pass is booked. 0 leaves windows as they are.
    idle_s : float
        Seconds for which idle power is measured before and after a suite, once it is steady,
        where the meter measures; 0 leaves it out.
    cool_down : bool
        Whether each repeat waits until the GPU is as cool as before the first one.
    branch : str or None
        Of the user's project, as a CI service calls it; None where git knows.
    tabular_dir : pathlib.Path
        Recordings that the backend ``tabular`` replays.
    store_timeout_s : float
        Most seconds that an answer of the MLflow store is waited for.
    cpu_tdp_w : float or None
        The TDP of all CPUs of this machine together, in W, for meters that model its power; None
        where they look it up.
    keep_models : bool
        Whether the incumbent's model becomes an artifact of its run.
    has_control : bool
        Whether each worker measures the control workload before its first repeat, as it does
        unless the environment says no; see `greenbench.energy.control`.
    has_plugins : bool
        Whether plugins are imported; `greenbench.registry.load_plugins` asks by itself.
    """

    runs_dir: Path
    tracking_uri: StoreUri
    data_dir: Path
    host_lock: Path
    threads: int = field(default_factory=available_cores)
    meter: str = "codecarbon"
    carbon_g_per_kwh: float | None = None
    country: str | None = None
    trial_timeout_s: float = 3600.0
    min_window_s: float = 0.0
    idle_s: float = 3.0
    cool_down: bool = False
    branch: str | None = None
    tabular_dir: Path = Path(TABULAR_DIR)
    store_timeout_s: float = STORE_TIMEOUT_S
    headline: str | None = None
    cpu_tdp_w: float | None = None
    keep_models: bool = False
    has_control: bool = False
    has_plugins: bool = True

    def threads_of(self, case: Case) -> int:
        """Return the CPU threads of each process that trains a case.

        The setting's number is shared out among its devices; the case's own is that of each.
        """
        return case.threads or max(self.threads // case.devices, 1)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tracking_uri", StoreUri(self.tracking_uri))
        if self.headline is not None and self.headline not in list(Scope):
            raise ConfigurationError(
                f"headline is {self.headline!r}; expected one of {', '.join(Scope)} "
                "(--headline or GREENBENCH_HEADLINE)"
            )
        if not 0 < self.trial_timeout_s < float("inf"):
            raise ConfigurationError(
                f"trial timeout is {self.trial_timeout_s}; expected a number of seconds above 0"
            )
        if self.cpu_tdp_w is not None and not 0 < self.cpu_tdp_w <= MOST_TDP_W:
            raise ConfigurationError(
                f"TDP of the CPU is {self.cpu_tdp_w:g} W; expected a number above 0, at most "
                f"{MOST_TDP_W:g} (GREENBENCH_CPU_TDP_W)"
            )
        if not 1 <= self.threads <= MOST_THREADS:
            raise ConfigurationError(
                f"number of threads is {self.threads}; expected 1 to {MOST_THREADS}"
            )
        if not 0 <= self.idle_s <= LONGEST_IDLE_S:
            raise ConfigurationError(
                f"idle measurement is {self.idle_s:g} s; expected 0 to {LONGEST_IDLE_S:g} s"
            )
        if not 0 <= self.min_window_s < self.trial_timeout_s:
            raise ConfigurationError(
                f"shortest window is {self.min_window_s} s; expected 0 or above, and less than "
                f"the trial timeout of {self.trial_timeout_s:g} s"
            )

    @property
    def journal_dir(self) -> Path:
        """Folder of the journals."""
        return self.runs_dir / "journal"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **overrides: Any) -> "Settings":
        """Build settings from environment variables; `overrides` that are not None win.

        Raises
        ------
        ConfigurationError
            If a variable does not hold a number where one belongs.
        """
        runs_dir = _runs_dir(environment)
        cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        values: dict[str, Any] = {
            "runs_dir": runs_dir,
            "tracking_uri": anchored(environment.get("MLFLOW_TRACKING_URI"))
            or default_uri(runs_dir),
            "data_dir": Path(environment.get("GREENBENCH_DATA_DIR") or cache / "greenbench"),
            "host_lock": Path(environment.get("GREENBENCH_HOST_LOCK") or HOST_LOCK),
            "threads": _number(environment, "GREENBENCH_THREADS", int),
            "meter": environment.get("GREENBENCH_METER") or "codecarbon",
            "headline": environment.get("GREENBENCH_HEADLINE") or None,
            "carbon_g_per_kwh": _number(environment, "GREENBENCH_CARBON_INTENSITY", float),
            "country": environment.get("GREENBENCH_COUNTRY") or None,
            "cpu_tdp_w": _number(environment, "GREENBENCH_CPU_TDP_W", float),
            "trial_timeout_s": _number(environment, "GREENBENCH_TRIAL_TIMEOUT_S", float),
            "min_window_s": _number(environment, "GREENBENCH_MIN_WINDOW_S", float),
            "idle_s": _number(environment, "GREENBENCH_IDLE_S", float),
            "store_timeout_s": _number(environment, "GREENBENCH_STORE_TIMEOUT_S", float),
            "tabular_dir": Path(
                environment.get("GREENBENCH_TABULAR_DIR") or TABULAR_DIR
            ).absolute(),
            "keep_models": is_on(environment, "GREENBENCH_KEEP_MODELS"),
            "has_control": is_on(environment, "GREENBENCH_CONTROL") is not False,
            "has_plugins": is_on(environment, PLUGINS) is not False,
            "branch": next((environment[name] for name in BRANCH if environment.get(name)), None),
        }
        chosen = {name: value for name, value in overrides.items() if value is not None}
        if "country" in chosen:
            # What is typed wins over what is set, also where the two are different things.
            del values["carbon_g_per_kwh"]
        values |= chosen
        return cls(**{name: value for name, value in values.items() if value is not None})


def unread(environment: Mapping[str, str]) -> list[str]:
    """Return a sentence for each variable that is named like one of ours, and that nobody reads.

    Parameters
    ----------
    environment : mapping of str to str
        Such as `os.environ`; an empty variable counts as not set.
    """
    known = {*READ, *TOLD, *TESTED}
    names = (name.removeprefix(PREFIX) for name in environment if name.startswith(PREFIX))
    strangers = (name for name in sorted(names) if name not in known)
    return [_stranger(name) for name in strangers if environment[PREFIX + name]]


def _stranger(name: str) -> str:
    near = difflib.get_close_matches(name, READ, n=1)
    hint = f"did you mean {PREFIX}{near[0]}?" if near else "no setting has such a name"
    return f"the variable {PREFIX}{name} is set, but nothing reads it; {hint}"


def anchored(uri: str | None) -> str | None:
    """Return the URI with the file of a local store where it is now, wherever tests go to later."""
    kind, slashes, path = (uri or "").partition(":///")
    is_relative = slashes and path and not path.startswith(("/", ":", "file:", "?"))
    if kind not in ("sqlite", "sqlite+pysqlite") or not is_relative:
        return uri
    return f"{kind}{slashes}{Path(path).absolute()}"


def default_uri(runs_dir: Path) -> StoreUri:
    """Return the URI of the local sqlite store."""
    return StoreUri(f"sqlite:///{runs_dir / 'mlflow.db'}")


def home_of_nobody(environment: Mapping[str, str]) -> Path:
    """Return the folder, beside the runs, that is home to a user who has none."""
    return _runs_dir(environment) / "home"


def _runs_dir(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("GREENBENCH_RUNS_DIR") or RUNS_DIR).absolute()


def _number(
    environment: Mapping[str, str], name: str, kind: type[int] | type[float]
) -> int | float | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError:
        value = kind(-1)
    may_be_zero = name in MAY_BE_ZERO
    if not (0 < value < float("inf") or (may_be_zero and value == 0)):
        expected = "a whole number" if kind is int else "a number"
        least = "of 0 or above" if may_be_zero else "above 0"
        raise ConfigurationError(f"{name} is {text!r}; expected {expected} {least}")
    return value
