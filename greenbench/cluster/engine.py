"""The engine: a session whose repeats run on the workers of a cluster."""

import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, ClassVar, Protocol

from greenbench.cases import Case
from greenbench.cluster.asked import LOCAL, Asked
from greenbench.cluster.attempt import Attempt, Repeat
from greenbench.cluster.crew import Crew
from greenbench.cluster.judging import Hand
from greenbench.cluster.orders import Common
from greenbench.cluster.started import started
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import (
    ConfigurationError,
    DatasetError,
    GreenbenchError,
    JournalError,
    WorkerError,
)
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.results.marks import REPLAYING
from greenbench.running.case_checks import check_completed
from greenbench.running.conditions import (
    Conditions,
    conditions_asked,
    conditions_of_each,
    sources_of_cases,
)
from greenbench.running.delivery import Delivery, When, silence
from greenbench.running.listener import Listener
from greenbench.running.repeats import Follower
from greenbench.running.session import Session

POLL_S = 1.0
MOST_AT_ONCE = 1000
TELL_EVERY_S = 60.0


class PlaceListener(Protocol):
    """Is told what one worker does."""

    def repeat_started(self, case: Case, repeat: int, done_trials: int) -> None:
        """Show that a repeat begins there."""

    def event(self, kind: str, values: Mapping[str, Any]) -> None:
        """Show an event of it."""

    def repeat_finished(self, result: CaseResult | None) -> None:
        """Show that it ended; None if it failed."""

    def repeat_lost(self) -> None:
        """Show that it goes on elsewhere."""


class ManyListener(Listener, Protocol):
    """Is told what a session does that runs several repeats at once."""

    def at(self, place: str) -> PlaceListener:
        """Return who is told of one worker."""


