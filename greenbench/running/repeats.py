"""All repeats of a session, one after another: run, delivered, and what went wrong."""

from collections.abc import Callable, Collection, Iterator
from typing import Protocol, runtime_checkable

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, GreenbenchError, TakenOverError
from greenbench.results import CaseResult
from greenbench.running.case_checks import check_completed
from greenbench.running.session import Session


class Follower(Protocol):
    """Is told what becomes of a session's cases."""

    def notice(self, message: str) -> None:
        """Show one line that the user must see."""

    def case_dropped(self, case: Case) -> None:
        """Leave out the rest of a case that cannot work."""


@runtime_checkable
class RunsSeveral(Protocol):
    """A session that runs several repeats at once, and so runs all that it has."""

    def outcomes(self, follower: Follower) -> Iterator[CaseResult | GreenbenchError]:
        """Run and deliver all repeats; yield as `outcomes` does."""


Due = Callable[[int], Collection[Case]]
"""Says which cases run in a round, given how many rounds are over."""


def outcomes(
    session: Session, follower: Follower, due: Due | None = None
) -> Iterator[CaseResult | GreenbenchError]:
    """Run and deliver all repeats; yield each result, and what went wrong, which is said at once.

    Parameters
    ----------
    session : Session
        Entered.
    follower : Follower
        Is told of errors.
    due : callable, optional
        Asked before each round, when all results of the one before are known; nothing further
        runs once no case is due. None runs all that the session has.
    """
    if isinstance(session, RunsSeveral):
        yield from session.outcomes(follower)
        return
    hopeless: set[Case] = set()
    over, wanted = -1, set(session.cases)
    for case, repeat in session.repeats():
        if due and repeat > over:
            over, wanted = repeat, set(due(repeat))
        if not wanted:
            return
        if case in hopeless or case not in wanted:
            continue
        try:
            result = session.run_repeat(case, repeat)
            session.deliver(result)
            yield result
            check_completed(result)
        except TakenOverError:
            # Whatever follows would be run twice.
            raise
        except GreenbenchError as error:
            follower.notice(f"Error: {error}")
            if isinstance(error, ConfigurationError):
                # Another seed would not help, and one line says it.
                hopeless.add(case)
                follower.case_dropped(case)
            yield error
    if due and over >= 0:
        # The last look is after the last round.
        due(over + 1)
