"""Orders: what a worker is told of a repeat, as plain data, and whether it can do that."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import greenbench
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.meters import meter_files, meter_names
from greenbench.machine.sources import digest_files
from greenbench.running.conditions import (
    COMPUTING,
    Conditions,
    digest_of,
    digest_of_ours,
    sources_of_cases,
)
from greenbench.running.parts import modules_in_sight, own_parts, registering_modules
from greenbench.settings import Settings

OF_A_RUN = (
    "meter", "headline", "carbon_g_per_kwh", "country", "trial_timeout_s", "min_window_s", "idle_s",
    "cool_down", "keep_models", "has_control", "branch",
)  # fmt: skip
"""Settings that are the same on all workers."""
OF_A_MACHINE = (
    "GREENBENCH_THREADS", "GREENBENCH_CPU_TDP_W", "GREENBENCH_HOST_LOCK", "GREENBENCH_DATA_DIR",
    "GREENBENCH_TABULAR_DIR",
)  # fmt: skip
"""Variables that a worker has its own of; where it has none, those that are set here hold."""


@dataclass(frozen=True)
class Common:
    """What all repeats of a run have in common.

    Attributes
    ----------
    version : str
        Of greenbench.
    code : str
        Digest of its code.
    settings : mapping
        By the names of `OF_A_RUN`.
    environment : mapping
        Of the variables `OF_A_MACHINE`, those that are set.
    intensity : mapping
        The fields of a `CarbonIntensity`.
    folder : str
        The working folder; files in it may lie in another one on a worker.
    files : mapping
        Digests of all files that the cases need, by path; one in the working folder is relative.
    modules, parts : list of dict
        As of `registering_modules` and `own_parts`.
    in_sight : mapping
        As of `modules_in_sight`.
    packages : list of str
        Those that the user's parts import.
    """

    version: str
    code: str
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    intensity: Mapping[str, Any]
    folder: str
    files: Mapping[str, str]
    modules: Sequence[Mapping[str, str]]
    parts: Sequence[Mapping[str, str]]
    in_sight: Mapping[str, str]
    packages: Sequence[str]

    @classmethod
    def of(cls, settings: Settings, cases: Sequence[Case], intensity: CarbonIntensity) -> "Common":
        """Return what some cases need here and now."""
        meters = meter_names(settings.meter)
        sources = sources_of_cases(settings, cases)
        files = [*sources.files.values(), *map(Path, meter_files(settings.meter))]
        modules = registering_modules(cases, meters)
        return cls(
            greenbench.__version__,
            digest_of_ours(),
            {name: getattr(settings, name) for name in OF_A_RUN},
            {name: os.environ[name] for name in OF_A_MACHINE if os.environ.get(name)},
            asdict(intensity),
            str(Path.cwd()),
            {_relative(str(path.absolute())): digest_files([path]) for path in files},
            [{**module, "file": _relative(module["file"])} for module in modules],
            own_parts(cases, meters),
            {name: _relative(file) for name, file in modules_in_sight().items()} if modules else {},
            sorted(sources.packages),
        )

    def to_json(self) -> str:
        """Return it as a text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Common":
        """Return what `to_json` wrote."""
        return cls(**json.loads(text))

    def home(self) -> Path:
        """Return the working folder on a worker: the same one if it is there, else its own."""
        same = Path(self.folder)
        has_all = all((same / file).is_file() for file in self.files)
        return same if same.is_dir() and has_all else Path.cwd()


def _relative(file: str) -> str:
    path = Path(file).absolute()
    return path.relative_to(Path.cwd()).as_posix() if path.is_relative_to(Path.cwd()) else str(path)


def objection(common: Common) -> str | None:
    """Return why this process cannot do what is asked as whoever asks would; None if it can."""
    if greenbench.__version__ != common.version:
        return (
            f"it has greenbench {greenbench.__version__}, and {common.version} is needed; install "
            "the same version there"
        )
    if digest_of_ours() != common.code:
        return (
            f"its greenbench {common.version} has other code than ours, as after a change; install "
            "the same there, and start the worker again"
        )
    home = common.home()
    for file, digest in common.files.items():
        if not (home / file).is_file():
            return f"{file} is not there ({home / file}); start it in a copy of {common.folder}"
        if digest_files([home / file]) != digest:
            return f"{file} differs there ({home / file}); bring it up to date"
    return None


def conditions_on(
    asked: Conditions | None, packages: Sequence[str], here: Conditions, common: Common
) -> Conditions | None:
    """Return what a case's results depend on where it runs, as a session of that machine would.

    Parameters
    ----------
    asked : mapping or None
        What is the same wherever the case runs; None where that is not recorded.
    packages : sequence of str
        Those that the case's own parts import.
    here : mapping
        What this machine decides, for all packages that parts of the run import.
    common : Common
        Of the run.
    """
    if asked is None:
        return None
    of_others = {*common.packages} - {*packages, *COMPUTING}
    return {**asked, **{name: v for name, v in here.items() if name not in of_others}}


def digest_on(order: Mapping[str, Any], here: Conditions, common: Common) -> str | None:
    """Return the digest of what a repeat runs under, of `conditions_on` where it runs."""
    found = conditions_on(order["conditions"], order["packages"], here, common)
    return digest_of(found, Case.from_dict(order["case"]), order["repeat"])