@dataclass
class ClusterSession(Session):
    """Runs the repeats of a suite on the workers of a cluster, one at a time on each of them.

    It owns the run's folder and what goes to MLflow; workers send what they achieve as they
    achieve it. See `Session`.

    Attributes
    ----------
    cluster : Asked or None
        Which cluster.
    clock : callable
        Tells seconds.
    """

    listener: ManyListener
    cluster: Asked | None = None
    clock: Callable[[], float] = time.monotonic
    _attempts: dict[str, Attempt] = field(default_factory=dict, init=False)
    _due: "deque[Repeat]" = field(default_factory=deque, init=False)
    _ended: "deque[Repeat]" = field(default_factory=deque, init=False)
    _lacking: dict[Case, set[str]] = field(default_factory=dict, init=False)
    _alone_since: float | None = field(default=None, init=False)
    _has_net: bool = field(default=False, init=False)
    _was_complete: bool = field(default=False, init=False)
    _told_at: float = field(default=0.0, init=False)
    _measures_here: ClassVar[bool] = False

    def outcomes(self, follower: Follower) -> Iterator[CaseResult | GreenbenchError]:
        """Run and deliver all repeats, as many at once as there are workers.

        Parameters
        ----------
        follower : Follower
            Is told of errors.

        Yields
        ------
        CaseResult or GreenbenchError
            Each result as it comes, and what went wrong, which is said at once.
        """
        hopeless: set[Case] = set()
        self._due = deque(iter(self._next, None))
        self._put_off_delivery()
        yield from self._finished(follower)
        while self._due or self._attempts:
            self._put_off_delivery()
            self._assign()
            yield from self._finished(follower)
            self._listen()
            for attempt in self._over():
                yield from self._conclude(attempt, hopeless, follower)

    def _queue(self) -> None:
        """Let all repeats be due."""
        fence = self._run_folder.fence
        self._due = deque(
            Repeat(case, repeat, Journal.of(self.folder, case, repeat, fence))
            for case, repeat in self.repeats()
        )

    def _next(self, hand: Hand | None = None) -> Repeat | None:
        """Return a repeat that is to be sent; what has ended, or cannot be read, is put aside.

        What rests on data that a worker lacks is left to others.
        """
        found, left = None, list[Repeat]()
        while self._due and found is None:
            repeat = self._due.popleft()
            if hand and hand.address in self._lacking.get(repeat.case, ()):
                left.append(repeat)
                continue
            with suppress(JournalError):
                found = repeat if repeat.journal.read().result is None else None
            if found is None:
                self._ended.append(repeat)
        self._due.extendleft(reversed(left))
        return found

    def _finished(self, follower: Follower) -> Iterator[CaseResult | GreenbenchError]:
        """Tell what an interrupted run has finished, or a worker just before it died."""
        while self._ended:
            repeat = self._ended.popleft()
            try:
                result = repeat.journal.read().result
            except JournalError as error:
                follower.notice(f"Error: {error}")
                yield error
                continue
            if result is not None:
                repeat.journal.drop_checkpoints()
                self.listener.repeat_started(repeat.case, repeat.number, len(result.trials))
                self.listener.repeat_finished(result)
                yield from self._deliver(result, follower)

    def _conditions(self, intensity: CarbonIntensity) -> Conditions:
        return conditions_asked(self.settings, self.cases, intensity)

    def _open(self, stack: ExitStack, intensity: CarbonIntensity, *, is_fresh: bool) -> None:
        common = Common.of(self.settings, self.cases, intensity).to_json()
        self._run_folder = self._open_folder(stack, intensity, is_fresh=is_fresh)
        self.folder = self._run_folder.path
        of_run = self._run_folder.request.conditions
        self._of_each = conditions_of_each(self.settings, self.cases, of_run)
        # What only workers know is checked by them, repeat by repeat.
        self._was_complete = self._run_folder.is_resumed and self._run_folder.is_complete()
        self._is_complete = True
        self._queue()
        if not self._was_complete and self.cluster is not None:
            self._join(self.cluster, stack, common)
            # What measures there takes seconds to start, as MLflow does here.
            self._assign()
        away = silence(self.settings)
        timeout_s = self.settings.store_timeout_s
        uri, when = self.settings.tracking_uri, self._when_to_deliver()
        self._delivery = Delivery(uri, self.listener, timeout_s, away, when=when)

    def _join(self, cluster: Asked, stack: ExitStack, common: str) -> None:
        notice = self.listener.notice
        there = stack.enter_context(started(cluster, self.settings, self.cases, notice))
        session = f"{self.folder.name}-{secrets.token_hex(4)}"
        self._crew = stack.enter_context(Crew(there, common, session, notice))
        self._crew.check(may_come_later=cluster.scheduler is None)
        if there.dashboard_link:
            notice(f"the cluster's dashboard: {there.dashboard_link}")

    def _when_to_deliver(self) -> When:
        """Return when logging disturbs nobody, as known before workers say where they are."""
        is_here = self.cluster is None or self.cluster.kind == LOCAL
        return When.AT_END if is_here and self._measures_any() else When.ALWAYS

    def _measures_any(self) -> bool:
        return any(case.backend not in REPLAYING for case in self.cases)

    def _measure_idle_w(self, when: str) -> dict[str, float]:
        # Each worker measures that of its own machine, before its first repeat.
        return {}

    def _end_idle_power(self) -> None:
        if self._was_complete:
            # One machine may have measured it all, and noted by how much its idle power changed.
            self.idle_drift = self._delivery.deliver_noted_drift(self.folder)
        if self._has_net and self.idle_drift is None:
            self.listener.notice(
                "workers measured idle power before their first repeats, and not again: whether "
                "it drifted meanwhile, and net figures with it, is not known"
            )

    def _assign(self) -> None:
        hands = self._crew.hands()
        self._tell_if_alone(hands)
        busy = {attempt.worker for attempt in self._attempts.values()}
        for hand in hands:
            if hand.address not in busy and (repeat := self._next(hand)):
                self._send(repeat, hand)
        if self._due and hands and not self._attempts:
            # Whoever had the data is gone: the others say again what they lack.
            self._lacking.clear()

    def _put_off_delivery(self) -> None:
        """Let nothing be logged while workers measure on this machine: they would measure it."""
        if (self._due or self._attempts) and self._measures_any() and self._crew.is_here():
            self._delivery.put_off()

    def _lacks(self, attempt: Attempt) -> bool:
        """Note that a worker has not the data of a case; return whether another one may have."""
        lacking = self._lacking.setdefault(attempt.repeat.case, set())
        lacking.add(attempt.worker)
        others = [hand for hand in self._crew.hands() if hand.address not in lacking]
        if others:
            attempt.notices.append(
                f"worker {attempt.name} is left out, and another one tried: {attempt.error}"
            )
        return bool(others)

    def _send(self, repeat: Repeat, hand: Hand) -> None:
        repeat.attempts += 1
        token = f"greenbench-{secrets.token_hex(8)}"
        self._attempts[token] = Attempt(repeat, token, hand.address, hand.name)
        look, mixed = self._run_folder.look_of(repeat.case, repeat.number), self._run_folder.mixed
        order = {
            "case": repeat.case.to_dict(),
            "repeat": repeat.number,
            "suite": self.suite,
            "journal": repeat.journal.path.name,
            "mixed": list(mixed),
            "look": look.number,
            "design": look.design,
            # Of results that were mixed, nobody knows under which.
            "conditions": None if mixed else self._of_each.get(repeat.case),
            "packages": sorted(sources_of_cases(self.settings, [repeat.case]).packages),
        }
        done = len(repeat.journal.read().trials)
        self._at(hand.name).repeat_started(repeat.case, repeat.number, done)
        self._crew.send(token, json.dumps(order), hand)

    def _listen(self) -> None:
        # Not all that there ever is: whoever is idle, or gone, must be seen to, too.
        for message in islice(self._crew.messages(POLL_S), MOST_AT_ONCE):
            attempt = self._attempts.get(message["token"])
            if attempt is None:
                # Of a worker that was taken for dead.
                continue
            op, values = message["op"], message["values"]
            if op == "notice":
                self.listener.notice(str(values["text"]))
            elif op == "event":
                attempt.hear(values["kind"], values["event"])
                self._at(attempt.name).event(values["kind"], values["event"])
                if message["number"]:
                    self._crew.reply(attempt.token, message["number"], {})
            else:
                self._crew.reply(attempt.token, message["number"], attempt.answer(op, values))
            self._tell(attempt)

    def _over(self) -> list[Attempt]:
        """Return the attempts that came to an end; those whose worker is gone are due again."""
        for attempt in list(self._attempts.values()):
            if attempt.is_over:
                continue
            if not self._crew.is_there(attempt.worker):
                attempt.lose(has_left=self._crew.has_left(attempt.worker))
            elif (broken := self._crew.broken(attempt.token)) is not None:
                attempt.error = WorkerError(f"{attempt.repeat.case.id} on {attempt.name}: {broken}")
            else:
                continue
            self._tell(attempt)
            attempt.is_over = attempt.error is not None
            if attempt.error is None:
                self._at(attempt.name).repeat_lost()
                self._forget(attempt)
                self._due.appendleft(attempt.repeat)
        return [attempt for attempt in self._attempts.values() if attempt.is_over]

    def _conclude(
        self, attempt: Attempt, hopeless: set[Case], follower: Follower
    ) -> Iterator[CaseResult | GreenbenchError]:
        self._forget(attempt)
        repeat, error = attempt.repeat, attempt.error
        if error is None:
            result = repeat.journal.read().result
            if result is not None:
                self._at(attempt.name).repeat_finished(result)
                yield from self._deliver(result, follower)
                return
            error = WorkerError(f"{repeat.case.id} finished without a result on {attempt.name}")
        is_configuration = isinstance(error, ConfigurationError)
        is_elsewhere = isinstance(error, DatasetError) and self._lacks(attempt)
        if is_elsewhere or (is_configuration and attempt.taken_from):
            if not is_elsewhere:
                # What a worker has differs from what the one before had.
                attempt.start_over(str(error))
                self._lacking.pop(repeat.case, None)
            self._at(attempt.name).repeat_lost()
            self._tell(attempt)
            self._due.appendleft(repeat)
            return
        self._at(attempt.name).repeat_finished(None)
        if is_configuration:
            if repeat.case in hopeless:
                return
            # Another seed would not help, and one line says it.
            hopeless.add(repeat.case)
            follower.case_dropped(repeat.case)
            self._due = deque(each for each in self._due if each.case != repeat.case)
        follower.notice(f"Error: {error}")
        yield error

    def _deliver(
        self, result: CaseResult, follower: Follower
    ) -> Iterator[CaseResult | GreenbenchError]:
        self._has_net |= bool(result.idle_w)
        self.deliver(result)
        yield result
        try:
            check_completed(result)
        except GreenbenchError as error:
            follower.notice(f"Error: {error}")
            yield error

    def _at(self, name: str) -> "PlaceListener":
        """Return who is told of the repeats of one worker."""
        return self.listener.at(name)

    def _forget(self, attempt: Attempt) -> None:
        self._crew.release(attempt.token)
        del self._attempts[attempt.token]

    def _tell(self, attempt: Attempt) -> None:
        while attempt.notices:
            self.listener.notice(attempt.notices.pop(0))

    def _tell_if_alone(self, hands: list[Hand]) -> None:
        now = self.clock()
        if hands:
            self._alone_since = None
            return
        if self._alone_since is None:
            self._alone_since, self._told_at = now, now
            self.listener.notice(
                "no worker is there: waiting for one; Ctrl+C ends this, the same command resumes"
            )
        elif now - self._told_at >= TELL_EVERY_S:
            self._told_at = now
            waited = (now - self._alone_since) / 60
            self.listener.notice(f"still no worker after {waited:.0f} min")
