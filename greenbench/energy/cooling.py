"""Cool-down: waits before a repeat until the GPU is as warm as it was before the first one."""

import time
from collections.abc import Callable, Sequence

from greenbench.energy.gpu_states import read_states
from greenbench.errors import ConfigurationError
from greenbench.results.gpus import Gpu

WITHIN_C = 2.0
"""By how many degrees Celsius a repeat may begin warmer than the first one."""
LONGEST_WAIT_S = 300.0
STEP_S = 1.0

Thermometer = Callable[[], float | None]


def thermometer(training: Callable[[], Sequence[Gpu]]) -> Thermometer:
    """Return what reads the temperature of the warmest GPU that trains; None if it is unknown.

    Parameters
    ----------
    training : callable
        Returns the GPUs that train.
    """

    def read() -> float | None:
        states = read_states(training())
        known = (state.temperature_c for state in states)
        return max((each for each in known if each is not None), default=None)

    return read


class CoolDown:
    """Waits before each repeat but the first.

    Parameters
    ----------
    read_c : callable
        Returns the temperature, in degrees Celsius.
    notice : callable
        Is told, once a repeat, what is waited for, and whether in vain.
    sleep, clock : callable
        Wait, and tell seconds.

    Raises
    ------
    ConfigurationError
        If no temperature can be read.
    """

    def __init__(
        self,
        read_c: Thermometer,
        notice: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read_c = read_c
        self._notice = notice
        self._sleep, self._clock = sleep, clock
        self._first_c: float | None = None
        self.check()

    def check(self) -> None:
        """Raise `ConfigurationError` if no temperature can be read."""
        if self._read_c() is None:
            raise ConfigurationError(
                "--cool-down waits for the temperature of the GPU that trains, which cannot be "
                "read here; leave it out"
            )

    def wait(self) -> None:
        """Return when it is as cool as before the first repeat, or `LONGEST_WAIT_S` are over."""
        now_c = self._read_c()
        if self._first_c is None:
            self._first_c = now_c
        if self._first_c is None or not self._is_warm(now_c):
            return
        self._notice(
            f"cooling down from {now_c:g} to {self._first_c + WITHIN_C:g} °C, "
            f"for {LONGEST_WAIT_S:g} s at most"
        )
        deadline_s = self._clock() + LONGEST_WAIT_S
        while self._is_warm(now_c) and self._clock() < deadline_s:
            self._sleep(STEP_S)
            now_c = self._read_c()
        if self._is_warm(now_c):
            self._notice(f"the GPU is still at {now_c:g} °C; the repeat begins all the same")

    def _is_warm(self, now_c: float | None) -> bool:
        # One that no longer answers is not waited for.
        if now_c is None or self._first_c is None:
            return False
        return now_c > self._first_c + WITHIN_C
