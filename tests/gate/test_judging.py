from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from greenbench.errors import BudgetError, NotComparableError
from greenbench.gate.baselines import Baseline, read_baseline, write_baseline
from greenbench.gate.budgets import read_budgets
from greenbench.gate.judgement import Judgement, Judgements, Verdict
from greenbench.gate.judging import is_open, judge
from greenbench.gate.metrics import Rule
from tests.builders import make_row
from tests.judgements import make_judgements

CASE = "default-simple_cnn.m-torch-digits"
LABEL = "benchmarks/baselines/ci.json"
STEADY = (1.0, 1.02, 0.99, 1.01, 0.98)
MEASURED = {"energy_provenance": "counter", "meter": "rapl"}

PASS, FAIL, WARN, UNCLEAR = Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.INCONCLUSIVE

Rows = list[dict[str, Any]]


def rows_of(
    column: str, values: Sequence[float | None], *, session: str = "s1", **changed: Any
) -> Rows:
    """Return a row a value, repeats of one session; `changed` has other columns of all."""
    common = {**MEASURED, "session": session, **changed}
    return [
        make_row(changed={**common, column: value, "repeat": repeat})
        for repeat, value in enumerate(values)
    ]


def energies(factor: float = 1.0, **changed: Any) -> Rows:
    return rows_of("energy_wh", [factor * value for value in STEADY], **changed)


def before(rows: Rows, *, is_interleaved: bool = True) -> Baseline:
    """Return a baseline; its noise is not that of the same repeats of what is judged."""
    noisy = [{name: row[name] for name in ("energy_wh", "cpu_s")} for row in reversed(rows)]
    mixed = [{**row, **other} for row, other in zip(rows, noisy, strict=True)]
    return Baseline(LABEL, tuple(mixed if is_interleaved else rows), is_interleaved)


def judged(budget: str, rows: Rows, baseline: Baseline | None = None, **options: Any) -> Judgements:
    """Judge by the lines of a budget of all cases, or by a whole file."""
    text = budget if "[[" in budget else f'[[budget]]\ncase = "*"\n{budget}\n'
    path = Path("budgets.toml")
    path.write_text(text, encoding="utf-8")
    return judge(rows, read_budgets(path), baseline, **options)


def one(budget: str, rows: Rows, baseline: Baseline | None = None, **options: Any) -> Judgement:
    (found,) = judged(budget, rows, baseline, **options).all
    return found


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


INCREASE = 'energy_wh = { max_increase = "10%" }'
BUDGET = "energy_wh = { max = 1.2 }"
FLOPS = 'train_flops = { max_increase = "0%" }'
DROP = "accuracy = { max_drop = 0.01 }"


# Verdicts of each kind


