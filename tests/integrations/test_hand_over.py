"""A loop that calls back, run as a generator: errors, ends in its middle, and nothing leaked."""

import contextvars
import gc
import threading
import weakref
from collections.abc import Callable, Generator
from typing import Any

import pytest

from greenbench.integrations.hand_over import handed_over

Tell = Callable[[int], None]


def counting(events: list[Any], epochs: int = 3) -> Generator[int, None, str]:
    def fit(tell: Tell) -> str:
        try:
            for epoch in range(epochs):
                events.append(f"trained {epoch}")
                tell(epoch)
            return "fitted"
        finally:
            events.append("tidied up")

    return handed_over(fit)


def test_is_suspended_where_it_tells() -> None:
    events: list[Any] = []
    steps = counting(events)
    assert (next(steps), next(steps)) == (0, 1)
    assert events == ["trained 0", "trained 1"]


def test_returns_what_the_loop_returns() -> None:
    def outer() -> Generator[int, None, None]:
        results.append((yield from counting([])))

    results: list[str] = []
    assert list(outer()) == [0, 1, 2]
    assert results == ["fitted"]


def test_several_take_turns() -> None:
    events: list[Any] = []
    first, second = counting(events, 2), counting(events, 2)
    next(first), next(second), next(first)
    assert events == ["trained 0", "trained 0", "trained 1"]
    first.close()
    assert list(second) == [1]


def test_goes_on_for_whoever_resumes_it_next() -> None:
    steps = counting([])
    next(steps)

    def fit(tell: Tell) -> None:
        tell(10 * next(steps))

    assert list(handed_over(fit)) == [10]
    assert next(steps) == 2


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_error_reaches_whoever_resumes(error: BaseException) -> None:
    def fit(tell: Tell) -> None:
        tell(0)
        raise error

    steps = handed_over(fit)
    next(steps)
    with pytest.raises(type(error)) as raised:
        next(steps)
    assert raised.value is error
    assert list(steps) == []


def test_closed_in_the_middle_ends_where_it_is() -> None:
    events: list[Any] = []
    steps = counting(events)
    next(steps)
    steps.close()
    assert events == ["trained 0", "tidied up"]


def test_one_that_nobody_resumes_ends_with_its_last_holder() -> None:
    events: list[Any] = []
    steps = counting(events)
    next(steps)
    del steps
    gc.collect()
    assert events == ["trained 0", "tidied up"]


def test_one_that_never_began_does_nothing() -> None:
    events: list[Any] = []
    counting(events).close()
    assert events == []


def test_closed_one_ends_though_its_callback_swallows_errors() -> None:
    told = []

    def fit(tell: Tell) -> None:
        for epoch in range(3):
            try:
                tell(epoch)
            except BaseException:
                told.append(epoch)

    steps = handed_over(fit)
    next(steps)
    steps.close()
    assert told == [0, 1, 2]


def test_error_of_tidying_up_is_raised_by_close() -> None:
    def fit(tell: Tell) -> None:
        try:
            tell(0)
        finally:
            raise ValueError("cannot tidy up")

    steps = handed_over(fit)
    next(steps)
    with pytest.raises(ValueError, match="cannot tidy up"):
        steps.close()


def test_runs_in_the_same_thread_with_variables_of_its_own() -> None:
    variable = contextvars.ContextVar("variable", default="default")
    seen = []

    def fit(tell: Tell) -> None:
        seen.append((threading.get_ident(), variable.get()))
        variable.set("its own")
        tell(0)
        seen.append((threading.get_ident(), variable.get()))

    steps = handed_over(fit)
    variable.set("outer")
    next(steps)
    assert variable.get() == "outer"
    assert list(steps) == []
    assert seen == [(threading.get_ident(), "outer"), (threading.get_ident(), "its own")]


@pytest.mark.parametrize("end", ["whole", "closed", "failed"])
def test_nothing_is_held_afterwards(end: str) -> None:
    class Model:
        pass

    def make() -> tuple[Generator[int, None, None], weakref.ref[Model]]:
        model = Model()

        def fit(tell: Tell) -> None:
            tell(0)
            if end == "failed":
                raise ValueError(model)

        return handed_over(fit), weakref.ref(model)

    steps, model = make()
    next(steps)
    if end == "closed":
        steps.close()
    elif end == "failed":
        with pytest.raises(ValueError, match="Model"):
            next(steps)
    else:
        assert list(steps) == []
    del steps
    gc.collect()
    assert model() is None
