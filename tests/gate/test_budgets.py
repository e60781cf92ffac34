"""Budgets files: what they mean, where it stands, and every mistake at once."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from greenbench.errors import BudgetError, ConfigurationError
from greenbench.gate.budgets import read_budgets
from greenbench.gate.limits import ROUNDS, SESSION_NOISE, Budgets, Level
from greenbench.gate.metrics import METRICS, Kind, Rule

ISSUE = """\
[defaults]
level = "error"            # off | warn | error
[[budget]]
case = "bayesian-*-torch-*"          # glob on case ids, the last match wins
train_flops = { max_increase = "0%" }             # deterministic: exact
parameters  = { max = 60_000 }
accuracy    = { min = 0.95, max_drop = 0.01 }
energy_wh   = { max = 1.2, max_increase = "10%", rounds = 5, on_estimated = "warn" }
emissions_g = { max = 0.5 }
"""
CASE = "bayesian-lenet-torch-digits"


@pytest.fixture(scope="session")
def budgets_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("budgets") / "budgets.toml"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("budgets.toml")


def read(file: Path, text: str) -> Budgets:
    file.write_text(text, encoding="utf-8", newline="")
    return read_budgets(file)


def mistakes(file: Path, text: str) -> list[str]:
    with pytest.raises(BudgetError) as caught:
        read(file, text)
    return str(caught.value).splitlines()


def entry(*lines: str) -> str:
    """Return a budget of all cases; the first of `lines` is line 3."""
    return "\n".join(["[[budget]]", 'case = "*"', *lines, ""])


# What a file means


def test_budgets_of_the_documentation(file: Path) -> None:
    budgets = read(file, ISSUE)

    found = [(limit.metric, limit.rule, limit.allowed, limit.line) for limit in budgets.limits]
    assert found == [
        ("train_flops", Rule.MAX_INCREASE, 0.0, 5),
        ("parameters", Rule.MAX, 60_000.0, 6),
        ("accuracy", Rule.MIN, 0.95, 7),
        ("accuracy", Rule.MAX_DROP, 0.01, 7),
        ("energy_wh", Rule.MAX, 1.2, 8),
        ("energy_wh", Rule.MAX_INCREASE, 0.1, 8),
        ("emissions_g", Rule.MAX, 0.5, 9),
    ]
    assert budgets.patterns == (("bayesian-*-torch-*", 4),)
    assert budgets.path == file


@pytest.mark.parametrize("name", METRICS)
def test_what_nobody_sets_is_built_in(file: Path, name: str) -> None:
    metric = METRICS[name]
    (limit,) = read(file, entry(f"{name} = {{ {metric.rules[0]} = 1 }}")).limits

    assert limit.rounds == ROUNDS[metric.kind]
    assert (limit.level, limit.on_estimated) == (Level.ERROR, Level.WARN)
    assert limit.session_noise == SESSION_NOISE


SETTINGS = ("level", "rounds", "on_estimated", "session_noise")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("level", (("warn", Level.WARN), ("off", Level.OFF), ("error", Level.ERROR))),
        ("rounds", ((7, 7), (8, 8), (9, 9))),
        ("on_estimated", (("off", Level.OFF), ("error", Level.ERROR), ("warn", Level.WARN))),
        ("session_noise", (("0%", 0.0), ("5 %", 0.05), ("2.5%", 0.025))),
    ],
)
def test_the_innermost_setting_counts(file: Path, name: str, written: Any) -> None:
    (default, budget, metric) = [(f"{name} = {json.dumps(toml)}", value) for toml, value in written]
    plain, own = "energy_wh = { max = 1 }", f"energy_wh = {{ max = 1, {metric[0]} }}"

    for text, value in (
        (f"[defaults]\n{default[0]}\n" + entry(plain), default[1]),
        (f"[defaults]\n{default[0]}\n" + entry(budget[0], plain), budget[1]),
        (f"[defaults]\n{default[0]}\n" + entry(budget[0], own), metric[1]),
    ):
        (limit,) = read(file, text).limits
        assert getattr(limit, name) == value


def test_settings_of_one_budget_leave_the_next_alone(file: Path) -> None:
    text = entry("rounds = 9", "cpu_s = { max = 1 }") + entry("cpu_s = { max = 1 }")
    assert [limit.rounds for limit in read(file, text).limits] == [9, ROUNDS[Kind.TIME]]


def test_deterministic_costs_need_one_round_unless_they_say_so(file: Path) -> None:
    lines = ("rounds = 8", "trials = { max = 1 }", "epochs = { max = 1, rounds = 2 }")
    limits = read(file, "[defaults]\nrounds = 9\n" + entry(*lines)).limits
    assert [limit.rounds for limit in limits] == [1, 2]


def test_a_file_of_windows_with_byte_order_mark(file: Path) -> None:
    text = "\ufeff" + ISSUE.replace("\n", "\r\n")
    assert read(file, text).limits == read(file, ISSUE).limits


# What holds for a case


def test_the_last_budget_that_names_a_metric_wins(file: Path) -> None:
    lines = ("energy_wh = { max = 2, max_increase = '10%' }", "trials = { max = 3 }")
    budgets = read(file, entry(*lines) + entry("energy_wh = { max = 9 }"))
    found = {(limit.metric, limit.rule, limit.allowed) for limit in budgets.of(CASE)}
    assert found == {("energy_wh", Rule.MAX, 9.0), ("trials", Rule.MAX, 3.0)}


def test_budgets_of_other_cases_do_not_hold(file: Path) -> None:
    text = ISSUE + '[[budget]]\ncase = "random-*"\nenergy_wh = { max = 9 }\n'
    assert read(file, text).of(CASE) == read(file, ISSUE).of(CASE)


@pytest.mark.parametrize("metric", ["energy_wh", "accuracy"])
@pytest.mark.parametrize(
    "lines",
    [
        ('{} = {{ level = "off" }}',),
        ('level = "off"', "{} = {{}}"),
        ('level = "off"', "{} = {{ {} = 1 }}"),
    ],
)
def test_off_hides_earlier_budgets(file: Path, metric: str, lines: tuple[str, ...]) -> None:
    rule = METRICS[metric].rules[0]
    off = entry(*(line.format(metric, rule) for line in lines))
    budgets = read(file, ISSUE + off)

    assert metric in {limit.metric for limit in read(file, ISSUE).of(CASE)}
    assert {limit.metric for limit in budgets.of(CASE)} == {
        "train_flops", "parameters", "accuracy", "energy_wh", "emissions_g"
    } - {metric}  # fmt: skip


def test_off_without_rule_is_one_limit_that_allows_everything(file: Path) -> None:
    (limit,) = read(file, entry('accuracy = { level = "off" }')).limits
    assert (limit.rule, limit.allowed, limit.level) == (Rule.MIN, math.inf, Level.OFF)


def test_globs_that_match_no_case_have_their_lines(file: Path) -> None:
    text = ISSUE + '[[budget]]\ntrials = { max = 9 }\n# where\n"case" = "random-*"\n'
    budgets = read(file, text)
    assert budgets.unmatched([CASE]) == [("random-*", 13)]
    assert budgets.unmatched(["random-x", CASE]) == []


def test_two_budgets_may_have_one_glob(file: Path) -> None:
    budgets = read(file, entry("trials = { max = 1 }") + entry("epochs = { max = 1 }"))
    assert budgets.patterns == (("*", 2), ("*", 5))
    assert [limit.line for limit in budgets.of(CASE)] == [3, 6]


# Where it stands


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["energy_wh.max = 1"], 3),
        (["# energy_wh = { max = 3 }", "", " 'energy_wh' = { max = 1 }"], 5),
        (["energy_wh . max = 1", "energy_wh.max_increase = '3%'"], 3),
        (["", "[ budget . 'energy_wh' ] # [x]", "# max", "max = 1"], 4),
        (["[budget.cpu_s]", "max = 1", '[budget."energy_w\\u0068"]', "max = 1"], 5),
        (["cpu_s = { 'max' = 1 } # energy_wh = {", "energy_wh = { max = 1 }"], 4),
    ],
)
def test_a_limit_has_the_line_of_its_metric(file: Path, lines: list[str], line: int) -> None:
    limits = read(file, entry(*lines)).limits
    assert {limit.line for limit in limits if limit.metric == "energy_wh"} == {line}


def test_lines_are_right_behind_text_of_several_lines(file: Path) -> None:
    lines = ('case = """\\', "  [[budget]]\\", "energy_wh = { max = 3 }", '*"""')
    budgets = read(file, "\n".join(["[[budget]]", *lines, "energy_wh = { max = 1 }"]))
    assert budgets.patterns == (("[[budget]]energy_wh = { max = 3 }\n*", 2),)
    assert budgets.limits[0].line == 6


def test_a_mistake_has_the_line_of_its_key_in_a_long_table(file: Path) -> None:
    text = entry("cpu_s = { max = 1 }") + entry("[budget.energy_wh]", "max = 1", "rounds = 0")
    (mistake,) = mistakes(file, text)
    assert mistake.startswith("budgets.toml:8: energy_wh.rounds")


# Mistakes


def test_every_mistake_is_named_in_the_order_of_the_lines(file: Path) -> None:
    lines = ("energy_kwh = { max = 1 }", "accuracy = { max = 1 }", "trials = { max = -1 }")
    found = mistakes(file, entry(*lines) + '[defaults]\nlevel = "eror"\n[[budget]]\ncase = ""\n')
    assert found == [
        "budgets.toml:3: unknown metric 'energy_kwh'; did you mean energy_wh?",
        "budgets.toml:4: accuracy has the rules min and max_drop, not max",
        "budgets.toml:5: trials.max: expected a number of at least 0, not -1",
        "budgets.toml:7: level: unknown level 'eror'; did you mean error?",
        f"budgets.toml:8: no metric; add one of {', '.join(METRICS)}",
        "budgets.toml:9: case: expected a glob on case ids, such as \"*-torch-*\", not ''",
    ]


def test_the_file_is_named_as_it_was_given() -> None:
    with pytest.raises(ConfigurationError, match=r"^no/such/budgets\.toml: no such file; .*$"):
        read_budgets(Path("no/such/budgets.toml"))


@pytest.mark.parametrize(
    ("line", "mistake"),
    [
        ("energy_j = 4", "unknown metric 'energy_j'; did you mean energy_wh?"),
        ("duration_ms = { max = 3 }", "unknown metric 'duration_ms'; did you mean duration_s"),
        ("joules = { max = 3 }", "unknown metric 'joules'; known: accuracy, cpu_s, "),
        ("levl = 'off'", "unknown key 'levl'; did you mean level?"),
        ("energy_wh = { min = 3 }", "energy_wh has the rules max and max_increase, not min"),
        ("energy_wh = { maxx = 3 }", "unknown key of energy_wh 'maxx'; did you mean max?"),
        ("energy_wh = {}", 'energy_wh: no rule; add max or max_increase, or level = "off"'),
        ("energy_wh = { rounds = 3 }", "energy_wh: no rule; add max or max_increase"),
        ("energy_wh = 1.2", "energy_wh: expected a table: energy_wh = { max = 1.2 }, not 1.2"),
        ("accuracy = 0.9", "accuracy: expected a table: accuracy = { min = 0.9 }, not 0.9"),
        ("trials = '5%'", "trials: expected a table: trials = { max_increase = \"5%\" }, not '5%'"),
        ("trials = true", "trials: expected a table with max or max_increase, not true"),
        ("[[budget.trials]]", "trials: expected a table with max or max_increase, not an array"),
        (
            "cpu_s = { max = 1, on_estimated = 'off' }",
            "cpu_s: on_estimated is for metrics of energ",
        ),
        ("trials = { max = 1, session_noise = '1%' }", "trials: session_noise is for metrics of "),
    ],
)
def test_a_mistake_in_a_budget(file: Path, line: str, mistake: str) -> None:
    (found,) = mistakes(file, entry(line))
    assert found.startswith(f"budgets.toml:3: {mistake}")


@pytest.mark.parametrize("value", ["-0.1", "nan", "inf", "-inf", "true", "'1 Wh'", "[1]", "{}"])
@pytest.mark.parametrize("metric", ["energy_wh", "accuracy"])
def test_an_absolute_rule_wants_a_number(file: Path, metric: str, value: str) -> None:
    rule = METRICS[metric].rules[0]
    (found,) = mistakes(file, entry(f"{metric} = {{ {rule} = {value} }}"))
    assert found.startswith(f"budgets.toml:3: {metric}.{rule}: expected a number ")


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("0.05", 'a percentage: write "5%", not 0.05'),
        ("20", 'a percentage: write "20%", not 20'),
        *[
            (value, "a percentage of at least 0")
            for value in (
                "'-5%'", "'nan%'", "'inf%'", "'ten'", "'10'", "'5%%'", f"'{'9' * 400}%'", "-1",
                "true", "nan", "1979-05-27",
            )
        ],
    ],
)  # fmt: skip
def test_an_increase_wants_a_percentage(file: Path, value: str, advice: str) -> None:
    lines = (f"cpu_s = {{ max_increase = {value} }}", f"session_noise = {value}")
    found = mistakes(file, entry(*lines))
    assert found[0].startswith(f"budgets.toml:3: cpu_s.max_increase: expected {advice}")
    assert found[1].startswith(f"budgets.toml:4: session_noise: expected {advice}")


@pytest.mark.parametrize(
    ("value", "advice"),
    [("'1%'", ": write 0.01"), ("1.5", ": write 0.015"), ("'101%'", ""), ("101", ""), ("nan", "")],
)
def test_a_drop_is_a_share(file: Path, value: str, advice: str) -> None:
    (found,) = mistakes(file, entry(f"accuracy = {{ max_drop = {value} }}"))
    assert f"accuracy.max_drop: expected a number from 0 to 1{advice}, not" in found


@pytest.mark.parametrize(
    "value", ["0", "-1", "1.5", "5.0", "true", "'5'", "nan", "0x1" + "0" * 999]
)
def test_rounds_are_whole_numbers(file: Path, value: str) -> None:
    (found,) = mistakes(file, entry(f"rounds = {value}", "cpu_s = { max = 1 }"))
    assert found.startswith("budgets.toml:3: rounds: expected a whole number of at least 1, not ")


@pytest.mark.parametrize("value", ["false", "1", "''", "'Error'", "[]"])
@pytest.mark.parametrize("name", ["level", "on_estimated"])
def test_levels_are_three_words(file: Path, name: str, value: str) -> None:
    (found,) = mistakes(file, entry(f"{name} = {value}", "cpu_s = { max = 1 }"))
    assert found.startswith(f"budgets.toml:3: {name}: ")
    assert "error" in found


@pytest.mark.parametrize(
    ("text", "line", "mistake"),
    [
        ("", 1, "no budgets; add a [[budget]]"),
        ("\n[defaults]\nlevel = 'off'", 1, "no budgets; add a [[budget]]"),
        ("\n[budget]\ncase = '*'\n", 2, "budget: expected a header with two brackets, [[budget]]"),
        ("budget = 3", 1, "budget: expected a header with two brackets, [[budget]]"),
        ("budget" + ".a" * 2000 + " = 1", 1, "budget: expected a header with two brackets"),
        ("budget = [1]", 1, "budget: expected a header with two brackets, [[budget]]"),
        ("\n[[budgets]]\ncase = '*'\n", 2, "unknown table 'budgets'; did you mean budget"),
        ("[default]\n" + entry("cpu_s = {max=1}"), 1, "unknown table 'default'; did you mean def"),
        (
            "[[defaults]]\n" + entry("cpu_s = {max=1}"),
            1,
            "expected a table under the header [defau",
        ),
        (
            "[defaults]\nround = 1\n" + entry("cpu_s = {max=1}"),
            2,
            "unknown default 'round'; did yo",
        ),
        ("\n[[budget]]\ncpu_s = {max=1}", 2, "no case; add a glob on case ids"),
        ("[[budget]]\ncase = 3\ncpu_s = {max=1}", 2, "case: expected a glob on case ids"),
        (entry("rounds = 3"), 1, "no metric; add one of train_flops, "),
        ("a = 1\na = 2\n\n[b]\n", 2, "not valid TOML: Cannot overwrite a value"),
        ("a = 1\na = 2", 2, "not valid TOML: Cannot overwrite a value"),
        (entry("energy_wh = { max_increase = 10% }"), 3, "not valid TOML: "),
    ],
)
def test_a_mistake_in_a_file(file: Path, text: str, line: int, mistake: str) -> None:
    (found,) = mistakes(file, text)
    assert found.startswith(f"budgets.toml:{line}: {mistake}")


def test_budgets_that_share_a_line_are_refused(file: Path) -> None:
    budget = '{ case = "*", cpu_s = { max = 1 } }'
    (found,) = mistakes(file, f"\nbudget = [{budget}, {budget}]")
    assert found == "budgets.toml:2: budget: write each budget under a header [[budget]] of its own"


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (b"\xef\xbb\xbf#\n# caf\xe9", ":2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a = 1".encode("utf-16"), ":1: byte 0xff is not UTF-8; save the file as UTF-8"),
        (b"a = " + b"[" * 9000, ": nested too deeply to be read"),
        (b"a = " + b"9" * 9000, ": not valid TOML: Exceeds the limit"),
        (b"a = 1\nb = '''\n", ":2: not valid TOML: "),
    ],
    ids=["latin-1", "utf-16", "nested", "digits", "unfinished"],
)
def test_a_file_that_is_no_toml(file: Path, content: bytes, mistake: str) -> None:
    file.write_bytes(content)
    with pytest.raises(BudgetError) as caught:
        read_budgets(file)
    assert str(caught.value).startswith(f"budgets.toml{mistake}")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r": cannot be read: .*$"):
        read_budgets(tmp_path)


# Any file

WORDS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=6)
NAMES = (
    st.sampled_from(["defaults", "budget", "case", *SETTINGS, *Rule, "energy_wh", "accuracy"])
    | st.sampled_from(list(METRICS))
    | WORDS
)
SCALARS = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["*", "off", "warn", "10%", "-1%", "energy_wh"])
    | WORDS
)
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
ENTRIES = st.lists(st.dictionaries(NAMES, JUNK, max_size=6), max_size=3)


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(assignments(value))} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def assignments(table: dict[str, Any]) -> list[str]:
    return [f"{toml(name)} = {toml(value)}" for name, value in table.items()]


@given(top=st.dictionaries(NAMES, JUNK, max_size=3), defaults=JUNK, budgets=JUNK | ENTRIES)
@example(top={}, defaults={}, budgets=[{"case": "*", "energy_wh": {"max": 10**400}}])
def test_any_toml_is_budgets_or_a_configuration_error(
    budgets_file: Path, top: dict[str, Any], defaults: Any, budgets: Any
) -> None:
    has_headers = isinstance(budgets, list) and all(isinstance(each, dict) for each in budgets)
    plain = {"defaults": defaults} if has_headers else {"defaults": defaults, "budget": budgets}
    lines = assignments({**{name: top[name] for name in top if name != "budget"}, **plain})
    for budget in budgets if has_headers else ():
        lines += ["[[budget]]", *assignments(budget)]
    text = "\n".join(lines)
    try:
        found = read(budgets_file, text)
    except ConfigurationError as error:
        said = str(error).splitlines()
        where = [
            re.match(re.escape(str(budgets_file)) + r":(\d+): (?!not valid)", it) for it in said
        ]
        assert all(it and 1 <= int(it[1]) <= max(1, len(lines)) for it in where), said
    else:
        assert found.limits
        assert len(found.patterns) == len(budgets)


RULES = {
    name: {
        metric.rules[0]: st.floats(0, 1 if metric.kind is Kind.SCORE else 1e12),
        metric.rules[1]: st.floats(0, 1)
        if metric.kind is Kind.SCORE
        else st.integers(0, 300).map(lambda percents: f"{percents}%"),
    }
    for name, metric in METRICS.items()
}
ONE_METRIC = st.sampled_from(list(METRICS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.fixed_dictionaries({}, optional=RULES[name]).filter(bool),
        st.sampled_from(["inline", "dotted", "header"]),
    )
)
FILLING = st.lists(
    st.sampled_from(["", "# energy_wh = { max = 3 }", "  # [[budget]]", "\t"]), max_size=2
)
ONE_BUDGET = st.tuples(
    st.sampled_from(['"*"', "'''*'''", '"""\\\n  *"""']),
    st.lists(st.tuples(FILLING, ONE_METRIC), min_size=1, max_size=4, unique_by=lambda e: e[1][0]),
)


@given(budgets=st.lists(ONE_BUDGET, min_size=1, max_size=3))
def test_every_limit_has_the_value_and_the_line_that_were_written(
    budgets_file: Path, budgets: list[Any]
) -> None:
    lines: list[str] = []
    limits, patterns = [], []
    for case, metrics in budgets:
        lines.append("[[budget]]")
        patterns.append(("*", len(lines) + 1))
        lines += f"case = {case}".split("\n")
        # Keys behind a header belong to its table.
        in_order = sorted(metrics, key=lambda each: each[1][2] == "header")
        for filling, (name, rules, style) in in_order:
            lines += filling
            line = len(lines) + 1
            if style == "inline":
                lines.append(f"{name} = {toml(rules)}")
            elif style == "dotted":
                lines += [f"{name} . '{rule}' = {toml(value)}" for rule, value in rules.items()]
            else:
                lines.append(f'[budget."{name}"]  # here')
                lines += [f"{rule} = {toml(value)}" for rule, value in rules.items()]
            for rule, value in rules.items():
                share = int(value[:-1]) / 100 if isinstance(value, str) else value
                limits.append((name, rule, share, line))
    found = read(budgets_file, "\n".join(lines))

    assert [(each.metric, each.rule, each.allowed, each.line) for each in found.limits] == limits
    assert list(found.patterns) == patterns
