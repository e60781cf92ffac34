"""A program that is measured: it runs as the user's shell would run it, and ends with us."""

import os
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from greenbench.energy.hostlock import HOLDER
from greenbench.errors import ConfigurationError, MeasuringError
from greenbench.machine.processes import GroupLeader, Guardian
from greenbench.measuring.measurement import Measurement
from greenbench.measuring.process import Measuring
from greenbench.settings import Settings

PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
"""Signals for us that are the program's, by name: not every system has all."""
BY_SIGNAL = 128
"""What shells add to the number of the signal that ended a program."""

MARK = "GREENBENCH_MEASURED"
"""Variable that the program finds, and by which it is found if we are killed as it starts."""


def measure_program(
    settings: Settings,
    command: Sequence[str],
    name: str,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> tuple[Measurement, int]:
    """Run a program to its end, and return what was used meanwhile, and its exit code.

    Parameters
    ----------
    settings : Settings
        Which meter and lock, and for how long idle power is measured before.
    command : sequence of str
        The program, and its arguments.
    name : str
        Of the measurement.
    environment : mapping of str to str
        What the program finds.
    say : callable
        Told while it has to wait for the machine.

    Raises
    ------
    ConfigurationError
        If a setting cannot be used, or the program cannot be started.
    """
    measuring = Measuring(settings, False, say, settings.idle_s)
    # It may measure a part of itself, for which this process holds the machine.
    holder = {HOLDER: os.environ[HOLDER]} if HOLDER in os.environ else {}
    code = None
    program = Program(command, {**environment, **holder})
    try:
        measuring.begin()
        try:
            code = program.run()
        finally:
            measurement = measuring.end(name, has_failed=code != 0)
    finally:
        program.close()
    return measurement, code


class Program:
    """A program with a process group of its own, and a guardian that outlives us by a moment.

    It has our standard streams. Signals that we get are the program's: Ctrl+C, and what ends,
    stops or continues us. When it has ended, what is left of its group is killed, and so is all of
    it when we are.

    Parameters
    ----------
    command : sequence of str
        The program, and its arguments.
    environment : mapping of str to str
        Its variables.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command, self._environment = list(command), dict(environment)
        self._leader: GroupLeader | None = None
        self._early: list[int] = []
        mark = secrets.token_hex(16)
        self._environment[MARK] = mark
        # It must be there first: to start it would be measured.
        try:
            self._guardian = Guardian(f"{MARK}={mark}", is_spread=False)
        except OSError as error:
            raise MeasuringError(
                f"no program can be measured: what would end it with us cannot be started ({error})"
            ) from error

    def run(self) -> int:
        """Run it to its end, and return its exit code, as a shell would tell it.

        Raises
        ------
        ConfigurationError
            If it cannot be started.
        """
        with self._signals():
            leader = self._start()
            if hasattr(os, "waitid"):
                with suppress(ChildProcessError):
                    os.waitid(os.P_PID, leader.pid, os.WEXITED | os.WNOWAIT)
            # From now on its number may be anybody's: before it is forgotten, so must the guardian.
            self.close()
            code = leader.wait()
        return code if code >= 0 else BY_SIGNAL - code

    def close(self) -> None:
        """Send the guardian home; safe to call twice."""
        self._guardian.dismiss()

    def _start(self) -> GroupLeader:
        try:
            process = subprocess.Popen(self._command, env=self._environment, start_new_session=True)
        except (OSError, ValueError) as error:
            said = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"program {self._command[0]!r} cannot be started ({said}); expected a command, "
                "such as `greenbench measure -- python train.py`"
            ) from error
        self._guardian.watch(process.pid)
        leader = self._leader = GroupLeader(process)
        for number in self._early:
            leader.signal(number)
        return leader

    @contextmanager
    def _signals(self) -> Iterator[None]:
        numbers = [getattr(signal, name) for name in PASSED_ON if hasattr(signal, name)]
        handlers = {number: self._pass_on for number in numbers}
        if hasattr(signal, "SIGTSTP"):
            handlers[signal.SIGTSTP] = self._stop
        # What whoever started us lets us ignore, as nohup does, the program ignores, too.
        heard = [each for each in handlers if signal.getsignal(each) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handlers[number]) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._leader is None:
            self._early.append(number)
        else:
            self._leader.signal(number)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        # A group without a terminal ignores the gentler signal.
        self._pass_on(signal.SIGSTOP, frame)
        os.kill(os.getpid(), signal.SIGSTOP)
        # Here we go on.
        self._pass_on(signal.SIGCONT, frame)
