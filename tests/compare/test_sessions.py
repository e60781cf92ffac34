"""Which session of a store is meant, and which one has an answer."""

from typing import Any

import pytest

from greenbench.compare.sessions import Question, find_session, newest, saved_wh, sessions_of
from greenbench.errors import ConfigurationError
from tests.builders import make_row

TWO_SIZES = Question.of("results of two sizes", "architecture", ("family", "strategy"))
IDS = ["ci-20250101-1", "ci-20250102-1", "scaling-20250103-1"]


def rows_of(session: str, *networks: str, repeats: int = 1, **changed: Any) -> list[dict[str, Any]]:
    suite = session.partition("-")[0]
    return [
        make_row(network, changed={"session": session, "suite": suite, "repeat": n, **changed})
        for network in networks
        for n in range(repeats)
    ]


FULL = rows_of(IDS[0], "simple_cnn.s", "simple_cnn.m")
LOOK = rows_of(IDS[1], "simple_cnn.s")
OTHER = rows_of(IDS[2], "dense.s")
ROWS = [*FULL, *LOOK, *OTHER]


def test_sessions_come_with_the_newest_first() -> None:
    found = sessions_of(ROWS)
    assert [each.id for each in found] == IDS[::-1]
    assert [len(each.cases) for each in found] == [1, 1, 2]


def test_session_is_as_new_as_its_last_result() -> None:
    added = rows_of(IDS[0], "simple_cnn.s")
    assert sessions_of([*ROWS, *added])[0].id == IDS[0]


def test_measured_and_estimated_energies_make_no_sum() -> None:
    counted = rows_of("ci-1", "dense.s", energy_provenance="counter", energy_wh=2.0)
    modelled = rows_of("ci-1", "dense.m", energy_provenance="model", energy_wh=3.0, repeats=2)
    unknown = rows_of("ci-1", "dense.l", energy_provenance="none", energy_wh=None)
    (found,) = sessions_of([*counted, *modelled, *unknown])
    assert found.energies_wh == {"counter": 2.0, "model": 6.0}
    assert (found.unknown, found.repeats) == (1, (1, 2))


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("latest", IDS[2]), ("previous", IDS[1]), (IDS[0], IDS[0]), ("sc", IDS[2])],
)
def test_session_is_found(wanted: str, found: str) -> None:
    assert find_session(ROWS, wanted, "the store").id == found


def test_whole_id_is_that_one_though_others_begin_so() -> None:
    longer = rows_of(f"{IDS[2]}-2", "dense.s")
    assert find_session([*ROWS, *longer], IDS[2], "the store").id == IDS[2]


def test_session_of_two_suites_is_one() -> None:
    both = [*FULL, *rows_of(IDS[0], "dense.s", suite="mine")]
    assert len(find_session(both, IDS[0], "the store").rows) == 3


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("x", f"no session 'x' in the store; there is {IDS[2]}, {IDS[1]} and {IDS[0]} *sessions*"),
        ("", "no session '' in the store*"),
        ("ci-", f"session 'ci-' may be {IDS[1]} and {IDS[0]}; write more of the id*"),
    ],
)
def test_session_that_is_not_found_or_several_is_said(wanted: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_session(ROWS, wanted, "the store")
    from fnmatch import fnmatchcase  # noqa: PLC0415

    assert fnmatchcase(str(caught.value), message)


def test_no_previous_of_one_session_is_said() -> None:
    with pytest.raises(ConfigurationError, match="no session 'previous'"):
        find_session(OTHER, "previous", "the store")


def test_the_latest_of_each_suite_is_taken_and_larger_ones_are_named() -> None:
    found, (note,) = newest(ROWS)
    assert found == [*LOOK, *OTHER]
    assert note.startswith("suite ci: the latest session has 1 of the 2 cases that ci-20250101-1")


def test_the_newest_that_has_an_answer_is_taken_and_named() -> None:
    older = rows_of("ci-20240101-1", "simple_cnn.s", "simple_cnn.l")
    found, (note,) = newest([*older, *ROWS], TWO_SIZES)
    assert found == [*FULL, *OTHER]
    assert note == (
        "suite ci: from session ci-20250101-1 of an unknown day, since the latest (ci-20250102-1) "
        "has no results of two sizes"
    )


def test_an_answer_of_the_latest_is_taken_without_a_word() -> None:
    again = rows_of("ci-20250104-1", "simple_cnn.s", "simple_cnn.m")
    assert newest([*ROWS, *again], TWO_SIZES) == ([*OTHER, *again], ())


def test_looks_without_a_suite_lack_nothing() -> None:
    rows = [*rows_of("adhoc-1", "dense.s", "dense.m"), *rows_of("adhoc-2", "dense.s")]
    assert newest(rows, loose="adhoc") == (rows[2:], ())


def test_a_look_at_a_case_takes_it_out_of_no_suite() -> None:
    look = rows_of("adhoc-20250105-1", "simple_cnn.m")
    found, (note,) = newest([*FULL, *look], TWO_SIZES, loose="adhoc")
    assert found == FULL
    assert note.startswith("session adhoc-20250105-1: 1 of 1 case counts as ci-20250101-1 ran it")


def test_of_two_sessions_as_large_the_later_has_the_case() -> None:
    again = rows_of("scaling-20250105-1", "simple_cnn.s")
    assert newest([*LOOK, *again])[0] == again


def test_energy_of_reused_results_is_that_of_the_session_that_measured_them() -> None:
    first = rows_of(IDS[0], "simple_cnn.s", repeats=3)
    again = rows_of(IDS[1], "simple_cnn.s", repeats=3, reused_from=IDS[0])
    more = rows_of(IDS[1], "simple_cnn.m", repeats=2)
    found = {each.id: each for each in sessions_of([*first, *again, *more])}
    assert found[IDS[0]].energies_wh == {"model": 3.0}
    assert found[IDS[1]].energies_wh == {"model": 2.0}
    assert len(found[IDS[1]].reused) == 3
    assert saved_wh(found[IDS[1]].rows) == {"model": 3.0}
    # What was recorded elsewhere would have taken none here.
    assert saved_wh([{**row, "marks": "replayed reused"} for row in again]) == {}
