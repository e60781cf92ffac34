"""Suites that marks make, as far as pytest goes without running a case."""

import pytest

HEAD = "import pytest\nfrom greenbench import register_suite\nfrom greenbench.cases import Case\n"
MARK = '\n@pytest.mark.greenbench([Case(seed={seed})], suite="{suite}")\n'
TEST = "def test_{name}(greenbench_case):\n    pass\n"
PLAIN = "\n" + TEST.format(name="plain")
COLLECT = ("-p", "no:cacheprovider", "--collect-only", "-q")


def marked(name: str, suite: str, seed: int) -> str:
    return MARK.format(seed=seed, suite=suite) + TEST.format(name=name)


def collected(pytester: pytest.Pytester, *options: str) -> list[str]:
    lines = pytester.runpytest_inprocess(*COLLECT, *options).outlines
    return sorted(line.partition("::")[2] for line in lines if "::" in line)


def test_suite_of_marks_has_the_cases_of_all_that_name_it(pytester: pytest.Pytester) -> None:
    tests = marked("a", "marked", 5) + PLAIN + marked("b", "marked", 6)
    pytester.makepyfile(test_file=HEAD + tests)
    assert collected(pytester, "--greenbench-suite", "marked") == [
        "test_a[default-simple_cnn-torch-digits+seed5]",
        "test_b[default-simple_cnn-torch-digits+seed6]",
        "test_plain[default-simple_cnn-torch-digits+seed5]",
        "test_plain[default-simple_cnn-torch-digits+seed6]",
    ]


def test_tests_of_another_suite_are_skipped(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_file=HEAD + marked("a", "marked", 5) + marked("b", "beside", 6))
    tests = collected(pytester, "--greenbench-suite", "beside")
    assert "test_b[default-simple_cnn-torch-digits+seed6]" in tests
    assert not any("seed5" in test for test in tests)
    assert len(collected(pytester)) == 2


def test_marks_of_classes_and_of_the_file_make_suites(pytester: pytest.Pytester) -> None:
    source = 'pytestmark = pytest.mark.greenbench([Case(seed=8)], suite="whole")\n' + PLAIN
    inner = MARK.format(seed=9, suite="inner")
    source += f"{inner}class TestMine:\n    def test_it(self, greenbench_case):\n        pass\n"
    pytester.makepyfile(test_file=HEAD + source)
    assert collected(pytester) == [
        "TestMine::test_it[default-simple_cnn-torch-digits+seed9]",
        "test_plain[default-simple_cnn-torch-digits+seed8]",
    ]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (marked("a", "ci", 5), "suite 'ci' is already registered by *; choose another name*"),
        (marked("a", "My suite", 5), "suite name 'My suite' is not valid; use lower-case *"),
        (
            '\n@register_suite("mine")\ndef mine():\n    return []\n' + marked("a", "mine", 5),
            "suite 'mine' of a mark in *test_file.py is already registered (*; choose another*",
        ),
        (
            "\n@pytest.mark.greenbench([Case()], suite=5)\n" + TEST.format(name="a"),
            "the mark greenbench of *test_a has the suite 5; expected a name",
        ),
    ],
    ids=["taken", "malformed", "decorated", "no name"],
)
def test_name_that_cannot_be_is_one_line(pytester: pytest.Pytester, source: str, line: str) -> None:
    pytester.makepyfile(test_file=HEAD + source)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.stdout.fnmatch_lines([line])
    assert "Traceback" not in result.stdout.str()
    assert result.ret == pytest.ExitCode.INTERRUPTED


def test_name_is_taken_by_marks_of_another_file(pytester: pytest.Pytester) -> None:
    for name in ("first", "second"):
        pytester.makepyfile(**{f"test_{name}": HEAD + marked("a", "shared", 5)})
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "--collect-only")
    result.stdout.fnmatch_lines(["suite 'shared' is already registered by test_first; choose *"])