@pytest.mark.parametrize(
    ("budget", "column", "values", "known", "verdict"),
    [
        ("parameters = { max = 1234 }", "parameters", [1234], [], PASS),
        ("parameters = { max = 1233 }", "parameters", [1234], [], FAIL),
        (FLOPS, "train_flops", [1_000], [1_000], PASS),
        (FLOPS, "train_flops", [1_001], [1_000], FAIL),
        ('trials = { max_increase = "15%" }', "trials", [115], [100], PASS),
        ('samples_seen = { max_increase = "0%" }', "samples_seen", [5, 7], [5, 6], FAIL),
        ("accuracy = { min = 0.95 }", "test_score", [0.95] * 3, [], PASS),
        ("accuracy = { min = 0.95 }", "test_score", [0.9] * 3, [], FAIL),
        ("accuracy = { min = 0.95 }", "test_score", [0.9, 0.99, 0.96], [], UNCLEAR),
        ("val_score = { min = 0.95 }", "val_score", [0.9] * 3, [], FAIL),
        (DROP, "test_score", [0.9, 0.92, 0.94], [0.9, 0.92, 0.94], PASS),
        # 0.94 - 0.95 is less than -0.01.
        (DROP, "test_score", [0.94] * 3, [0.95] * 3, PASS),
        (DROP, "test_score", [0.88, 0.9, 0.92], [0.9, 0.92, 0.94], FAIL),
        (DROP, "test_score", [0.85, 0.95, 0.93], [0.9, 0.92, 0.94], UNCLEAR),
        ("energy_wh = { max = 2 }", "energy_wh", STEADY, [], PASS),
        ("energy_wh = { max = 0.5 }", "energy_wh", STEADY, [], FAIL),
        ("energy_wh = { max = 1 }", "energy_wh", STEADY, [], UNCLEAR),
        ("emissions_g = { max = 0.5 }", "emissions_g", STEADY, [], FAIL),
        ("duration_s = { max = 0.5 }", "duration_s", STEADY, [], FAIL),
        (INCREASE, "energy_wh", STEADY, STEADY, PASS),
        (INCREASE, "energy_wh", [1.3 * value for value in STEADY], STEADY, FAIL),
        (INCREASE, "energy_wh", [1.09 * value for value in STEADY], STEADY, UNCLEAR),
        ('cpu_s = { max_increase = "10%" }', "cpu_s", [1.3, 1.31, 1.3, 1.3, 1.3], STEADY, FAIL),
    ],
)
def test_verdict_of_each_kind_of_limit(
    budget: str,
    column: str,
    values: Sequence[float],
    known: Sequence[float],
    verdict: Verdict,
) -> None:
    baseline = before(rows_of(column, known)) if known else None
    found = one(budget, rows_of(column, values), baseline)
    assert found.verdict is verdict
    reasons = {PASS: "the limit is kept", FAIL: "the limit is exceeded"}
    assert found.reason.startswith(reasons.get(verdict, "the interval straddles the limit"))


def test_judgement_says_what_it_was_made_from() -> None:
    found = one(INCREASE, energies(1.3), before(energies()))
    assert (found.case_id, found.metric, found.rule) == (CASE, "energy_wh", Rule.MAX_INCREASE)
    assert found.samples == tuple(1.3 * value for value in STEADY)
    assert found.baseline == STEADY[::-1]
    assert found.value == pytest.approx(1.3)
    assert found.compared == pytest.approx(1.3, rel=0.02)
    assert found.limit == pytest.approx(1.1)
    assert found.low is not None
    assert found.high is not None
    assert 1.1 < found.low < 1.3 < found.high
    assert (found.confidence, found.is_open) == (0.75, False)
    assert found.reason == "the limit is exceeded; decided after 3 pairs"
    assert (found.unit, found.provenance) == ("Wh", "measured by rapl (counter)")
    assert found.budget == "budgets.toml:3"
    assert found.accept == (
        "`greenbench gate --update`, or change `max_increase` at budgets.toml:3"
    )


def test_absolute_judgement_has_no_baseline_and_is_accepted_in_the_budget() -> None:
    found = one("energy_wh = { max = 0.5 }", energies(), before(energies()))
    assert found.baseline == ()
    assert found.limit == 0.5
    assert found.accept == "change `max` at budgets.toml:3"


@pytest.mark.parametrize(("uncertainty_wh", "verdict"), [(None, PASS), (0.1, PASS), (0.6, UNCLEAR)])
def test_budget_within_the_uncertainty_of_a_sample_is_inconclusive(
    uncertainty_wh: float | None, verdict: Verdict
) -> None:
    rows = energies(uncertainty_wh=uncertainty_wh)
    found = one("energy_wh = { max = 1.5 }", rows)
    assert found.verdict is verdict
    assert ("a sample is uncertain by" in found.reason) == (verdict is UNCLEAR)
    # Time has none of it.
    times = rows_of("duration_s", [1.0] * 5, uncertainty_wh=uncertainty_wh)
    assert one("duration_s = { max = 1.5 }", times).verdict is PASS


def test_limit_of_a_drop_is_in_the_scale_of_the_difference() -> None:
    found = one(DROP, rows_of("test_score", [0.88] * 3), before(rows_of("test_score", [0.9] * 3)))
    assert found.limit == -0.01
    assert found.compared == pytest.approx(-0.02)
    assert found.provenance is None


