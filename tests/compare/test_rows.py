import pytest

from greenbench.compare.rows import once, select
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
