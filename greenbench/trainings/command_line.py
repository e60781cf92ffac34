"""Command lines: their words, the places in them that are filled, and the scripts they name."""

import re
import shlex
import shutil
import string
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from greenbench.cases import Scalar
from greenbench.errors import ConfigurationError

SCRIPTS = (".py", ".sh", ".bash", ".R", ".r", ".jl", ".js", ".mjs", ".ts", ".pl", ".rb", ".lua")
"""Ends of files that an interpreter is given."""
ALWAYS_SCRIPTS = (".py", ".sh", ".bash")
"""Those that no program writes: they are code wherever they stand in a command."""
INTERPRETER = re.compile(r"python[\d.]*|pypy[\d.]*")
STARTERS = re.compile(
    r"(ba|da|k|z|fi)?sh|env|nice|ionice|nohup|setsid|stdbuf|time|timeout|chrt|taskset|numactl|sudo"
    r"|xargs|make|srun|mpirun|mpiexec|docker|podman|apptainer|singularity|conda|mamba|micromamba"
    r"|uv|uvx|poetry|pipenv|pixi|npm|npx|cargo|go"
)
"""Programs that start others, of which a command's words do not tell the file."""
RUN_BY_SHELL = re.compile(rb"#!.*\b(ba|da|k|z|fi)?sh\b")
RUN_BY_PYTHON = re.compile(rb"#!.*(python|pypy)")
SHEBANG_BYTES = 256
NAME_PART = re.compile(r"[^a-z0-9]+")
UNNAMED = "program"