def test_what_the_next_comparison_starts_from_is_accepted_by_merging() -> None:
    baseline = Baseline("main", tuple(energies()), is_interleaved=True, update=None)
    found = one(INCREASE, energies(1.3), baseline)
    assert found.accept == (
        "change `max_increase` at budgets.toml:3, or merge it knowingly: the next comparison "
        "starts from there"
    )


# Baselines


def test_relative_limit_without_baseline_is_inconclusive_and_says_how_to_get_one() -> None:
    found = judged(f"{INCREASE}\nparameters = {{ max = 2000 }}", energies())
    increase, parameters = found.all
    assert increase.verdict is UNCLEAR
    assert increase.reason == ("there is no baseline yet: `greenbench gate --update` writes one")
    assert parameters.verdict is PASS
    assert found.baseline is None


def test_case_that_the_baseline_lacks_is_inconclusive() -> None:
    other = [make_row("dense.s", changed=MEASURED) for _ in range(5)]
    found = one(INCREASE, energies(), before(other))
    assert found.verdict is UNCLEAR
    assert found.reason == (f"{LABEL} does not have this case: `greenbench gate --update` adds it")


@pytest.mark.parametrize(
    ("column", "here", "there", "words"),
    [
        ("cpu", "new CPU", "old CPU", "CPU"),
        ("cpu", "new CPU", None, "CPU"),
        ("device", "cuda:0", "cpu", "device"),
        ("host", "h1", "h2", "host"),
        ("meter", "rapl", "codecarbon", "energy source"),
        ("energy_provenance", "counter", "model", "energy source"),
        ("energy_scope", "gpu", "cpu+gpu", "energy scope"),
        ("case_hash", "h1", "h2", "definition"),
    ],
)
def test_energy_of_another_machine_is_not_compared_and_deterministic_costs_are(
    column: str, here: str, there: str | None, words: str
) -> None:
    baseline = before(energies(**{column: there}))
    budget = f"{INCREASE}\n{FLOPS}\nparameters = {{ max_increase = '0%' }}"
    grown = energies(1.5, **{column: here, "train_flops": 2_000_000_000})
    energy, flops, parameters = judged(budget, grown, baseline).all
    assert energy.verdict is UNCLEAR
    assert energy.reason == (
        f"skipped: another {words} ({there or 'unknown'} in the baseline, {here} here), so "
        "figures are not comparable"
    )
    assert energy.baseline == ()
    assert flops.verdict is FAIL
    assert parameters.verdict is PASS


@pytest.mark.parametrize(("scope", "verdict"), [("cpu+gpu", PASS), ("gpu", UNCLEAR)])
def test_older_baseline_is_one_of_all_components(scope: str, verdict: Verdict) -> None:
    # Its file tells neither the scope nor how each component came about.
    untold = {"energy_scope": None, "cpu_provenance": None}
    here = energies(energy_scope=scope, gpu_provenance="counter")
    assert one(INCREASE, here, before(energies(**untold))).verdict is verdict


def test_time_is_compared_whatever_measured_the_energy() -> None:
    baseline = before(rows_of("duration_s", STEADY, meter="codecarbon"))
    found = one('duration_s = { max_increase = "10%" }', rows_of("duration_s", STEADY), baseline)
    assert found.verdict is PASS


def test_accuracy_of_another_definition_is_not_compared() -> None:
    baseline = before(rows_of("test_score", [0.9] * 3, case_hash="other"))
    found = one(DROP, rows_of("test_score", [0.5] * 3, case_hash="this"), baseline)
    assert found.verdict is UNCLEAR
    assert found.reason.startswith("skipped: another definition (other in the baseline, this here)")


def test_accuracy_of_another_machine_is_compared() -> None:
    baseline = before(rows_of("test_score", [0.9] * 3, cpu="old", host="h2"))
    assert one(DROP, rows_of("test_score", [0.5] * 3), baseline).verdict is FAIL


def test_costs_of_another_definition_are_compared_by_their_largest() -> None:
    baseline = before(rows_of("train_flops", [10, 30, 20], case_hash="other"))
    assert one(FLOPS, rows_of("train_flops", [30, 20]), baseline).verdict is PASS
    assert one(FLOPS, rows_of("train_flops", [10, 31]), baseline).verdict is FAIL


