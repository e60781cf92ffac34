"""No test asserts how long something took: another program may have kept the machine busy."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CLOCKS = {
    "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time",
    "process_time_ns", "thread_time", "thread_time_ns",
}  # fmt: skip


def is_clock(node: ast.AST) -> bool:
    """Return whether a node reads a clock, or the time itself."""
    if not isinstance(node, ast.Call):
        return False
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr in CLOCKS
    return isinstance(function, ast.Name) and function.id in CLOCKS


def timed_assertions(source: str) -> list[int]:
    """Return the lines on which a clock, or a name that holds what one read, is asserted.

    A limit of a wait, whose assertion says what did not happen, holds a clock on its left and
    the end of the wait on its right: it has a message, and is none.
    """
    tree = ast.parse(source)
    found = []
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        read = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and any(map(is_clock, ast.walk(node.value)))
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Assert) and node.msg is None:
                names = {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
                if names & read or any(map(is_clock, ast.walk(node.test))):
                    found.append(node.lineno)
    return found


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("def test():\n    assert time.monotonic() - start < 3", [2]),
        ("def test():\n    start = process_time()\n    f()\n    assert g() - start < 3", [4]),
        ("def test():\n    used = time.perf_counter() - 1\n    assert used < 3", [3]),
        ("def wait():\n    end = time.monotonic() + 9\n    assert time.monotonic() < end, log", []),
        ("def test():\n    meter = FakeMeter(time.perf_counter)\n    assert meter.read()", []),
    ],
)
def test_clocks_in_assertions_are_found(source: str, lines: list[int]) -> None:
    assert timed_assertions(source) == lines


def test_no_test_asserts_how_long_something_took() -> None:
    found = {
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("*.py")
        for line in timed_assertions(path.read_text(encoding="utf-8"))
    }
    assert found == set()
