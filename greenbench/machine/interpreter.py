"""How a process of ours is started: its interpreter, and where that looks for modules."""

import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_START = """\
import sys
module, package, *sys.path = sys.argv[1:]
del sys.argv[1:]
import importlib.util, runpy
name = module.partition(".")[0]
spec = importlib.util.spec_from_file_location(name, package)
sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[name])
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def worker_command(module: str, package: str, search_path: Iterable[str]) -> list[str]:
    """Return the command that runs a module with a search path of its own.

    Python's ``-m`` would look into the working folder first, and take a ``queue.py`` there for
    its own. What the parent's interpreter leaves alone, the worker's does, too.

    Parameters
    ----------
    module : str
        In a package.
    package : str
        The file of that package. It is not searched for: where an editable installation has it in
        no search path, a file of the user may have its name.
    search_path : iterable of str
        As of `worker_search_path`.
    """
    flags = {
        "-I": sys.flags.isolated,
        "-E": sys.flags.ignore_environment,
        "-s": sys.flags.no_user_site,
    }
    given = [flag for flag, is_set in flags.items() if is_set]
    return [sys.executable, "-P", *given, "-c", _START, module, package, *search_path]


def worker_search_path(folders: Iterable[str]) -> list[str]:
    """Return where a worker looks for modules: first in Python's own library.

    Parameters
    ----------
    folders : iterable of str
        Further ones, in their order.
    """
    own = [entry for entry in sys.path if _is_of_python(entry)]
    return list(dict.fromkeys([*own, *(each for each in folders if not _is_of_python(each))]))


def _is_of_python(entry: str) -> bool:
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")]
    archive = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    path = Path(entry)
    return path in libraries or path.name in (archive, "lib-dynload")