def test_costs_are_compared_repeat_by_repeat() -> None:
    baseline = before(rows_of("train_flops", [10, 30, 20]))
    found = one(FLOPS, rows_of("train_flops", [15, 30, 20]), baseline)
    assert found.verdict is FAIL
    assert found.compared == 1.5


def test_drop_is_that_of_equal_repeats() -> None:
    baseline = before(rows_of("test_score", [0.5, 0.7, 0.9]))
    rows = rows_of("test_score", [0.9, 0.7, 0.5])
    for row, repeat in zip(rows, (2, 1, 0), strict=True):
        row["repeat"] = repeat
    assert one(DROP, rows, baseline).verdict is PASS


def test_drop_of_too_few_equal_repeats_is_inconclusive() -> None:
    rows = rows_of("test_score", [0.9] * 4)
    for row in rows:
        row["repeat"] += 2
    found = one(DROP, rows, before(rows_of("test_score", [0.9] * 4)))
    assert found.verdict is UNCLEAR
    assert found.reason == "2 repeats are in both, and 3 are needed"


def test_count_is_compared_with_the_latest_session() -> None:
    older = rows_of("train_flops", [500], session="old")
    newer = rows_of("train_flops", [1_000], session="new")
    found = one(FLOPS, rows_of("train_flops", [1_000]), before([*older, *newer]))
    assert found.verdict is PASS
    assert found.baseline == (1_000,)


def test_energy_is_compared_with_the_latest_ten_sessions_of_equal_flops() -> None:
    sessions = [energies(10.0, session=f"old{number}") for number in range(3)]
    sessions += [energies(1.0, session=f"s{number}") for number in range(5)]
    sessions += [energies(7.0, session="other", train_flops=5)]
    sessions += [energies(1.0, session=f"t{number}") for number in range(5)]
    baseline = before([row for rows in sessions for row in rows], is_interleaved=False)
    found = one(INCREASE, energies(), baseline)
    assert found.baseline == 10 * STEADY
    assert found.compared == pytest.approx(1.0)


def test_interleaved_baseline_is_judged_without_noise_between_sessions() -> None:
    rows, known = energies(1.3), energies()
    assert one(INCREASE, rows, before(known)).verdict is FAIL
    assert one(INCREASE, rows, before(known, is_interleaved=False)).verdict is UNCLEAR
    quiet = 'energy_wh = { max_increase = "10%", session_noise = "1%" }'
    assert one(quiet, rows, before(known, is_interleaved=False)).verdict is FAIL


QUIET = 'energy_wh = { max_increase = "10%", session_noise = "1%" }'


def sessions_of(levels: Sequence[float]) -> Rows:
    return [row for level in levels for row in energies(level, session=f"level {level}")]


def test_a_stored_baseline_that_does_not_show_the_noise_between_sessions_warns() -> None:
    rows, known = energies(2.0), energies(session="before")
    found = one(INCREASE, rows, before(known, is_interleaved=False))
    assert found.verdict is WARN
    assert found.reason == (
        "the limit is exceeded; fewer than 5 stored sessions don't show the noise between "
        "sessions, so they only warn: measure in turn (--baseline interleaved:auto), or say "
        "session_noise"
    )
    assert one(QUIET, rows, before(known, is_interleaved=False)).verdict is FAIL
    # A budget of the cost itself is no comparison with a session.
    assert one("energy_wh = { max = 0.5 }", rows, before(known)).verdict is FAIL


def test_five_sessions_of_the_baseline_or_the_store_let_it_fail() -> None:
    levels = (1.0, 1.01, 0.99, 1.005, 1.02)
    stored = before(sessions_of(levels), is_interleaved=False)
    assert one(INCREASE, energies(1.5, session="now"), stored).verdict is FAIL
    few = before(energies(session="file"), is_interleaved=False)
    past = sessions_of(levels)
    rows = energies(1.5, session="now")
    assert one(INCREASE, rows, few).verdict is WARN
    assert one(INCREASE, rows, few, history=past).verdict is FAIL
    assert one(INCREASE, rows, few, history=past[:20]).verdict is WARN
    other = [{**row, "host": "another"} for row in past]
    assert one(INCREASE, rows, few, history=other).verdict is WARN


