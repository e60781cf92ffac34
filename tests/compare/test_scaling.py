"""Scaling over devices: what is paired, what is said, and where more devices do not pay."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pytest

from greenbench.compare.answers import to_records
from greenbench.compare.parts import to_pairs
from greenbench.compare.scaling import Scaling, compare_scaling
from greenbench.errors import ConfigurationError, NotComparableError
from greenbench.text.programs import strict_json

Row = dict[str, Any]

NOISE = (1.0, 1.02, 0.98, 1.01, 0.99, 1.03)


def rows_of(devices: int | None, energy_wh: float, duration_s: float, **changed: Any) -> list[Row]:
    """Return six repeats; their noise is that of the repeat, and a little of their own."""
    return [
        {
            "devices": devices,
            "repeat": repeat,
            "energy_wh": energy_wh * noise * (1 + 0.001 * (devices or 1) * (-1) ** repeat),
            "duration_s": duration_s * noise * (1 + 0.001 * (devices or 1) * (-1) ** repeat),
            "test_score": 0.9,
            "architecture": "dense.m",
            **changed,
        }
        for repeat, noise in enumerate(NOISE)
    ]


# Four devices cost twice the energy of two for a tenth of the time.
ROWS = [*rows_of(1, 10, 100), *rows_of(2, 11, 52), *rows_of(4, 22, 47)]


def only(rows: Sequence[Row], **options: Any) -> Scaling:
    (found,) = compare_scaling(rows, **options)
    return found


def test_speed_up_efficiency_and_energy_are_pair_by_pair_to_one_device() -> None:
    _, two, four = only(ROWS).devices
    assert (four.devices, four.pairs, four.n) == (4, 6, 6)
    assert four.energy is not None
    assert four.speed_up is not None
    assert four.efficiency is not None
    assert four.energy.mean == pytest.approx(2.2, rel=1e-3)
    assert four.speed_up.mean == pytest.approx(100 / 47, rel=1e-3)
    assert four.efficiency.mean == pytest.approx(100 / 47 / 4, rel=1e-3)
    # The repeats' own noise is not in the intervals of their pairs.
    assert four.energy.low == pytest.approx(2.2, rel=0.01)
    assert two.energy is not None
    assert two.energy.p is not None
    assert two.energy.is_shown


def test_beyond_some_number_more_devices_cost_more_energy_than_they_save_time() -> None:
    found = only(ROWS)
    assert (found.worth, found.is_shown) == (2, True)
    assert found.sentence == (
        "4 devices are 2.13 [2.12, 2.14] times as fast as 1 device in dense.m "
        "(efficiency 53.2% [53, 53.4]), for 2.2 [2.19, 2.21] times the energy (it differs, "
        "p = 5.4e-13), at the same accuracy; beyond 2 devices (11.1 Wh), more cost more energy "
        "than they save time (it is shown, p = 4.8e-12: energy × time of 4 is 1.81 [1.8, 1.82] "
        "times that of 2)."
    )


def test_where_each_step_pays_none_is_named() -> None:
    found = only([*rows_of(1, 10, 100), *rows_of(2, 10.5, 51)])
    assert (found.worth, found.is_shown, found.beyond) == (2, False, None)
    assert found.sentence.endswith(
        "up to 2 devices, none is shown to cost more energy than it saves time."
    )


def test_older_results_trained_on_one_device() -> None:
    old = rows_of(None, 10, 100)
    for row in old:
        del row["devices"]
    assert only([*old, *rows_of(2, 11, 52)]).fewest.devices == 1


def test_sessions_are_paired_by_repeats_once_the_devices_are_out_of_names() -> None:
    names = {"case_id": "default-dense.m-torch-digits", "setting": "digits"}
    more = {name: f"{text}+devices2" for name, text in names.items()}
    rows = [
        *rows_of(1, 10, 100, session="a", **names),
        *rows_of(2, 11, 52, session="b", **more),
    ]
    found = only(to_pairs(rows, "devices"))
    assert (found.group, found.most.pairs) == ("dense.m, digits", 6)


def test_fewest_devices_need_not_be_one() -> None:
    found = only([*rows_of(2, 11, 52), *rows_of(8, 22, 26)])
    assert found.most.efficiency is not None
    assert found.most.efficiency.mean == pytest.approx(0.5, rel=0.02)
    assert "as fast as 2 devices" in found.sentence


def test_energy_of_disturbed_samples_and_time_of_delayed_ones_do_not_count() -> None:
    rows = [{**row} for row in ROWS]
    rows[-1]["marks"], rows[-2]["marks"] = "disturbed", "delayed"
    most = only(rows).most
    assert most.energy is not None
    assert most.speed_up is not None
    assert most.product is not None
    assert (most.n, most.energy.n, most.speed_up.n, most.product.n) == (5, 5, 4, 4)
    every = only(rows, include_disturbed=True).most
    assert every.speed_up is not None
    assert (every.n, every.speed_up.n) == (6, 6)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "and there is none; run it on another number with `--devices`"),
        (rows_of(2, 10, 100), "and each ran on one only (2); run it"),
        (
            [*rows_of(1, 10, 100), *rows_of(2, 9, 60, architecture="dense.l")],
            "and each ran on one only (1 and 2); run it",
        ),
        ([*rows_of(1, 10, 100, host="a"), *rows_of(2, 9, 60, host="b")], "differ in host (a, b)"),
        (
            [
                *rows_of(1, 10, 100, energy_provenance="model"),
                *rows_of(2, 9, 60, energy_provenance="counter"),
            ],
            "differ in energy provenance",
        ),
        (
            [*rows_of(1, 10, 100, energy_scope="gpu"), *rows_of(2, 9, 60, energy_scope="cpu")],
            "differ in energy scope",
        ),
        (
            [*rows_of(1, 10, 100), *rows_of(1, 10, 100), *rows_of(2, 9, 60)],
            "1 device: repeat 0 comes",
        ),
        (
            [
                *rows_of(1, 10, 100, case_hash="a"),
                *rows_of(1, 10, 100, case_hash="b"),
                *rows_of(2, 9, 60),
            ],
            "1 device in dense.m",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(rows: list[Row], words: str) -> None:
    with pytest.raises(NotComparableError) as refused:
        compare_scaling(rows)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_number_of_devices_that_is_none_is_refused() -> None:
    rows = [*rows_of(1, 10, 100), *[{**row, "devices": "two"} for row in rows_of(2, 9, 60)]]
    with pytest.raises(ConfigurationError, match="devices is 'two'; expected a whole number"):
        compare_scaling(rows)


def test_answer_goes_to_other_programs() -> None:
    found = only(ROWS)
    records = to_records(found)
    assert [record["devices"] for record in records] == [1, 2, 4]
    assert [record["is_worth"] for record in records] == [False, True, False]
    assert records[0]["speed_up"] is None
    assert json.loads(strict_json(asdict(found)))["worth"] == 2
