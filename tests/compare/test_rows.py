import pytest

from greenbench.compare.rows import measured_anew, measured_once, once, select
from greenbench.errors import UnknownNameError
from tests.builders import make_row

OLD = make_row("simple_cnn.s", changed={"session": "s1"})
NEW = make_row("simple_cnn.m", changed={"session": "s2"})
OTHER_SUITE = make_row("dense.m", changed={"session": "s0", "suite": "scaling"})
ROWS = [OTHER_SUITE, OLD, NEW]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"family": "dense"}, [OTHER_SUITE]),
        ({"size": "m"}, [OTHER_SUITE, NEW]),
        ({"size": "m", "suite": "ci"}, [NEW]),
        ({"energy_wh": "1.0"}, ROWS),
        ({"energy_wh": "1"}, ROWS),
        ({"energy_wh": "10e-1"}, ROWS),
        ({"energy_wh": "1.5"}, []),
        ({"energy_wh": "much"}, []),
        ({"repeat": str(OLD["repeat"])}, [OLD]),
        ({"host": "elsewhere"}, []),
        ({"host": ""}, []),
        ({"gpu_wh": ""}, ROWS),
        ({"gpu_wh": "None"}, ROWS),
        ({"gpu_wh": "0"}, []),
    ],
    ids=str,
)
def test_only_rows_that_agree_are_chosen(
    where: dict[str, str], expected: list[dict[str, object]]
) -> None:
    assert select(ROWS, where) == expected


def test_unknown_column_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'strateggy'; did you mean strategy"):
        select(ROWS, {"strateggy": "grid"})


def test_empty_store_has_nothing_to_choose() -> None:
    assert select([], {"host": "x"}) == []


def test_a_sample_counts_once_and_its_first_copy_is_kept() -> None:
    first, copy = {**OLD, "marks": "short"}, {**OLD, "marks": "drifted"}
    assert once([first, copy, NEW, copy]) == [first, NEW]


@pytest.mark.parametrize(
    "other", [{"session": "s9"}, {"repeat": 1}, {"case_id": "another"}, {"case_hash": "another"}]
)
def test_what_differs_in_session_case_or_repeat_is_another_sample(other: dict[str, object]) -> None:
    assert len(once([OLD, {**OLD, **other}])) == 2


def test_trials_of_one_repeat_are_several() -> None:
    trials = [{**OLD, "trial": 0}, {**OLD, "trial": 1}]
    assert once([*trials, *trials]) == trials


def of(session: str, repeat: int, reused_from: str | None = None) -> dict[str, object]:
    return make_row(changed={"session": session, "repeat": repeat, "reused_from": reused_from})


def test_measurement_counts_once_however_often_it_was_reused() -> None:
    original, new = of("a", 0), of("b", 1)
    reused = [of("b", 0, "a"), of("c", 0, "a"), of("c", 1, "b")]
    assert measured_once([original, new, *reused]) == [original, new]
    # Where the original is not among them, one copy is.
    assert measured_once(reused) == [reused[0], reused[2]]
    # An equal repeat that was measured again is another measurement.
    again = of("d", 0)
    assert measured_once([original, again]) == [original, again]


def test_only_what_a_session_measured_itself_is_a_new_sample() -> None:
    new, reused = of("b", 1), of("b", 0, "a")
    assert measured_anew([new]) == ([new], ())
    found, notes = measured_anew([reused, new])
    assert found == [new]
    assert notes == (
        "1 of 2 results was taken over from an earlier session (`--reuse`) and left out: that is "
        "no new sample",
    )