def test_a_budget_of_the_cost_itself_learns_the_noise_between_sessions() -> None:
    calm = sessions_of((1.0, 1.01, 0.99, 1.005, 1.02))
    budget = "energy_wh = { max = 1.1 }"
    assert one(budget, energies(session="now")).verdict is UNCLEAR
    assert one(budget, energies(session="now"), history=calm).verdict is PASS


def test_a_limit_that_is_one_of_many_needs_more_than_one_alone() -> None:
    rows, known = energies(1.06), before(energies())
    budget = 'energy_wh = { max_increase = "0%" }'
    assert one(budget, rows, known).verdict is FAIL
    assert one(budget, rows, known, family=200).verdict is UNCLEAR


def test_it_is_open_what_more_pairs_may_decide() -> None:
    path = Path("budgets.toml")
    text = f"{INCREASE}\n{FLOPS}\naccuracy = {{ min = 0.5 }}"
    path.write_text(f'[[budget]]\ncase = "*"\n{text}\n')
    budgets = read_budgets(path)

    def asked(rows: Rows, known: Rows) -> bool:
        return is_open(CASE, rows, budgets, Baseline(LABEL, tuple(known), is_interleaved=True))

    assert asked(energies(1.09), rows_of("energy_wh", STEADY[::-1]))
    assert not asked(energies(), energies())
    assert not asked(energies(1.5), energies())
    assert asked(energies(1.5)[:2], energies()[:2])
    # Three accuracies are needed, and two energies.
    assert asked(energies()[:1], energies()[:1])
    # What the base lacks, or cannot read, no number of pairs brings.
    assert not asked(energies(), [])
    assert not asked(unknown_energy(5), unknown_energy(5))
    assert asked(unknown_energy(5)[:1], unknown_energy(5)[:1])
    assert not asked(energies(), [{**row, "meter": "zeus"} for row in energies()])


def test_pairs_of_a_round_are_compared_if_the_pace_of_the_machine_changed() -> None:
    pace = [1.0, 1.5, 2.1, 3.0, 4.2]
    base = [pace[i] * value for i, value in enumerate(STEADY)]
    here = [1.3 * pace[i] * value for i, value in enumerate(STEADY[::-1])]
    baseline = Baseline(LABEL, tuple(rows_of("energy_wh", base)), is_interleaved=True)

    found = one(f"rounds = 5\n{INCREASE}", rows_of("energy_wh", here), baseline)

    assert found.verdict is FAIL
    assert found.compared == pytest.approx(1.3, rel=0.02)
    assert "pairs of a round are compared" in found.reason
    stored = one(INCREASE, rows_of("energy_wh", here), replace(baseline, is_interleaved=False))
    assert stored.verdict is UNCLEAR


def test_budget_of_energy_itself_has_the_noise_between_sessions_even_if_interleaved() -> None:
    found = one("energy_wh = { max = 0.95 }", energies(), before(energies()))
    assert found.verdict is UNCLEAR


def test_baseline_that_was_written_and_read_gives_the_same_judgement() -> None:
    path = Path("baselines/ci.json")
    write_baseline(path, energies())
    stored = read_baseline(path)
    direct = before(energies(), is_interleaved=False)
    budget = f"{INCREASE}\n{FLOPS}"
    assert judged(budget, energies(1.5), stored).all == judged(budget, energies(1.5), direct).all


# Levels and provenance


def estimated(factor: float = 1.0) -> Rows:
    return energies(factor, energy_provenance="model", meter="codecarbon")


def test_estimated_energy_warns() -> None:
    found = judged(INCREASE, estimated(1.5), before(estimated()))
    (only,) = found.all
    assert only.verdict is WARN
    decided = "the limit is exceeded; decided after 3 pairs"
    assert only.reason == f"{decided}; energy that is estimated only warns"
    assert only.provenance == "estimated by codecarbon (model)"
    assert found.exit_code(is_strict=True) == 0


def test_estimated_energy_that_keeps_its_limit_passes() -> None:
    assert one(INCREASE, estimated(), before(estimated())).verdict is PASS


