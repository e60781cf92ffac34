"""All repeats of a session, one after another: run, delivered, and what went wrong."""

from collections.abc import Iterator
from typing import Protocol

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, GreenbenchError
from greenbench.results import CaseResult
from greenbench.running.session import Session, check_completed


class Follower(Protocol):
    """Is told what becomes of a session's cases."""

    def notice(self, message: str) -> None:
        """Show one line that the user must see."""

    def case_dropped(self, case: Case) -> None:
        """Leave out the rest of a case that cannot work."""


def outcomes(session: Session, follower: Follower) -> Iterator[CaseResult | GreenbenchError]:
    """Run and deliver all repeats; yield each result, and what went wrong, which is said at once.

    Parameters
    ----------
    session : Session
        Entered.
    follower : Follower
        Is told of errors.
    """
    hopeless: set[Case] = set()
    for case, repeat in session.repeats():
        if case in hopeless:
            continue
        try:
            result = session.run_repeat(case, repeat)
            session.deliver(result)
            yield result
            check_completed(result)
        except GreenbenchError as error:
            follower.notice(f"Error: {error}")
            if isinstance(error, ConfigurationError):
                # Another seed would not help, and one line says it.
                hopeless.add(case)
                follower.case_dropped(case)
            yield error
