"""The host lock: who may measure on a machine at the same time, whoever runs it.

An energy that the whole host shares is measured alone. Of a card's own counter nobody else sees
anything: such measurements hold the host together, and each its cards alone.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from greenbench.energy.cards import card_lock
from greenbench.energy.host import descends_from
from greenbench.errors import ConfigurationError
from greenbench.machine.locks import LOOK_S, Lock, holders, taken_past_looks
from greenbench.machine.owners import named
from greenbench.results.gpus import Gpu
from greenbench.settings import Scope

TELL_AFTER_S = 10.0
"""Until it is said again that somebody waits; then twice as long, and so on, up to the longest."""
LONGEST_SILENCE_S = 600.0
MOST_NAMED = 3
HOLDER = "GREENBENCH_HOST_LOCK_HOLDER"
"""The variable that tells processes which ones of them hold which lock: ``PID PATH``."""


class Held:
    """What a process holds of the machine while it measures.

    Attributes
    ----------
    is_shared : bool
        Whether others may measure on other cards meanwhile.
    """

    def __init__(self, path: Path, stack: ExitStack, *, is_shared: bool) -> None:
        self.is_shared = is_shared
        self._path = path
        self._stack = stack
        self._cards: set[str] = set()

    def take(self, gpus: Sequence[Gpu], waiting: "_Waiting | None" = None) -> None:
        """Hold further cards, too, such as those that workers say that they train on.

        Parameters
        ----------
        gpus : sequence of Gpu
            Which; nothing happens if the whole host is held.

        Raises
        ------
        ConfigurationError
            If others measure on one of them. It is not waited for: who holds one card and waits
            for another may be waited for.
        """
        # In one order for all, or two would wait for each other.
        wanted = {gpu.uuid: gpu for gpu in gpus} if self.is_shared else {}
        for uuid in sorted(wanted.keys() - self._cards):
            lock = Lock(card_lock(self._path, uuid), is_for_everybody=True)
            if waiting is not None:
                waiting.take(lock, self._stack)
            elif taken_past_looks(partial(_acquire, lock)):
                self._stack.callback(lock.release)
            else:
                raise ConfigurationError(
                    f"{wanted[uuid].name} {uuid} trains, on which another greenbench is measuring "
                    "(headline gpu); wait for it, or show workers another card with "
                    "CUDA_VISIBLE_DEVICES"
                )
            lock.stamp()
            self._cards.add(uuid)


@contextmanager
def measuring_lock(
    path: Path,
    gpus: Sequence[Gpu],
    headline: str | None,
    on_wait: Callable[[str], None],
    poll_s: float = 0.2,
    *,
    while_waiting: Callable[[], object] = lambda: None,
) -> Iterator[Held]:
    """Hold of the machine what a measurement needs; the system frees it if we are killed.

    Where the headline is a GPU's own counter alone, that is the cards, and the host together with
    those who measure on other cards; else it is the host.

    Whoever waits for the host keeps later ones waiting behind, so that measurements of cards that
    come and go cannot keep a measurement of the host away for ever.

    Where this process holds the host already, or one that started it does, what is measured is a
    part of what that one measures, and nobody waits: it would be for ever.

    Parameters
    ----------
    path : Path
        The lock file, one for the whole machine; it may be anybody's. Those of cards lie beside it.
    gpus : sequence of Gpu
        The cards that train.
    headline : str or None
        A `greenbench.settings.Scope`, as it is asked for.
    on_wait : callable
        Told whom it waits for, at once, after 10 s, and then at intervals that double.
    poll_s : float
        Seconds between tries.
    while_waiting : callable
        Called between tries; what it raises ends the wait.

    Raises
    ------
    ConfigurationError
        If a lock file can be neither read nor made, or is no plain file.
    """
    is_shared = headline == Scope.GPU and bool(gpus)
    waiting = _Waiting(path, on_wait, poll_s, while_waiting)
    with ExitStack() as stack:
        with ExitStack() as turn:
            waiting.take(_Turn(path), turn)
            is_held = waiting.take(Lock(path, is_for_everybody=True), stack, is_shared=is_shared)
        held = Held(path, stack, is_shared=is_shared and is_held)
        held.take(gpus, waiting)
        if is_held:
            stack.enter_context(_told(f"{os.getpid()} {path}"))
        yield held


@contextmanager
def host_lock(path: Path, on_wait: Callable[[str], None], poll_s: float = 0.2) -> Iterator[None]:
    """Hold the whole machine; see `measuring_lock`."""
    with measuring_lock(path, (), None, on_wait, poll_s):
        yield


class _Turn(Lock):
    """Whose turn it is to wait for the host; nobody's where no file can lie beside its lock."""

    def __init__(self, path: Path) -> None:
        super().__init__(path.with_name(f"{path.name}.turn"), is_for_everybody=True)

    def acquire(self, *, is_shared: bool = False) -> bool:
        try:
            return super().acquire(is_shared=is_shared)
        except OSError:
            # It makes waiting fair, and nothing else; the host's own lock says what is wrong.
            return True