def test_estimated_energy_fails_if_the_budget_says_so() -> None:
    budget = 'energy_wh = { max_increase = "10%", on_estimated = "error" }'
    found = one(budget, estimated(1.5), before(estimated()))
    assert found.verdict is FAIL
    assert "only warns" not in found.reason


def test_estimated_energy_is_not_judged_if_the_budget_says_so() -> None:
    budget = 'energy_wh = { max = 0.1, on_estimated = "off" }'
    assert judged(budget, estimated()).all == ()
    assert one(budget, energies()).verdict is FAIL


def test_time_is_never_estimated() -> None:
    rows = rows_of("duration_s", STEADY, energy_provenance="model")
    assert one("duration_s = { max = 0.5 }", rows).verdict is FAIL


def test_level_of_a_budget_outweighs_what_is_said_of_estimates() -> None:
    budget = 'energy_wh = { max = 0.1, level = "warn", on_estimated = "error" }'
    for rows in (estimated(), energies()):
        found = one(budget, rows)
        assert found.verdict is WARN
        assert found.reason == "the limit is exceeded"


def test_level_off_is_not_judged() -> None:
    found = judged('parameters = { max = 1, level = "off" }', energies())
    assert found.all == ()


# Samples that do not count


def marked(count: int) -> Rows:
    rows = energies(1.3)
    for row in rows[:count]:
        row["marks"] = "short disturbed"
    return rows


def test_disturbed_samples_are_left_out() -> None:
    budget = 'energy_wh = { max_increase = "10%", rounds = 4 }'
    found = one(budget, marked(1), before(energies()))
    assert found.verdict is FAIL
    assert found.samples == tuple(1.3 * value for value in STEADY[1:])


def test_too_few_undisturbed_samples_are_inconclusive() -> None:
    found = one(INCREASE, marked(3), before(energies()))
    assert found.verdict is UNCLEAR
    assert found.reason == ("2 samples count, and 3 are needed (3 disturbed): run more repeats")
    assert found.is_open
    assert one(INCREASE, marked(3), before(energies()), include_disturbed=True).verdict is FAIL
    stored = one(INCREASE, marked(2), before(energies(), is_interleaved=False))
    assert stored.reason == "3 samples count, and 5 are needed (2 disturbed): run more repeats"


def test_pairs_count_of_which_neither_sample_is_disturbed() -> None:
    rows, known = marked(1), energies()
    for row in known[3:]:
        row["marks"] = "disturbed"
    found = one(INCREASE, rows, Baseline(LABEL, tuple(known), is_interleaved=True))
    assert (found.verdict, found.is_open) == (UNCLEAR, True)
    assert found.reason == "2 repeats are in both, and 3 are needed"


def test_disturbed_samples_of_the_baseline_are_left_out() -> None:
    found = one(INCREASE, energies(), before(marked(3)))
    assert found.verdict is UNCLEAR
    assert found.reason == "the baseline has 2 samples that count, and 3 are needed"
    found = one(INCREASE, energies(), before(marked(5)))
    assert found.reason == "no sample of the baseline counts: they are disturbed or unknown"
    assert one(INCREASE, energies(), before(marked(5)), include_disturbed=True).verdict is PASS


def test_disturbance_spoils_neither_costs_nor_accuracy() -> None:
    found = judged("parameters = { max = 2000 }\naccuracy = { min = 0.5 }", marked(5))
    assert [each.verdict for each in found.all] == [PASS, PASS]


def test_too_few_samples_are_inconclusive() -> None:
    found = one(INCREASE, energies()[:1], before(energies()))
    assert found.reason == "1 sample counts, and 3 are needed: run more repeats"
    assert found.verdict is UNCLEAR


def unknown_energy(count: int) -> Rows:
    rows = energies()
    for row in rows[:count]:
        row.update(energy_wh=None, energy_provenance="none")
    return rows


def test_unknown_energies_are_left_out() -> None:
    budget = 'energy_wh = { max_increase = "50%", rounds = 4 }'
    found = one(budget, unknown_energy(1), before(energies()))
    assert found.verdict is PASS
    assert found.samples == STEADY[1:]
    assert found.provenance == "measured by rapl (counter)"


