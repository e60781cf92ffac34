"""What cannot work inside pytest: one line, before anything starts."""

import pytest

CASE = "def test_cost(greenbench_case, greenbench_run):\n    greenbench_run(greenbench_case)\n"
OWN = """
from greenbench.cases import Case


def test_own(greenbench_run):
    greenbench_run(Case(architecture="nope"))
"""
MARKED = "import pytest\nfrom greenbench.cases import Case\n\n\n@pytest.mark.greenbench({mark})\n"


@pytest.mark.parametrize(
    "mistake",
    [
        (CASE, [], "two", "GREENBENCH_THREADS is 'two'; expected a whole number above 0"),
        (CASE, [], "1" + "0" * 20, "number of threads is 1" + "0" * 20 + "; expected 1 to 1024"),
        (OWN, [], "two", "GREENBENCH_THREADS is 'two'; expected a whole number above 0"),
        (CASE, ["--greenbench-meter", "nope"], "1", "unknown meter 'nope'; known: *"),
        (CASE, ["--greenbench-idle", "-1"], "1", "idle measurement is -1 s; expected 0 to 3600 s"),
        (CASE, ["--greenbench-suite", "nope"], "1", "unknown suite 'nope'; known: *"),
        (CASE, ["--greenbench-trials", "0"], "1", "trials is 0; expected a whole number above 0"),
        (MARKED.format(mark="5") + CASE, [], "1", "the mark greenbench of *test_cost has 5; *"),
        (MARKED.format(mark="['a']") + CASE, [], "1", "*has ?'a'?; expected a list of Case"),
        (
            MARKED.format(mark="cases=[Case(epochs=0)]") + CASE,
            [],
            "1",
            "epochs is 0; expected a whole number above 0 (test_*.py:5)",
        ),
    ],
)
def test_mistake_is_one_line(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    mistake: tuple[str, list[str], str, str],
) -> None:
    source, options, threads, line = mistake
    monkeypatch.setenv("GREENBENCH_THREADS", threads)
    pytester.makepyfile(source)

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    result.stdout.fnmatch_lines([line])
    shown = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in shown
    assert "INTERNALERROR" not in shown
    assert ": in " not in shown
    assert "raise " not in shown
    assert result.ret in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.TESTS_FAILED)


def test_cases_of_a_mark_may_be_named(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(MARKED.format(mark="cases=[Case(seed=7)]") + CASE)

    result = pytester.runpytest_inprocess("--collect-only", "-q")

    result.stdout.fnmatch_lines(["*default-simple_cnn-torch-digits+seed7*"])