class _Waiting:
    """Takes locks one after another, and tells how long it has waited for all of them."""

    def __init__(
        self,
        path: Path,
        on_wait: Callable[[str], None],
        poll_s: float,
        while_waiting: Callable[[], object],
    ) -> None:
        self._path = path
        self._on_wait = on_wait
        self._poll_s = poll_s
        self._while_waiting = while_waiting
        self._started = time.monotonic()
        self._tell_at_s, self._silence_s = 0.0, TELL_AFTER_S

    def take(self, lock: Lock, stack: ExitStack, *, is_shared: bool = False) -> bool:
        """Take a lock until a stack ends; return False if it is held for us."""
        is_first = True
        while not _acquire(lock, is_shared=is_shared):
            if _is_held_for_us(self._path):
                return False
            self._while_waiting()
            if not is_first:
                # Whoever has the turn waits, too.
                self._tell(self._path if isinstance(lock, _Turn) else lock.path)
            time.sleep(LOOK_S if is_first else self._poll_s)
            is_first = False
        stack.callback(lock.release)
        return True

    def _tell(self, path: Path) -> None:
        waited_s = time.monotonic() - self._started
        if waited_s < self._tell_at_s:
            return
        self._on_wait(
            f"waiting for the host lock ({waited_s:.0f} s): another greenbench is measuring on "
            f"this machine{_named(holders(path))}; two at once would measure each other "
            f"({self._path})"
        )
        self._tell_at_s = waited_s + self._silence_s
        self._silence_s = min(2 * self._silence_s, LONGEST_SILENCE_S)


def _named(pids: Sequence[int]) -> str:
    more = len(pids) - MOST_NAMED
    shown = [*map(named, pids[:MOST_NAMED]), *([f"{more} more"] if more > 0 else [])]
    return f" ({', '.join(shown)})" if shown else ""


@contextmanager
def _told(holder: str) -> Iterator[None]:
    """Tell processes that are started meanwhile who holds the host."""
    before = os.environ.get(HOLDER)
    os.environ[HOLDER] = holder
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(HOLDER, None)
        else:
            os.environ[HOLDER] = before


def _is_held_for_us(path: Path) -> bool:
    pid, _, held = os.environ.get(HOLDER, "").partition(" ")
    # A process may outlive who started it, and has the variable still.
    return held == str(path) and pid.isdecimal() and descends_from(int(pid))


def _acquire(lock: Lock, *, is_shared: bool = False) -> bool:
    try:
        return lock.acquire(is_shared=is_shared)
    except OSError as error:
        raise ConfigurationError(
            f"host lock {lock.path} cannot be taken ({error.strerror}); set GREENBENCH_HOST_LOCK "
            "to a file that you may read, the same for everybody who measures on this machine"
        ) from error
