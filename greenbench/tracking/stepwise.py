"""A result on its way into the store, in steps: whoever has no time for all of it goes on later."""

from collections.abc import Callable

from greenbench.machine.secrets import StoreUri
from greenbench.tracking.asking import translated
from greenbench.tracking.attempts import is_late
from greenbench.tracking.logs import Steps


class Stepwise:
    """A result that is logged call by call.

    Parameters
    ----------
    begin : callable
        Returns the steps; told whether the result may be there already, as a whole or in part.
    uri : StoreUri
        Of the store, for messages.
    may_exist : bool
        Whether it may at first.
    goes_on : bool
        Whether what breaks is tried once more.
    """

    def __init__(
        self, begin: Callable[[bool], Steps], uri: StoreUri, *, may_exist: bool, goes_on: bool
    ) -> None:
        self._begin, self._uri, self._goes_on = begin, uri, goes_on
        self._steps = begin(may_exist)
        self._run_id: str | None = None

    @property
    def run_id(self) -> str:
        """Id of the run, once all steps are taken."""
        assert self._run_id is not None, "there are steps left"
        return self._run_id

    def take(self) -> bool:
        """Take the next step, and return whether there is another.

        Raises
        ------
        TrackingError
            If the store cannot be written.
        """
        with translated(self._uri):
            try:
                next(self._steps)
            except StopIteration as end:
                self._run_id = str(end.value)
                return False
            except Exception as error:
                # What is late may still come about.
                if not self._goes_on or is_late(error):
                    raise
                self._goes_on = False
                self._steps = self._begin(True)
            return True