@dataclass(frozen=True)
class CommandLine:
    """A command line with places to fill, such as ``python train.py --lr {learning_rate}``.

    Attributes
    ----------
    text : str
        As typed; ``{{`` and ``}}`` are braces.
    """

    text: str

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The program and its arguments, with their places.

        Raises
        ------
        ConfigurationError
            If a quotation has no end, or nothing is left.
        """
        try:
            words = tuple(shlex.split(self.text))
        except ValueError as error:
            raise ConfigurationError(
                f"command {self.text!r} cannot be split into words: {error}; quote as in a shell"
            ) from error
        if not words:
            raise ConfigurationError(
                "the command is empty; expected one such as "
                "'python train.py --lr {learning_rate} --epochs {epochs}'"
            )
        return words

    @cached_property
    def places(self) -> tuple[str, ...]:
        """Names of the places, each once.

        Raises
        ------
        ConfigurationError
            If a brace is left over, or a place is more than a name.
        """
        return tuple(dict.fromkeys(name for word in self.words for name in self.places_of(word)))

    def places_of(self, word: str) -> list[str]:
        """Return the names of the places in a word."""
        try:
            parts = list(string.Formatter().parse(word))
        except ValueError as error:
            raise self._misspelled(word) from error
        names = []
        for _, name, form, conversion in parts:
            if name is None:
                continue
            if not name.isidentifier() or form or conversion:
                raise self._misspelled(word)
            names.append(name)
        return names

    def filled(self, values: Mapping[str, Scalar]) -> list[str]:
        """Return the words with values in their places, each inside its word.

        Parameters
        ----------
        values : mapping of str to scalar
            By the names of places.
        """
        texts = {name: written(value) for name, value in values.items()}
        return [word.format_map(texts) for word in self.words]

    @cached_property
    def script(self) -> str | None:
        """What an interpreter is given to run: a file, or ``-m``'s module; None of a program."""
        words = self.words
        if INTERPRETER.fullmatch(Path(words[0]).name) and words[1:2] == ("-m",) and words[2:]:
            return f"{words[2].replace('.', '/')}.py"
        found = next((word for word in words[1:] if not word.startswith("-")), None)
        return found if found and found.endswith(SCRIPTS) else None

    @property
    def files(self) -> tuple[Path, ...]:
        """Its scripts, and the program if it is given by its path: what a change of changes it."""
        named = [self.words[0]] if "/" in self.words[0] else []
        found = dict.fromkeys([*named, *([self.script] if self.script else []), *self._scripts])
        return tuple(Path(name) for name in found if Path(name).is_file())

    @property
    def _scripts(self) -> list[str]:
        return [word for word in self.words if word.endswith(ALWAYS_SCRIPTS)]

    def program_found(self, folder: Path = Path()) -> Path | None:
        """Return the file of the program, as the search path has it; None if it is not there.

        Parameters
        ----------
        folder : pathlib.Path
            Where it would be started.
        """
        name = self.words[0]
        # Without "./", it would be looked for elsewhere.
        found = shutil.which((folder / name).absolute() if "/" in name else name)
        return None if found is None else Path(found).absolute()

    def why_unseen(self, folder: Path = Path()) -> str | None:
        """Return why its words do not tell which code it runs, as a phrase; None if they do.

        What a program that is seen starts, loads and reads, they do not tell.

        Parameters
        ----------
        folder : pathlib.Path
            Where it would be started.
        """
        program, script = self.words[0], self.script
        found = self.program_found(folder)
        if found is None:
            return f"which program {program!r} is"
        first = _first_line(found)
        if STARTERS.fullmatch(found.name) or RUN_BY_SHELL.match(first):
            return f"what {program!r} starts; a command that begins with the program itself tells"
        scripts = [*([script] if script else []), *self._scripts]
        if gone := [name for name in scripts if not (folder / name).is_file()]:
            return f"the code of {gone[0]!r}, which is no file"
        if INTERPRETER.fullmatch(Path(program).name):
            if script is None or script not in self.words:
                return f"the code that {program!r} runs; the file of a script behind it tells"
            ours = _is_ours(found)
            return None if ours else f"what {str(found)!r} imports, another Python than ours"
        if RUN_BY_PYTHON.match(first) or any(name.endswith(".py") for name in scripts):
            return f"which Python {program!r} runs; `python` and the script's file behind it tell"
        return None

    @property
    def name(self) -> str:
        """What it is called where nobody says: by its script, or else by its program."""
        stem = Path(self.script or self.words[0]).stem
        return NAME_PART.sub("_", stem.lower()).strip("_") or UNNAMED

    def check_program(self) -> None:
        """Refuse a program, or a script, that is not there.

        Raises
        ------
        ConfigurationError
            If it is not, or may not be executed.
        """
        program, script = self.words[0], self.script
        if not self.places_of(program) and shutil.which(program) is None:
            is_file = "/" in program and Path(program).is_file()
            what = "may not be executed" if is_file else "is not found"
            advice = f"run `chmod +x {shlex.quote(program)}`" if is_file else "see its spelling"
            raise ConfigurationError(
                f"command {self.text!r} starts {program!r}, which {what}; {advice}, or name the "
                "interpreter first, as in `python train.py`; it is no shell that reads the command"
            )
        is_module = script not in self.words
        if script and not is_module and not self.places_of(script) and not Path(script).is_file():
            raise ConfigurationError(
                f"command {self.text!r} runs {script!r}, which is not in {Path.cwd()}; see its "
                "spelling, or start greenbench where it is"
            )

    def _misspelled(self, word: str) -> ConfigurationError:
        return ConfigurationError(
            f"command {self.text!r} has {word!r}; expected places such as {{epochs}}, a name in "
            "braces, and {{ and }} for braces themselves"
        )


def _is_ours(python: Path) -> bool:
    """Return whether a Python is that which runs here, with the same packages."""
    ours = Path(sys.executable).absolute()
    is_beside = python.parent.resolve() == ours.parent.resolve()
    return is_beside and python.samefile(ours)


def _first_line(program: Path) -> bytes:
    try:
        with program.open("rb") as file:
            return file.read(SHEBANG_BYTES).partition(b"\n")[0]
    except OSError:
        return b""


def written(value: Scalar) -> str:
    """Return a value as it stands in a command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def quoted(names: Sequence[str]) -> str:
    """Return names of places as messages list them."""
    return ", ".join(f"{{{name}}}" for name in names)
