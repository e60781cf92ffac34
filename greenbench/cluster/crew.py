"""The crew: the workers of a cluster, as Dask tells of them, and what each of them is at."""

import queue
import threading
import time
from asyncio import CancelledError
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from distributed import Client, Future, Queue
from distributed.client import ClosedClientError

from greenbench.cluster import remote
from greenbench.cluster.devices import METER
from greenbench.cluster.judging import Hand, Judging
from greenbench.cluster.started import Started
from greenbench.errors import ClusterError
from greenbench.machine.places import described

CONNECT_S = 10
JOIN_S = 60
"""What workers may take to join that are started beside us, as in a batch script."""
REST_S = 60
RETRY_S = 0.5
LOOK_EVERY_S = 1.0
MOST_MESSAGES = 1000
"""That wait for the driver; workers wait with more."""
AWAY = (OSError, RuntimeError, AttributeError, KeyError, ClosedClientError, CancelledError)
"""What Dask raises where the connection is gone, or what was there is."""
HOW_TO_START = "`dask worker ADDRESS --nthreads 1 --resources METER=1`"


class Crew:
    """The driver's end of a cluster; used as a context manager.

    Parameters
    ----------
    started : Started
        The cluster.
    common : str
        What all repeats have in common, as of `greenbench.cluster.orders.Common.to_json`.
    session : str
        Names this driver among all that use the cluster.
    notice : callable
        Is told of workers that cannot be used.
    """

    def __init__(
        self, started: Started, common: str, session: str, notice: Callable[[str], None]
    ) -> None:
        self._common, self._session, self._notice = common, session, notice
        self._check_started = started.check
        self._seen: Mapping[str, Mapping[str, Any]] | None = None
        self._seen_at = 0.0
        self._futures: dict[str, Future[None]] = {}
        self._downs: dict[str, Queue] = {}
        try:
            self._client = Client(
                started.address,
                timeout=CONNECT_S,
                security=started.security,
                set_as_default=False,
                name=f"greenbench-{session}",
            )
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"no Dask scheduler answers at {started.address} within {CONNECT_S} s "
                f"({type(error).__name__}); start one with `dask scheduler`, or mend the address"
            ) from error
        self._judging = Judging(self._client, common, notice)
        self._up = Queue(f"greenbench-{session}", client=self._client, maxsize=MOST_MESSAGES)
        self._inbox: queue.Queue[Mapping[str, Any]] = queue.Queue(MOST_MESSAGES)
        # A question to the scheduler that ended by a time limit would be an error in its log.
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *exception: object) -> None:
        self._judging.close()
        with suppress(Exception):
            # Where the scheduler is gone, there is nobody to be told.
            for token in list(self._futures):
                self.release(token)
        with suppress(Exception):
            # Processes that wait there take memory, and no more.
            self._client.sync(
                self._client._run,
                remote.rest,
                self._common,
                workers=self._judging.addresses(),
                on_error="return",
                callback_timeout=REST_S,
            )
        with suppress(Exception):
            self._up.close()
        self._client.close()

    def check(self, *, may_come_later: bool) -> None:
        """Make sure that there are workers, and that they are as we are.

        Parameters
        ----------
        may_come_later : bool
            Whether a queue still has to start them.

        Raises
        ------
        ClusterError
            If none offers a meter or answers, or one differs from us.
        """
        found = self._workers()
        if not found and not may_come_later:
            self._notice(f"no worker is there yet: waiting for one, for {JOIN_S} s at most")
            with self._reaching(), suppress(TimeoutError):
                self._client.wait_for_workers(1, timeout=JOIN_S)
            self._seen = None
            found = self._workers()
        hands = self._offering(found)
        if not hands and not may_come_later:
            there = f"{len(found)} workers, and none of them" if found else "no worker that"
            raise ClusterError(
                f"the cluster at {self._address} has {there} offers a {METER}, which says that one "
                f"measurement may run there at a time; start {HOW_TO_START}"
            )
        answers = self._judging.ask(hands) if hands else {}
        for hand, why in answers.items():
            if why:
                raise ClusterError(f"worker {hand.name} cannot be used: {why}")
        if hands and not answers:
            raise ClusterError(
                f"none of {len(hands)} workers at {self._address} answers; look into their logs, "
                "start them again, then run the same command"
            )

    def hands(self) -> list[Hand]:
        """Return the workers that can be used now; one that cannot is told of once."""
        found = self._workers()
        if not found:
            self._check_started()
        return self._judging.good(self._offering(found))

    def is_here(self) -> bool:
        """Return whether one of the workers that can be used is on this machine."""
        return remote.host_here() in self._judging.hosts()

    def is_there(self, address: str) -> bool:
        """Return whether a worker is still there, if only to end what it is at."""
        return address in self._workers()

    def has_left(self, address: str) -> bool:
        """Return whether a worker that is gone was told to go."""
        with self._reaching():
            told = self._client.get_events(address)
        return any(event.get("action") == "closing-worker" for _, event in told)

    def send(self, token: str, order: str, hand: Hand) -> None:
        """Let a worker run a repeat."""
        with self._reaching():
            self._downs[token] = Queue(token, client=self._client)
            self._futures[token] = self._client.submit(
                remote.run_repeat,
                self._common,
                order,
                self._up.name,
                token,
                key=token,
                workers=[hand.address],
                resources={METER: 1},
                pure=False,
                retries=0,
            )

    def messages(self, wait_s: float) -> Iterator[Mapping[str, Any]]:
        """Yield what workers have said; the first of it is waited for, for some seconds."""
        try:
            yield self._inbox.get(timeout=wait_s)
            while True:
                yield self._inbox.get_nowait()
        except queue.Empty:
            return

    def _read(self) -> None:
        while self._client.status in ("running", "connecting"):
            try:
                self._inbox.put(self._up.get())
            except (Exception, CancelledError):
                # The connection is gone, maybe for a moment; who asked asks again.
                time.sleep(RETRY_S)

    def reply(self, token: str, number: int, answer: Mapping[str, Any]) -> None:
        """Answer a question."""
        with self._reaching():
            self._downs[token].put({"number": number, **answer})

    def broken(self, token: str) -> str | None:
        """Return why Dask gave a repeat up; None if it did not."""
        future = self._futures[token]
        if future.status in ("cancelled", "lost"):
            raise self._gone("it knows nothing of what runs")
        if future.status == "finished":
            # Who says what came of it is answered before that.
            return "it ended without saying what came of it"
        return described(future.exception()) if future.status == "error" else None

    def release(self, token: str) -> None:
        """Forget a repeat; a worker that is still at it stops."""
        future, down = self._futures.pop(token), self._downs.pop(token)
        with self._reaching():
            if not future.done():
                future.cancel(force=True)
            future.release()
            down.close()

    @property
    def _address(self) -> str:
        return str(self._client.scheduler.address) if self._client.scheduler else "?"

    def _workers(self) -> Mapping[str, Mapping[str, Any]]:
        if self._client.status not in ("running", "connecting"):
            raise self._gone("the connection is closed")
        now = time.monotonic()
        if self._seen is None or now - self._seen_at >= LOOK_EVERY_S:
            self._seen, self._seen_at = self._client.scheduler_info()["workers"], now
        return self._seen

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        """Say in one line that the scheduler cannot be reached."""
        try:
            yield
        except AWAY as error:
            raise self._gone(described(error)) from error

    def _gone(self, why: str) -> ClusterError:
        return ClusterError(
            f"the Dask scheduler is gone ({why}): finished trials are kept; start it and its "
            "workers again, then run the same command"
        )

    def _offering(self, found: Mapping[str, Mapping[str, Any]]) -> list[Hand]:
        return [
            Hand(address, str(worker.get("name", address)))
            for address, worker in found.items()
            if worker.get("resources", {}).get(METER, 0) >= 1
            and worker.get("status", "running") == "running"
        ]
