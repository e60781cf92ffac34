"""Judging: which workers can do what is asked; nobody waits for one that says nothing."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from typing import Any

from greenbench.cluster import remote
from greenbench.machine.places import described

ANSWER_S = 60.0
"""How long the first of all answers is waited for when a run begins."""
OTHERS_S = 5.0
"""How much longer the others are waited for; whoever answers later joins later."""
SILENT_S = 20.0
"""After how many seconds without an answer a worker is said to be left out until it comes."""
POLL_S = 0.05


@dataclass(frozen=True)
class Hand:
    """A worker: its address and its name."""

    address: str
    name: str


@dataclass
class _Question:
    """What a worker was asked."""

    answer: "Future[Any]"
    asked_at: float
    is_told: bool = False


class Judging:
    """Asks each worker once, and knows which of them can be used.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    common : str
        As of `greenbench.cluster.orders.Common.to_json`.
    notice : callable
        Is told of workers that cannot be used, or do not answer.
    """

    def __init__(self, client: Any, common: str, notice: Callable[[str], None]) -> None:
        self._client, self._common, self._notice = client, common, notice
        self._questions: dict[str, _Question] = {}
        self._told: dict[str, remote.Introduction] = {}

    def ask(self, hands: Sequence[Hand]) -> Mapping[Hand, str | None]:
        """Return why workers cannot be used, of those that answer soon; None of one that can.

        The first answer is waited for, and then the others, but not for long.
        """
        end = time.monotonic() + ANSWER_S
        while not self._look(hands) and not self._told and time.monotonic() < end:
            time.sleep(POLL_S)
        wait_for([each.answer for each in self._questions.values()], OTHERS_S)
        self._look(hands)
        return {h: self._told[h.address].objection for h in hands if h.address in self._told}

    def good(self, hands: Sequence[Hand]) -> list[Hand]:
        """Return those that can be used now; of others, a line says once what is wrong."""
        for hand in self._look(hands):
            if why := self._told[hand.address].objection:
                self._notice(f"worker {hand.name} is not used: {why}")
        return [hand for hand in hands if self._is_good(hand.address)]

    def addresses(self) -> list[str]:
        """Return the addresses of all that can be used."""
        return list(filter(self._is_good, self._told))

    def hosts(self) -> set[str]:
        """Return the hosts of those that can be used, as `remote.host_here` tells them."""
        return {self._told[address].host for address in self.addresses()}

    def close(self) -> None:
        """Wait for no answer any more."""
        for question in self._questions.values():
            question.answer.cancel()

    def _is_good(self, address: str) -> bool:
        return address in self._told and self._told[address].objection is None

    def _look(self, hands: Sequence[Hand]) -> list[Hand]:
        """Ask who is new and listen to who was asked; return those that have answered now."""
        there = {hand.address for hand in hands}
        # What comes back at the address of one that went is another one.
        for gone in self._questions.keys() - there:
            self._questions.pop(gone).answer.cancel()
        for gone in self._told.keys() - there:
            del self._told[gone]
        return list(self._answered([hand for hand in hands if hand.address not in self._told]))

    def _answered(self, hands: Sequence[Hand]) -> Iterator[Hand]:
        for hand in hands:
            if hand.address not in self._questions:
                self._questions[hand.address] = _Question(self._send(hand), time.monotonic())
            question = self._questions[hand.address]
            is_over = question.answer.done()
            told = _introduction(question.answer, hand.address) if is_over else None
            if told is not None:
                del self._questions[hand.address]
                self._told[hand.address] = told
                yield hand
            elif time.monotonic() - question.asked_at >= SILENT_S:
                if not question.is_told:
                    self._notice(f"worker {hand.name} does not answer: left out until it does")
                again = self._send(hand) if is_over else question.answer
                self._questions[hand.address] = _Question(again, time.monotonic(), is_told=True)

    def _send(self, hand: Hand) -> "Future[Any]":
        asked = self._client._run(
            remote.introduce, self._common, workers=[hand.address], on_error="return"
        )
        return asyncio.run_coroutine_threadsafe(asked, self._client.loop.asyncio_loop)


def _introduction(answer: "Future[Any]", address: str) -> remote.Introduction | None:
    """Return what a worker has said; None if it could not be reached."""
    if answer.cancelled():
        return None
    error = answer.exception()
    told = answer.result().get(address) if error is None else error
    if isinstance(told, remote.Introduction):
        return told
    if told is None or isinstance(told, OSError):
        return None
    if isinstance(told, ImportError | AttributeError):
        why = f"it has another greenbench, or none ({told}); install the same version there"
    else:
        why = f"it does not answer as it should ({described(told)})"
    return remote.Introduction(why, "")