def test_too_few_known_energies_are_inconclusive() -> None:
    for budget in (f"rounds = 5\n{INCREASE}", BUDGET):
        found = one(budget, unknown_energy(2), before(energies()))
        assert found.verdict is UNCLEAR
        assert found.reason == "3 samples count, and 5 are needed (2 unknown): run more repeats"


def test_energy_that_is_unknown_in_all_results_is_inconclusive() -> None:
    found = one(INCREASE, unknown_energy(5), before(energies()))
    assert (found.verdict, found.value) == (UNCLEAR, None)
    assert found.reason == "energy_wh is unknown in all results"


def test_unknown_energies_hinder_no_limit_on_time() -> None:
    assert one("duration_s = { max = 10 }", unknown_energy(2)).verdict is PASS


def test_energy_of_0_is_inconclusive() -> None:
    found = one(INCREASE, energies(0.0), before(energies()))
    assert (found.verdict, found.compared) == (UNCLEAR, None)
    assert found.reason == "a sample is 0: the meter did not resolve it"


@pytest.mark.parametrize("budget", ["accuracy = { min = 0.5 }", DROP])
def test_repeat_without_accuracy_violates_limits_on_it(budget: str) -> None:
    rows = rows_of("test_score", [0.9, None, 0.9, 0.9])
    found = one(budget, rows, before(rows_of("test_score", [0.9] * 4)))
    assert found.verdict is FAIL
    assert found.reason == "1 of 4 repeats have no accuracy: no trial completed"
    assert found.samples == (0.9, 0.9, 0.9)


@pytest.mark.parametrize("column", ["host", "meter", "energy_provenance", "energy_scope"])
def test_energies_of_one_case_that_are_of_two_kinds_are_refused(column: str) -> None:
    rows = energies()
    rows[2][column] = "sampled"
    with pytest.raises(NotComparableError, match=f"{CASE}: figures differ in .*{column}="):
        judged(INCREASE, rows)
    assert one("parameters = { max = 2000 }", rows).verdict is PASS


# Which budgets apply


def test_budget_that_matches_no_case_is_refused_with_the_nearest_one() -> None:
    text = '[[budget]]\ncase = "default-simple_cnn.n-torch-digits"\nparameters = { max = 1 }\n'
    with pytest.raises(BudgetError) as refused:
        judged(text + '\n[[budget]]\ncase = "zzz"\nparameters = { max = 1 }\n', energies())
    assert str(refused.value) == (
        "budgets.toml:2: case 'default-simple_cnn.n-torch-digits' matches no case; "
        f"did you mean {CASE}?\n"
        "budgets.toml:6: case 'zzz' matches no case; `greenbench list` shows all"
    )


def test_budget_of_a_case_that_did_not_run_is_a_note() -> None:
    text = '[[budget]]\ncase = "default-dense*"\nparameters = { max = 1 }\n'
    found = judged(text, energies(), known_cases=["default-dense.s-torch-digits"])
    assert found.all == ()
    assert found.notes == (
        "budgets.toml:2: no case of 'default-dense*' is among these results",
        f"no budget limits {CASE}",
    )
    assert found.verdict is UNCLEAR


def test_last_budget_of_a_metric_wins_and_leaves_other_metrics_alone() -> None:
    text = (
        '[[budget]]\ncase = "*"\nparameters = { max = 1, max_increase = "0%" }\n'
        "train_flops = { max = 1 }\n"
        '[[budget]]\ncase = "*-torch-*"\nparameters = { max = 1234 }\n'
    )
    found = judged(text, energies()[:1])
    assert [(each.metric, each.verdict, each.budget) for each in found.all] == [
        ("parameters", PASS, "budgets.toml:7"),
        ("train_flops", FAIL, "budgets.toml:4"),
    ]


def test_cases_are_judged_one_by_one() -> None:
    dense = [make_row("dense.s", changed={**MEASURED, "parameters": 5000})]
    found = judged("parameters = { max = 2000 }", [*energies()[:1], *dense])
    assert [(each.case_id, each.verdict) for each in found.all] == [
        (CASE, PASS),
        ("default-dense.s-torch-digits", FAIL),
    ]


