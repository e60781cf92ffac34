"""What stands in brackets behind a figure, in words."""

import io
from collections.abc import Sequence
from typing import Any

import pytest

from greenbench.compare.brackets import bracket, brackets
from greenbench.compare.paired_means import mean_ratio
from greenbench.compare.returns import compare_returns
from greenbench.compare.stats import estimate
from greenbench.terminal import print_returns, print_summary
from greenbench.terminal.console import new_console
from tests.builders import make_row


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (estimate([1.0]), None),
        (estimate([1.0, 2.0, 3.0]), "range of 3"),
        (estimate([*range(6)]), "96.9% interval"),
        (mean_ratio([0.5]), None),
        (mean_ratio([0.5, 0.6, 0.7]), "95% interval"),
    ],
)
def test_a_range_is_called_so_and_an_interval_says_its_confidence(found: Any, words: str) -> None:
    assert bracket(found) == words


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1, 1), ""),
        ((3, 3, 1), " [range of 3]"),
        ((2, 5), " [range of 2 to 5]"),
        ((10, 9), " [96.1 to 97.9% interval]"),
        ((3, 6), " [range of 3, from 6 on 96.9% interval]"),
    ],
)
def test_a_caption_says_what_the_brackets_of_its_table_hold(
    numbers: Sequence[int], words: str
) -> None:
    assert brackets([*(estimate([*range(n)]) for n in numbers), None]) == words


def family(repeats: int) -> list[dict[str, Any]]:
    return [
        make_row(f"dense.{size}", energy_wh=wh + repeat, accuracy=0.9, changed={"repeat": repeat})
        for size, wh in (("s", 1.0), ("m", 20.0))
        for repeat in range(repeats)
    ]


@pytest.mark.parametrize(
    ("repeats", "words"),
    [(1, "median over"), (3, "median [range of 3]"), (6, "median [96.9% interval]")],
)
def test_tables_of_few_repeats_call_nothing_95_percent(repeats: int, words: str) -> None:
    stream, rows = io.StringIO(), family(repeats)
    print_summary(rows, new_console(stream))
    assert words in stream.getvalue()
    assert "[95% interval]" not in stream.getvalue()
    stream, found = io.StringIO(), compare_returns(rows)
    print_returns(found, new_console(stream))
    assert words.removesuffix(" over") in stream.getvalue()
    confidence = 0.96875 if "interval" in words else None
    for record in found[0].records():
        assert record["energy_wh_confidence"] == confidence
