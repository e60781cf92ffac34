"""The hand-over: a loop that calls back runs as a generator of what it tells.

A framework's `fit` owns its loop and cannot be suspended, but the stack that it runs on can. So it
runs on one of its own, a greenlet, in the same thread. In a second thread it would meet another
world: torch's gradient and autocast modes, Keras's state, settings of OpenMP and MLflow's active
run belong to threads, and signals reach the first alone.
"""

import contextvars
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def handed_over(work: Callable[[Callable[[T], None]], R]) -> Generator[T, None, R]:
    """Yield what `work` tells, each time suspended where it told it; return what it returns.

    Its errors, and interrupts from the keyboard, are raised where the generator is resumed. If that
    is closed, or nobody holds it any longer, `work` ends where it is, by an exception that only
    ``except BaseException`` catches; from then on telling raises it again.

    Parameters
    ----------
    work : callable
        Called with a function, which it calls with what it tells.

    Examples
    --------
    >>> def work(tell):
    ...     for epoch in range(2):
    ...         tell(epoch)
    ...     return "done"
    >>> list(handed_over(work))
    [0, 1]
    """
    from greenlet import GreenletExit, getcurrent, greenlet  # noqa: PLC0415

    is_closed = False

    def tell(value: T) -> None:
        if is_closed:
            raise GreenletExit
        inner.parent.switch(value)

    inner: Any = greenlet(work)
    inner.gr_context = contextvars.copy_context()
    try:
        told = inner.switch(tell)
        while not inner.dead:
            yield told
            inner.parent = getcurrent()
            told = inner.switch()
        result: R = told
        return result
    finally:
        is_closed = True
        if inner:
            inner.parent = getcurrent()
            inner.throw(GreenletExit)