# Likely causes


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        (
            {},
            "train_flops are unchanged: suspect the runtime (libraries, threads, data loading, "
            "work that is no training), not the model",
        ),
        (
            {"parameters": 2468, "train_flops": 1_500_000_000},
            "parameters up by 100.0%, train_flops up by 50.0%: the model changed",
        ),
        ({"train_flops": 500_000_000}, "train_flops down by 50.0%: the model changed"),
        (
            {"samples_seen": 1_200, "train_flops": 1_200_000_000},
            "samples_seen up by 20.0%, train_flops up by 20.0%: more or other training, not a "
            "costlier network alone",
        ),
        ({"case_hash": "other"}, "the definition of the case changed"),
        (
            {"case_hash": "other", "epochs": 4},
            "the definition of the case changed (epochs up by 100.0%)",
        ),
        ({"train_flops": None}, None),
    ],
)
def test_cause_is_named_by_what_changed(changed: dict[str, Any], cause: str | None) -> None:
    found = one("energy_wh = { max = 0.5 }", energies(**changed), before(energies()))
    assert found.verdict is FAIL
    assert found.cause == cause


def test_model_that_changed_is_the_cause_of_relative_violations() -> None:
    grown = energies(1.5, train_flops=1_500_000_000)
    energy, flops = judged(f"{INCREASE}\n{FLOPS}", grown, before(energies())).all
    assert (energy.verdict, flops.verdict) == (FAIL, FAIL)
    assert energy.cause == flops.cause == "train_flops up by 50.0%: the model changed"


def test_warning_has_a_cause_and_what_is_no_violation_has_none() -> None:
    assert one(INCREASE, estimated(1.5), before(estimated())).cause is not None
    assert one(INCREASE, energies(), before(energies())).cause is None
    assert one(INCREASE, energies(1.09), before(energies())).cause is None


def test_there_is_no_cause_without_a_baseline() -> None:
    assert one("energy_wh = { max = 0.5 }", energies()).cause is None


def test_runtime_is_not_suspected_of_lost_accuracy() -> None:
    rows, known = (rows_of("test_score", [each] * 3) for each in (0.5, 0.9))
    assert one(DROP, rows, before(known)).cause is None
    rows = rows_of("test_score", [0.5] * 3, train_flops=500_000_000)
    assert one(DROP, rows, before(known)).cause == "train_flops down by 50.0%: the model changed"


# All together


@pytest.mark.parametrize(
    ("verdicts", "worst", "code", "strict"),
    [
        ([], UNCLEAR, 0, 3),
        ([PASS], PASS, 0, 0),
        ([PASS, WARN], WARN, 0, 0),
        ([PASS, UNCLEAR], UNCLEAR, 0, 3),
        ([WARN, UNCLEAR], WARN, 0, 3),
        ([FAIL, UNCLEAR, WARN, PASS], FAIL, 1, 1),
    ],
)
def test_worst_verdict_and_exit_code(
    verdicts: list[Verdict], worst: Verdict, code: int, strict: int
) -> None:
    found = make_judgements(*verdicts)
    assert found.verdict is worst
    assert found.exit_code(is_strict=False) == code
    assert found.exit_code(is_strict=True) == strict


def test_a_copy_of_a_sample_is_no_further_sample() -> None:
    rows = energies()[:1] * 5
    found = one("energy_wh = { max = 0.1, rounds = 5 }", rows)
    assert (found.verdict, found.samples) == (UNCLEAR, (1.0,))


def test_a_copy_of_a_baselines_sample_is_no_further_sample() -> None:
    baseline = Baseline(LABEL, tuple(energies(0.5)[:1] * 5))
    found = one("energy_wh = { max_increase = '10%' }", energies(session="s2"), baseline)
    assert (found.verdict, found.baseline) == (UNCLEAR, (0.5,))


def test_the_same_repeat_of_two_sessions_is_two_samples() -> None:
    rows = energies()[:1] + energies(session="s2")[:1]
    assert len(one("energy_wh = { max = 0.1 }", rows).samples) == 2
