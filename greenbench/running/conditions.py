"""Conditions: what the results of a run depend on besides its cases, by names for people."""

import hashlib
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path

import greenbench
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.meters import meter_files, meter_names
from greenbench.machine.environment import describe_environment, git_revision
from greenbench.machine.sources import Sources, digest_files, sources_of
from greenbench.running.parts import registering_modules
from greenbench.settings import Settings
from greenbench.trainings.command import files_of, line_of
from greenbench.trainings.command_line import CommandLine
from greenbench.trainings.reading import (
    VARIABLE,
    digest_of_data,
    digest_of_variable,
    reads_of,
    why_unknown,
)

Conditions = Mapping[str, str | float | None]

CODE, FILE, DATA = "the code of ", "the file ", "the data set "
PROGRAM, OF_ENVIRONMENT = "the program ", "the variable "
DIGESTS = (CODE, FILE, DATA, PROGRAM, OF_ENVIRONMENT)
"""How names begin whose values are digests, which tell people nothing."""
READ = (FILE, OF_ENVIRONMENT)
"""How names begin of what trainings of people's own read."""
MOST_NAMED = 5
COMPUTING = (
    "torch", "torchvision", "keras", "jax", "jaxlib", "tensorflow", "numpy", "scipy",
    "scikit-learn", "scikit-optimize", "optuna", "cmaes", "pillow", "pyarrow", "codecarbon", "zeus",
)  # fmt: skip
"""Packages that compute, load or measure; those that users' parts import are added."""
WHICH_CARD = "CUDA_VISIBLE_DEVICES"
VARIABLES = (
    WHICH_CARD, "CUDA_DEVICE_ORDER", "KERAS_BACKEND", "KERAS_HOME",
    "NVIDIA_TF32_OVERRIDE",
    "CUBLAS_WORKSPACE_CONFIG", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "PYTORCH_CUDA_ALLOC_CONF",
    "XLA_FLAGS", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION",
    "TF_ENABLE_ONEDNN_OPTS", "TF_DETERMINISTIC_OPS", "ONEDNN_DEFAULT_FPMATH_MODE", "MKL_CBWR",
)  # fmt: skip
"""Variables of the environment that decide where and how backends compute."""


def conditions_of(
    settings: Settings, cases: Sequence[Case], intensity: CarbonIntensity
) -> Conditions:
    """Return what the results of cases depend on here and now.

    What only a worker knows, the data set and the device, is kept with each repeat instead:
    see `greenbench.results.journal.Journal.start`.

    Parameters
    ----------
    settings : Settings
        How they are run.
    cases : sequence of Case
        Whose parts.
    intensity : CarbonIntensity
        Turns their energy into emissions.

    Returns
    -------
    dict
        By a name that says what it is; None where there is nothing of it.
    """
    packages = sources_of_cases(settings, cases).packages
    return {
        **conditions_asked(settings, cases, intensity),
        **conditions_here(settings, cases, packages),
    }


def sources_of_cases(settings: Settings, cases: Sequence[Case]) -> Sources:
    """Return the user's own code that some cases run, and the packages that it imports."""
    scripts = dict.fromkeys(path for case in cases for path in files_of(case))
    return sources_of(registering_modules(cases, meter_names(settings.meter)), scripts)


def conditions_asked(
    settings: Settings, cases: Sequence[Case], intensity: CarbonIntensity
) -> Conditions:
    """Return what is the same wherever the cases run: code, and how it is measured."""
    return {
        **{
            f"{CODE}{name}": digest
            for name, digest in sources_of_cases(settings, cases).digests().items()
        },
        f"{CODE}greenbench": digest_of_ours(),
        **{f"{FILE}{name}": digest_files([Path(name)]) for name in meter_files(settings.meter)},
        "meter": settings.meter,
        "headline": settings.headline,
        "shortest window in s": settings.min_window_s,
        "idle measurement in s": settings.idle_s,
        "trial timeout in s": settings.trial_timeout_s,
        "carbon intensity in g/kWh": intensity.g_per_kwh,
        "source of the carbon intensity": intensity.source.partition(" (")[0],
        # Changes that are not committed are found in the code.
        "commit": git_revision().get("commit", "").rstrip("+") or None,
    }


def conditions_here(
    settings: Settings, cases: Sequence[Case], packages: Iterable[str] = (), folder: Path = Path()
) -> Conditions:
    """Return what the machine decides that cases run on: hardware, versions, variables and files.

    Parameters
    ----------
    settings : Settings
        Of this machine.
    cases : sequence of Case
        What runs.
    packages : iterable of str
        Those that the users' parts import.
    folder : pathlib.Path
        Where cases run, and relative paths begin.
    """
    return {
        "threads": settings.threads if any(case.threads is None for case in cases) else None,
        "TDP of the CPU in W": settings.cpu_tdp_w,
        "host": describe_environment(settings.threads, {})["host"],
        "python": platform.python_version(),
        **{name: _version(name) for name in sorted(COMPUTING)},
        **{name: _version_of_import(name) for name in sorted({*packages} - {*COMPUTING})},
        **{name: os.environ.get(name) for name in VARIABLES},
        **_programs(cases, folder),
        **_data_read(cases, folder),
    }


