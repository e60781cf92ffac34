"""Judgements in words."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.gate.judgement import Verdict
from greenbench.gate.metrics import Rule
from greenbench.gate.wording import (
    compared_text,
    counts_text,
    limit_text,
    number,
    sentence,
    value_text,
)
from tests.judgements import make_judgement

CASE = "default-dense.s-torch-digits"


def test_increase_says_all_that_is_needed_to_act_on_it() -> None:
    found = make_judgement(cause="train_flops are unchanged: suspect the runtime")

    assert sentence(found) == (
        f"{CASE}: energy_wh rose by 23.4% [+11.8% to +36.2%] to 14.2 mWh; allowed is 10%, "
        "so 13.4 points too much; n = 5 and 5, estimated by codecarbon (model), 90% interval; "
        "train_flops are unchanged: suspect the runtime; "
        "samples 14.1 14.2 15 13.9 14.3 mWh against 11.5 11.6 11.4 11.7 11.5 mWh; "
        "limit at benchmarks/budgets.toml:7; to accept it: `greenbench gate --update`"
    )


def test_budget_is_told_in_the_unit_of_the_value() -> None:
    large = sentence(make_judgement(rule=Rule.MAX, compared=1.41, low=1.33, high=1.5, limit=1.2))
    small = sentence(
        make_judgement(rule=Rule.MAX, compared=0.0141, low=0.0133, high=0.015, limit=0.012)
    )

    assert "energy_wh is 1.41 Wh [1.33 to 1.5]; the budget is 1.2 Wh, so 17.5% too much" in large
    assert "is 14.1 mWh [13.3 to 15]; the budget is 12 mWh, so 17.5% too much" in small


def test_value_and_limit_that_differ_never_look_the_same() -> None:
    found = make_judgement(rule=Rule.MAX, compared=1.20004, low=1.2, high=1.3, limit=1.2)

    assert "is 1.20004 Wh" in sentence(found)
    assert value_text(found) == "1.20004 Wh"


def test_emissions_below_a_tenth_of_a_gram_are_in_milligrams() -> None:
    found = make_judgement(
        "emissions_g", Rule.MAX, compared=0.0141, low=0.013, high=0.015, limit=0.012
    )

    assert "emissions_g is 14.1 mg CO2e [13 to 15]; the budget is 12 mg CO2e" in sentence(found)


def test_counts_are_exact_and_have_no_interval() -> None:
    found = make_judgement(
        "train_flops", value=1_234_567.0, compared=1.234567, low=1.234567, high=1.234567,
        limit=1.0, samples=(1_234_567.0,) * 2, baseline=(1e6, 1e6),
    )  # fmt: skip

    assert (
        "train_flops rose by 23.5% from 1,000,000 FLOP to 1,234,567 FLOP; "
        "allowed is 0%, so 234,567 too many; n = 2 and 2;"
    ) in sentence(found)
    assert "interval" not in sentence(found)
    assert "samples" not in sentence(found)


def test_excess_of_counts_is_counted_from_what_is_allowed() -> None:
    found = make_judgement(
        "parameters", value=1200.0, compared=1.2, low=1.2, high=1.2, limit=1.1,
        samples=(1200.0,), baseline=(1000.0,),
    )  # fmt: skip

    assert "allowed is 10%, so 100 too many" in sentence(found)


def test_count_of_one_repeat_above_its_budget_is_the_value_that_is_told() -> None:
    found = make_judgement(
        "parameters", Rule.MAX, value=59_000.0, compared=61_000.0, low=61_000.0, high=61_000.0,
        limit=60_000.0, samples=(59_000.0, 59_000.0, 61_000.0), baseline=(),
    )  # fmt: skip

    assert "are 61,000; the budget is 60,000, so 1,000 too many" in sentence(found)
    assert "samples 59,000 59,000 61,000;" in sentence(found)


def test_count_that_is_unchanged_is_said_to_be() -> None:
    found = make_judgement(
        "train_flops", verdict=Verdict.PASS, value=1e6, compared=1.0, low=1.0, high=1.0,
        limit=1.0, samples=(1e6,), baseline=(1e6,),
    )  # fmt: skip

    assert "train_flops are unchanged at 1,000,000 FLOP; allowed is 0%;" in sentence(found)


def test_count_that_was_zero_has_no_ratio() -> None:
    found = make_judgement(
        "train_flops", value=5.0, compared=None, low=None, high=None, limit=1.0,
        samples=(5.0,), baseline=(0.0,), reason="the limit is exceeded",
    )  # fmt: skip

    assert "train_flops went from 0 FLOP to 5 FLOP; allowed is 0%, so 5 too many" in (
        sentence(found)
    )


def test_accuracy_is_in_per_cent_and_its_changes_in_points() -> None:
    least = make_judgement(
        "accuracy", Rule.MIN, value=0.931, compared=0.931, low=0.92, high=0.942, limit=0.95
    )
    drop = make_judgement(
        "accuracy", Rule.MAX_DROP, value=0.931, compared=-0.02, low=-0.03, high=-0.012, limit=-0.01
    )

    assert (
        "accuracy is 93.1% [92 to 94.2]; at least 95% is needed, so 1.9 points too little"
        in sentence(least)
    )
    assert (
        "accuracy fell by 2 points [-3 to -1.2] to 93.1%; allowed is 1 point, so 1 point too much"
        in sentence(drop)
    )
    assert "96% interval" in sentence(drop)


def test_accuracy_that_rose_has_its_interval_with_signs() -> None:
    found = make_judgement(
        "accuracy", Rule.MAX_DROP, verdict=Verdict.INCONCLUSIVE, value=0.931, compared=0.01,
        low=-0.02, high=0.04, limit=-0.01, reason="the interval straddles the limit",
    )  # fmt: skip

    assert "it rose by 1 point [-2 to +4] to 93.1%" in sentence(found)


def test_energy_that_fell_has_its_interval_with_signs() -> None:
    found = make_judgement(verdict=Verdict.PASS, compared=0.9, low=0.8, high=1.05)

    assert "energy_wh fell by 10% [-20% to +5%] to 14.2 mWh; allowed is 10%;" in sentence(found)


def test_doubt_says_what_is_not_known_and_why() -> None:
    found = make_judgement(
        verdict=Verdict.INCONCLUSIVE, low=0.95, high=1.2, compared=1.08,
        reason="the interval straddles the limit",
    )  # fmt: skip

    assert sentence(found).startswith(
        f"{CASE}: unknown whether energy_wh rose by more than 10%: "
        "the interval straddles the limit; it rose by 8% [-5% to +20%] to 14.2 mWh;"
    )
    assert "to accept it" not in sentence(found)


@pytest.mark.parametrize(
    ("metric", "rule", "limit", "claim"),
    [
        ("energy_wh", Rule.MAX, 0.05, "energy_wh is within 50 mWh"),
        ("parameters", Rule.MAX, 60_000.0, "parameters are within 60,000"),
        ("accuracy", Rule.MIN, 0.95, "accuracy is at least 95%"),
        ("accuracy", Rule.MAX_DROP, -0.01, "accuracy fell by more than 1 point"),
    ],
)
def test_doubt_without_a_value_says_nothing_of_one(
    metric: str, rule: Rule, limit: float, claim: str
) -> None:
    found = make_judgement(
        metric, rule, verdict=Verdict.INCONCLUSIVE, value=None, compared=None, low=None,
        high=None, limit=limit, samples=(), baseline=(), reason="no sample counts",
    )  # fmt: skip

    assert f"unknown whether {claim}: no sample counts; n = 0" in sentence(found)
    assert value_text(found) == compared_text(found) == "–"


def test_warning_says_why_it_is_no_failure() -> None:
    found = make_judgement(verdict=Verdict.WARN, reason="the limit is exceeded; only warns")
    assert "; only warns; " in sentence(found)
    assert "the limit is exceeded" not in sentence(found)


def test_violation_without_a_figure_says_its_reason() -> None:
    found = make_judgement(
        "accuracy", Rule.MIN, value=None, compared=None, low=None, high=None, limit=0.95,
        samples=(), reason="no trial completed",
    )  # fmt: skip

    assert "accuracy is unknown; at least 95% is needed; no trial completed" in sentence(found)


def test_pass_needs_no_advice() -> None:
    found = sentence(make_judgement(verdict=Verdict.PASS, compared=1.02, low=0.9, high=1.09))

    assert not re.search("too much|to accept|samples", found)


def test_many_samples_are_cut_short_and_counted() -> None:
    found = make_judgement(samples=tuple(0.014 + n / 1e4 for n in range(30)))

    assert "mWh and 22 more against" in sentence(found)


@given(st.text(), st.text(), st.text())
def test_sentence_is_one_line_whatever_names_hold(name: str, reason: str, accept: str) -> None:
    found = sentence(make_judgement(case_id=name, reason=reason, accept=accept, cause=reason))

    assert len(found.splitlines()) == 1
    assert not [c for c in found if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")]


@given(
    st.sampled_from([("energy_wh", Rule.MAX), ("energy_wh", Rule.MAX_INCREASE),
                     ("accuracy", Rule.MIN), ("accuracy", Rule.MAX_DROP),
                     ("train_flops", Rule.MAX), ("train_flops", Rule.MAX_INCREASE)]),
    st.sampled_from(list(Verdict)),
    st.lists(st.none() | st.floats(), min_size=4, max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
)  # fmt: skip
def test_any_figures_can_be_said(
    what: tuple[str, Rule], verdict: Verdict, figures: list[float | None], limit: float
) -> None:
    value, low, high, compared = figures
    found = make_judgement(
        *what, verdict=verdict, value=value, low=low, high=high, compared=compared, limit=limit
    )

    said = " ".join([sentence(found), value_text(found), compared_text(found), limit_text(found)])

    assert not re.search(r"\b(nan|None)\b", said)


def test_cells_show_the_change_and_its_limit_with_signs() -> None:
    increase = make_judgement()
    drop = make_judgement("accuracy", Rule.MAX_DROP, compared=-0.02, low=-0.03, high=-0.012,
                          limit=-0.01)  # fmt: skip
    budget = make_judgement(rule=Rule.MAX, compared=1.41, low=1.33, high=1.5, limit=1.2)
    count = make_judgement("trials", compared=1.25, low=1.25, high=1.25, limit=1.0)

    cells = [
        (compared_text(f), limit_text(f), counts_text(f)) for f in (increase, drop, budget, count)
    ]

    assert cells == [
        ("+11.8% to +36.2%", "≤ +10%", "5, 5"),
        ("-3 to -1.2 points", "≥ -1 point", "5, 5"),
        ("1.33 to 1.5 Wh", "≤ 1.2 Wh", "5"),
        ("+25%", "≤ 0%", "5, 5"),
    ]


def test_no_change_is_zero_without_a_sign_or_what_rounding_left() -> None:
    drop = make_judgement("accuracy", Rule.MAX_DROP, limit=-0.0)
    increase = make_judgement(limit=1.0 + 2e-16)

    assert (limit_text(drop), limit_text(increase)) == ("≥ 0 points", "≤ 0%")


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (999.4, "999"), (999.6, "1,000"), (1234.5, "1,234"), (1e20, f"{10**20:,}"),
     (0.01234, "0.0123")],
)  # fmt: skip
def test_numbers_have_separators_and_no_exponent(value: float, shown: str) -> None:
    assert number(value) == shown
