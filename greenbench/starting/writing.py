"""Writes a benchmark into somebody's project; what is there stays as it is."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from greenbench.errors import ConfigurationError
from greenbench.machine.files import reason, remedy
from greenbench.starting import templates
from greenbench.starting.finds import Find

BUDGETS = "budgets.toml"
_PACKAGE_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass(frozen=True)
class Written:
    """What became of a project.

    Attributes
    ----------
    written, left : tuple of str
        Files that were written, and those that were there before and stay as they are.
    command : str
        What runs the benchmark.
    add : str
        What a tox file that was there before still needs; nothing if there was none.
    """

    written: tuple[str, ...]
    left: tuple[str, ...]
    command: str
    add: str = ""


def write(root: Path, find: Find | None, name: str, services: Sequence[str] = ()) -> Written:
    """Write a benchmark of a find, its budgets and where it runs.

    Parameters
    ----------
    root : pathlib.Path
        The project.
    find : Find or None
        What is trained; without, an example.
    name : str
        Of the case.
    services : sequence of str
        ``"github"``, ``"gitlab"``: whose workflow is written, too.

    Raises
    ------
    ConfigurationError
        If a file cannot be written; nothing is left then.
    """
    bench = f"benchmarks/bench_{name}.py"
    command = f"pytest {bench}"
    if find is None or find.kind != "script":
        command += f" --greenbench-suite {name} --greenbench-budget {BUDGETS}"
    requirements = [each for each in ("requirements.txt",) if (root / each).is_file()]
    is_package = any((root / each).is_file() for each in _PACKAGE_FILES)
    tox = templates.tox(command, BUDGETS, requirements, is_package=is_package)
    files = {
        bench: templates.bench(find, name, bench, BUDGETS),
        BUDGETS: templates.BUDGETS.format(epochs=templates.EPOCHS),
        "tox.ini": tox,
        **{_of_service(root, each): getattr(templates, each.upper()) for each in services},
    }
    left = tuple(each for each in files if (root / each).exists())
    new = {path: text for path, text in files.items() if path not in left}
    _write_all(root, new)
    add = tox.partition("\n\n")[2] if "tox.ini" in left and bench in new else ""
    return Written(tuple(new), left, command, add)


def case_name(text: str) -> str:
    """Return a name for a case that is made of any text: ``MyNet`` gives ``my_net``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_") or "training"


def _of_service(root: Path, service: str) -> str:
    if service == "github":
        return ".github/workflows/greenbench.yml"
    # GitLab reads one file; whoever has it includes ours.
    return ".gitlab-ci.greenbench.yml" if (root / ".gitlab-ci.yml").exists() else ".gitlab-ci.yml"


def _write_all(root: Path, files: dict[str, str]) -> None:
    made: list[Path] = []
    try:
        for name, text in files.items():
            path = root / name
            missing = [each for each in path.parents if not each.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            made += reversed(missing)
            with path.open("x", encoding="utf-8") as file:
                made.append(path)
                file.write(text)
    except OSError as error:
        for each in reversed(made):
            each.rmdir() if each.is_dir() else each.unlink()
        raise ConfigurationError(
            f"{root / name} cannot be written ({reason(error)}); {remedy(error)}, then run "
            "`greenbench init` again"
        ) from error
