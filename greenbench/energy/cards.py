"""Locks of cards, beside the host's: who measures on which one, and whether others do, too."""

import glob
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from greenbench.machine.locks import Lock

CARD = "card"


def card_lock(host_lock: Path, uuid: str) -> Path:
    """Return the lock file of a card.

    Parameters
    ----------
    host_lock : pathlib.Path
        That of its machine.
    uuid : str
        Of the card, as NVML tells it.
    """
    return host_lock.with_name(f"{host_lock.name}.{CARD}-{re.sub(r'[^0-9A-Za-z-]', '_', uuid)}")


class Neighbours:
    """Tells whether others measured on other cards at any time since it was made.

    They did if one of these is held at either end, or was taken in between, which its file's time
    tells. No clock is compared.

    Parameters
    ----------
    host_lock : pathlib.Path
        Of the machine, which those who measure on cards share.
    own : iterable of str
        UUIDs of the cards that this process measures on, or who started it.
    """

    def __init__(self, host_lock: Path, own: Iterable[str]) -> None:
        self._host_lock = host_lock
        self._own = {card_lock(host_lock, uuid) for uuid in own}
        self._began = self._look()

    def were_there(self) -> bool:
        """Return whether they did until now."""
        now = self._look()
        return now != self._began or any(is_held for _, is_held in now.values())

    def _look(self) -> dict[Path, tuple[int, bool]]:
        """Return when each other card was last taken, and whether it is held."""
        found = {}
        for path in self._host_lock.parent.glob(f"{glob.escape(self._host_lock.name)}.{CARD}-*"):
            if path not in self._own:
                # What is planted there is no card that anybody holds.
                with suppress(OSError):
                    is_held = _is_held(path)
                    found[path] = (path.lstat().st_mtime_ns, is_held)
        return found


def _is_held(path: Path) -> bool:
    lock = Lock(path, is_for_everybody=True)
    is_free = lock.acquire(is_shared=True)
    lock.release()
    return not is_free
