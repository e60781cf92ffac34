"""Files of the user's that register parts, named by their paths: what ``-p my_parts.py`` loads."""

import difflib
import hashlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout, suppress
from pathlib import Path

from greenbench import registry
from greenbench.errors import ConfigurationError
from greenbench.machine.places import described

ENDING = ".py"


def load_part_files(files: Iterable[Path]) -> None:
    """Run files that register parts, each once, in their order.

    Their folders are searched for what they import, after all others. Workers import the files,
    too, as those that registered parts of a case; what is in them is part of a run's conditions.

    Parameters
    ----------
    files : iterable of pathlib.Path
        Relative ones start from the working folder.

    Raises
    ------
    ConfigurationError
        If there is no such file, it raises, or it registers nothing.
    """
    for given in files:
        file = _checked(given)
        before = _registered()
        if not _is_loaded(file):
            _load(given, file)
        if _registered() == before and not _registers(file):
            raise ConfigurationError(
                f"-p {given} registers no part; decorate one in it, as with "
                "@greenbench.register_architecture('my_net'), and not under "
                "`if __name__ == '__main__'`"
            )


def _checked(given: Path) -> Path:
    file = given.absolute()
    if file.is_dir():
        raise ConfigurationError(f"-p {given} is a folder; expected a file such as my_parts.py")
    if not file.is_file():
        raise ConfigurationError(f"-p {given}: there is no such file{_hint(given)}")
    if file.suffix != ENDING:
        raise ConfigurationError(f"-p {given} is no file of Python; expected one that ends in .py")
    return file


def _hint(given: Path) -> str:
    with suppress(OSError):
        names = [path.name for path in given.absolute().parent.glob(f"*{ENDING}")]
        if near := difflib.get_close_matches(given.name, names, n=1, cutoff=0.6):
            return f"; did you mean {given.with_name(near[0])}?"
    return f"; relative paths start from {Path.cwd()}"


def _load(given: Path, file: Path) -> None:
    name = _name_for(file)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"-p {given} is no module of Python")
    module = importlib.util.module_from_spec(spec)
    if (folder := str(file.parent)) not in sys.path:
        # Last, so that a queue.py beside it is not taken for Python's own.
        sys.path.append(folder)
    sys.modules[name] = module
    try:
        # What it prints must not get among what a command prints.
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        del sys.modules[name]
        raise ConfigurationError(f"-p {given} failed: {described(error)}") from error


def _name_for(file: Path) -> str:
    """Return a module's name: that of its file, unless something else is called so."""
    name = re.sub(r"\W", "_", file.stem)
    found = None
    with suppress(ImportError, ValueError):
        found = importlib.util.find_spec(name)
    is_other = found is not None and Path(found.origin or "").absolute() != file
    is_taken = name in sys.modules or is_other
    return f"{name}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}" if is_taken else name


def _is_loaded(file: Path) -> bool:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return any(isinstance(known, str) and Path(known) == file for known in files)


def _registered() -> list[list[str]]:
    return [owner.names() for owner in registry.ALL]


def _registers(file: Path) -> bool:
    origins = (origin for owner in registry.ALL for origin in owner.origins())
    return any(origin.file is not None and Path(origin.file) == file for origin in origins)