def conditions_of_each(
    settings: Settings, cases: Sequence[Case], of_run: Conditions
) -> dict[Case, Conditions]:
    """Return what the results of each case depend on: nothing that is of the run's others alone.

    Parameters
    ----------
    settings : Settings
        How they are run.
    cases : sequence of Case
        All cases of the run.
    of_run : mapping
        What `conditions_of` returned for them; nothing of a run that nobody takes up.
    """
    if not of_run:
        return {}
    names = {
        case: {
            *_names_of_parts(sources_of_cases(settings, [case])),
            *([name_of_program(case, line)] if (line := line_of(case)) else ()),
            *names_of_data(case),
        }
        for case in cases
    }
    of_parts = set().union(*names.values()) - set(COMPUTING)
    found: dict[Case, Conditions] = {}
    for case, own in names.items():
        kept = {name: v for name, v in of_run.items() if name in own or name not in of_parts}
        found[case] = kept if case.threads is None else {**kept, "threads": None}
    return found


def names_of_data(case: Case) -> list[str]:
    """Return the names of conditions that are what the training of a case reads."""
    return [_name_of(read) for read in reads_of(case) or ()]


def _name_of(read: str) -> str:
    is_variable = read.startswith(VARIABLE)
    return f"{OF_ENVIRONMENT}{read.removeprefix(VARIABLE)}" if is_variable else f"{FILE}{read}"


def _data_read(cases: Sequence[Case], folder: Path) -> dict[str, str | None]:
    read = dict.fromkeys(each for case in cases for each in reads_of(case) or ())
    return {
        _name_of(each): digest_of_variable(each.removeprefix(VARIABLE))
        if each.startswith(VARIABLE)
        else digest_of_data(folder / each)
        for each in read
    }


def _programs(cases: Sequence[Case], folder: Path) -> dict[str, str | None]:
    """Return digests of programs; None of one that does not tell which code is run."""
    found: dict[str, str | None] = {}
    for case in cases:
        if line := line_of(case):
            file = None if line.why_unseen(folder) else line.program_found(folder)
            digest = digest_of_data(file) if file else None
            name = name_of_program(case, line)
            # Nobody tells apart what is called alike.
            found[name] = digest if found.get(name, digest) == digest else None
    return found


def name_of_program(case: Case, line: CommandLine) -> str:
    """Return the name of the condition that is the program of a case."""
    return f"{PROGRAM}{line.words[0]} of {case.architecture}"


def _names_of_parts(sources: Sources) -> set[str]:
    return {*(f"{CODE}{name}" for name in sources.files), *sources.packages}


def digest_of(conditions: Conditions | None, case: Case, repeat: int) -> str | None:
    """Return what equals that of another repeat where all equals that both depend on.

    Of data, only a worker knows whether they are the same.

    Parameters
    ----------
    conditions : mapping or None
        Of the case, as of `conditions_of_each`.
    case : Case
        The definition.
    repeat : int
        Which repeat, from 0.

    Returns
    -------
    str or None
        64 hex digits: the SHA-256 of conditions, the hash of the case, and the repeat, as JSON
        without spaces whose names are sorted. None of conditions that nobody knows.
    """
    if conditions is None:
        return None
    values = {"case": case.hash, "repeat": repeat, "conditions": dict(conditions)}
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def changes(before: Conditions | None, now: Conditions) -> tuple[str, ...]:
    """Return what differs between two conditions, each with its values where they tell people.

    Parameters
    ----------
    before : mapping or None
        What a run was begun under; None if it did not say, which nothing equals.
    now : mapping
        What would be gone on under.
    """
    if before is None:
        return ("all that it does not tell, as an older greenbench began it,",)
    names = [*now, *(name for name in before if name not in now)]
    return tuple(
        unknown(name) if _is_unknown(name, now) else change(name, before.get(name), now.get(name))
        for name in names
        if before.get(name) != now.get(name) or _is_unknown(name, now)
    )


def unknown(name: str) -> str:
    """Return a file of which nobody here can say whether it changed, and why, in words."""
    return f"{name} ({why_unknown(Path(name.removeprefix(FILE)))})"


def _is_unknown(name: str, now: Conditions) -> bool:
    return name.startswith(FILE) and name in now and now[name] is None


def change(name: str, before: object, now: object) -> str:
    """Return one difference in words."""
    if name.startswith(READ) and before is None:
        return f"{name} (unknown before)"
    if name.startswith(DIGESTS):
        return name
    return f"{name} ({_shown(before)}, now {_shown(now)})"


def listed(differences: Sequence[str]) -> str:
    """Return differences as one phrase."""
    few = list(differences[:MOST_NAMED])
    if more := len(differences) - len(few):
        few.append(f"{more} more")
    return few[0] if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]}"


def _shown(value: object) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def digest_of_ours() -> str:
    """Return the digest of greenbench's own code."""
    folder = Path(greenbench.__file__).parent
    return digest_files(sorted(folder.rglob("*.py")))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _version_of_import(name: str) -> str | None:
    """Return the version of what gives a name to import, which may be called otherwise."""
    found = _version(name)
    if found is not None:
        return found
    versions = {
        each: _version(each) for each in _distributions(tuple(sys.path)).get(name, ()) if each
    }
    if len(versions) > 1:
        return ", ".join(f"{each} {versions[each]}" for each in sorted(versions))
    return next(iter(versions.values()), None)


@cache
def _distributions(_: tuple[str, ...]) -> Mapping[str, Sequence[str]]:
    # It reads what all that is installed says of itself: a quarter of a second.
    return packages_distributions()
