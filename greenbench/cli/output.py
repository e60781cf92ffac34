"""What commands say: each line, and each text for other programs, has one way out."""

import shlex
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

import click

from greenbench.errors import GreenbenchError
from greenbench.machine.secrets import redact
from greenbench.text import Printing, clean, printing

ARGUMENTS = "greenbench.arguments"
"""Where the context keeps what was typed."""
INTERRUPTED = 130
"""The exit code of what Ctrl+C has ended, as shells have it."""


def say(line: str, *, err: bool = False, is_whole: bool = False) -> None:
    """Print a line of names and words, cleaned; in a terminal, it breaks between words.

    Parameters
    ----------
    line : str
        Without an end.
    err : bool
        Whether to standard error.
    is_whole : bool
        Whether it stays on one line, such as a command to copy.
    """
    shown, stream = clean(line), sys.stderr if err else sys.stdout
    # A program or a log gets one line, however long.
    if not is_whole and shown and printing(stream).isatty():
        from greenbench.terminal.console import room_of  # noqa: PLC0415
        from greenbench.terminal.wrapping import folded  # noqa: PLC0415

        shown = "\n".join(folded(shown, room_of(stream) or len(shown)))
    click.echo(shown, err=err)


def folded(line: str, indent: int = 0) -> list[str]:
    """Return the lines that a line becomes in 80 columns, or those that there are.

    Parameters
    ----------
    line : str
        Cleaned.
    indent : int
        Of all lines but the first.
    """
    from greenbench.terminal.console import USUAL, room_of  # noqa: PLC0415
    from greenbench.terminal.wrapping import folded  # noqa: PLC0415

    return folded(clean(line), room_of(sys.stdout) or USUAL, indent)


def say_next(command: str, when: str = "") -> None:
    """Print what to do next as the last line, where people look at standard output.

    Parameters
    ----------
    command : str
        One that works as it stands.
    when : str
        When it will, if not at once.
    """
    if printing(sys.stdout).isatty():
        say(f"Next{when and f', {when}'}: {command}", is_whole=True)


def same_command() -> str:
    """Return the command that was typed, as one that goes on with what it began."""
    typed = click.get_current_context().meta.get(ARGUMENTS, ())
    return shlex.join(["greenbench", *(each for each in typed if each != "--fresh")])


@contextmanager
def interruptible(said: str, then: str = "") -> Iterator[None]:
    """Let Ctrl+C end the command with one line, and the exit code of programs that it ends.

    Parameters
    ----------
    said : str
        The line.
    then : str
        The next command, where one goes on with what was interrupted.
    """
    try:
        yield
    except KeyboardInterrupt:
        say(said, err=True)
        if then:
            say_next(then)
        sys.exit(INTERRUPTED)


def emit(text: str) -> None:
    """Print a text for other programs, as what formats it has made it.

    Parameters
    ----------
    text : str
        Whole, such as a CSV.
    """
    click.echo(text, nl=False)


def emit_commands(text: str) -> None:
    """Print workflow commands to standard error, which none of the other ways prints.

    Parameters
    ----------
    text : str
        As `greenbench.text.programs.workflow_command` makes them.
    """
    printing(sys.stderr).show(text, with_commands=True)


class Group(click.Group):
    """Turns greenbench's errors into one line and an exit code, and prints so that nothing fails.

    Standard output that cannot be written is said in one line, and is exit code 2 where it
    would be 0. A reader that has left, such as ``head``, changes no exit code.
    """

    def main(self, *given: Any, **options: Any) -> Any:
        """Run, with streams that never fail."""
        with _streams() as output:
            try:
                return super().main(*given, **options)
            except SystemExit as leaving:
                if output.failure is None:
                    raise
                sys.exit(_told(output.failure, leaving.code))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and keep what was typed."""
        ctx.meta[ARGUMENTS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except GreenbenchError as error:
            first, *further = redact(str(error)).split("\n")
            for line in (f"Error: {first}", *further):
                say(line, err=True)
            ctx.exit(error.exit_code)


@contextmanager
def _streams() -> Iterator[Printing]:
    before = sys.stdout, sys.stderr
    take_streams()
    try:
        yield printing(sys.stdout)
    finally:
        sys.stdout, sys.stderr = before


def take_streams() -> None:
    """Let all that this process prints pass `Printing`, also what others print."""
    sys.stdout, sys.stderr = (cast(TextIO, printing(stream)) for stream in (sys.stdout, sys.stderr))


def show_traceback(kind: Any, error: BaseException | None, trace: Any) -> None:
    """Print the traceback of an error that nobody expected, without passwords.

    Parameters
    ----------
    kind, error, trace
        As `sys.excepthook` has them.
    """
    lines = traceback.format_exception(kind, error, trace)
    printing(sys.stderr).write(redact("".join(lines)))


def _told(failure: OSError | ValueError, code: Any) -> Any:
    """Say that standard output fails, and return the exit code."""
    reason = getattr(failure, "strerror", None) or failure
    if isinstance(failure, BrokenPipeError):
        say(f"standard output: {reason}; the rest is not shown", err=True)
        return code
    say(
        f"Error: standard output cannot be written ({reason}): what was to be read there is cut "
        "off; files and results are not",
        err=True,
    )
    return code or GreenbenchError.exit_code
