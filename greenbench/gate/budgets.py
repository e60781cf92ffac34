"""Budgets from a hand-written TOML file, validated as a whole: all mistakes at once."""

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from greenbench.errors import BudgetError, ConfigurationError, UnknownNameError
from greenbench.gate.limits import (
    FEWEST,
    FEWEST_PAIRS,
    MOST_PAIRS,
    ROUNDS,
    SESSION_NOISE,
    Budgets,
    Level,
    Limit,
)
from greenbench.gate.lines import Key, key_lines, line_of
from greenbench.gate.metrics import METRICS, SHORT, Kind, Metric, Rule


def read_budgets(path: Path) -> Budgets:
    """Read a budgets file.

    A metric's table outweighs its budget, which outweighs ``[defaults]``. Their ``rounds`` leave
    deterministic costs alone, which need one sample.

    Parameters
    ----------
    path : Path
        The file, usually ``benchmarks/budgets.toml``.

    Returns
    -------
    Budgets
        With at least one limit.

    Raises
    ------
    BudgetError
        If the file cannot be read, is no TOML, or has mistakes; it names all of them.
    """
    values, lines = _parse(path)
    top = _Table(values, (), lines, [])
    patterns, limits = _read_top(top)
    if top.mistakes:
        raise BudgetError(str(path), top.mistakes)
    return Budgets(path, tuple(limits), tuple(patterns))


def _parse(path: Path) -> tuple[dict[str, Any], dict[Key, int]]:
    text = _text(path)
    try:
        return tomllib.loads(text), key_lines(text)
    except ValueError as error:  # also of whole numbers with thousands of digits
        found = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        last = text.rstrip().count("\n") + 1
        line = int(found[1]) if found else last if "at end of document" in str(error) else None
        raise BudgetError(str(path), [(line, f"not valid TOML: {error}")]) from error
    except RecursionError:
        raise BudgetError(str(path), [(None, "nested too deeply to be read")]) from None


def _text(path: Path) -> str:
    try:
        # Editors on Windows begin a file with a byte order mark.
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        advice = "no such file; write it, or name another with --budget"
        raise BudgetError(str(path), [(None, advice)]) from None
    except OSError as error:
        raise BudgetError(str(path), [(None, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        what = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise BudgetError(str(path), [(line, what)]) from error


_Reader = Callable[[object], Any]


@dataclass(frozen=True)
class _Table:
    """A table of the file, which notes the mistakes in it."""

    values: Mapping[str, Any]
    key: Key
    lines: Mapping[Key, int]
    mistakes: list[tuple[int | None, str]]

    def line(self, *names: str | int) -> int:
        return line_of(self.lines, self.key + names)

    def note(self, mistake: object, *names: str | int) -> None:
        self.mistakes.append((self.line(*names), str(mistake)))

    def inner(self, values: Mapping[str, Any], *names: str | int) -> "_Table":
        return _Table(values, self.key + names, self.lines, self.mistakes)

    def read(self, readers: Mapping[str, _Reader], prefix: str = "") -> dict[str, Any]:
        """Return the values that readers accept, in the order of the file."""
        found = {}
        for name, value in self.values.items():
            if name in readers:
                try:
                    found[name] = readers[name](value)
                except ConfigurationError as refusal:
                    self.note(f"{prefix}{name}: {refusal}", name)
        return found


def _read_top(top: _Table) -> tuple[list[tuple[str, int]], list[Limit]]:
    known = ("defaults", "budget")
    unknown = [UnknownNameError("table", name, known) for name in top.values if name not in known]
    for error in unknown:
        top.note(error, error.name)
    defaults = _read_defaults(top)
    patterns, limits = [], []
    for entry in _entries(top, is_misspelt=any("budget" in error.nearest for error in unknown)):
        pattern, found = _read_entry(entry, defaults)
        patterns.append((pattern, entry.line("case")))
        limits += found
    return patterns, limits


def _read_defaults(top: _Table) -> dict[str, Any]:
    values = top.values.get("defaults", {})
    if not isinstance(values, dict):
        top.note(_expected("a table under the header [defaults]", values), "defaults")
        return {}
    table = top.inner(values, "defaults")
    for name in values:
        if name not in _OPTIONS:
            table.note(UnknownNameError("default", name, _OPTIONS), name)
    return table.read(_OPTIONS)


def _entries(top: _Table, *, is_misspelt: bool) -> list[_Table]:
    budgets = top.values.get("budget", [])
    if not isinstance(budgets, list) or not all(isinstance(budget, dict) for budget in budgets):
        advice = "expected a header with two brackets, [[budget]], for each budget"
        top.note(f"budget: {advice}, not {_shown(budgets)}", "budget")
        return []
    if not budgets and not is_misspelt:
        top.note("no budgets; add a [[budget]] with a case and a metric", "budget")
    entries = [top.inner(budget, "budget", number) for number, budget in enumerate(budgets)]
    # The lines of limits tell which of them belong together.
    if len({entry.line() for entry in entries}) < len(entries):
        top.note("budget: write each budget under a header [[budget]] of its own", "budget")
    return entries


def _read_entry(entry: _Table, defaults: Mapping[str, Any]) -> tuple[str, list[Limit]]:
    settings = {"case": _glob, **_OPTIONS}
    found = entry.read(settings)
    if "case" not in entry.values:
        entry.note('no case; add a glob on case ids, such as case = "*-torch-*"')
    if entry.values.keys() <= settings.keys():
        entry.note(f"no metric; add one of {', '.join(METRICS)}")
    pattern = found.pop("case", "")
    limits = []
    for name, value in entry.values.items():
        if name in METRICS:
            limits += _read_metric(entry, METRICS[name], pattern, {**defaults, **found})
        elif name in SHORT:
            limits += _read_short(entry, name, pattern, {**defaults, **found})
        elif name not in settings:
            entry.note(_unknown(name, value, settings), name)
    return pattern, limits


def _read_short(
    entry: _Table, name: str, pattern: str, inherited: Mapping[str, Any]
) -> list[Limit]:
    """Return the limit of a key such as ``min_score``, which needs no table."""
    metric, rule = METRICS[SHORT[name][0]], SHORT[name][1]
    table = entry.values.get(metric.name)
    if isinstance(table, dict) and rule in table:
        entry.note(f"{name}: {metric.name} has {rule} as well; delete one of them", name)
    read = entry.read({name: _rules(metric)[rule]})
    chosen = _resolved(metric, inherited, {})
    line = entry.line(name)
    return [Limit(pattern, metric.name, rule, each, line=line, **chosen) for each in read.values()]


def _unknown(name: str, value: object, settings: Mapping[str, _Reader]) -> UnknownNameError:
    error = UnknownNameError("key", name, [*METRICS, *SHORT, *settings])
    is_metric = isinstance(value, dict) or any(near in METRICS for near in error.nearest[:1])
    return UnknownNameError("metric", name, METRICS) if is_metric else error


def _read_metric(
    entry: _Table, metric: Metric, pattern: str, inherited: Mapping[str, Any]
) -> list[Limit]:
    values = entry.values[metric.name]
    if not isinstance(values, dict):
        entry.note(_no_table(metric, values), metric.name)
        return []
    table = entry.inner(values, metric.name)
    mistakes_before = len(table.mistakes)
    rules = _rules(metric)
    options = {name: _OPTIONS[name] for name in _OPTIONS if name not in _NOT_OF[metric.kind]}
    for name in values:
        if name not in rules and name not in options:
            table.note(_unfit(metric, name, [*rules, *options]), name)
    chosen = _resolved(metric, inherited, table.read(options, f"{metric.name}."))
    allowed = table.read(rules, f"{metric.name}.")
    if not allowed and chosen["level"] is Level.OFF:
        allowed = {metric.rules[0]: math.inf}
    elif not allowed and len(table.mistakes) == mistakes_before:
        table.note(f'{metric.name}: no rule; add {" or ".join(rules)}, or level = "off"')
    for rule in allowed if metric.kind is not Kind.COUNT else ():
        if chosen["rounds"] < FEWEST[Rule(rule)]:
            fewest = f"{rule} needs at least {FEWEST[Rule(rule)]}, because fewer prove nothing"
            table.note(f"{metric.name}: rounds is {chosen['rounds']}; {fewest}", rule)
    line = table.line()
    return [
        Limit(pattern, metric.name, Rule(rule), value, line=line, **chosen)
        for rule, value in allowed.items()
    ]


def _resolved(
    metric: Metric, inherited: Mapping[str, Any], own: Mapping[str, Any]
) -> dict[str, Any]:
    built_in = {
        "level": Level.ERROR,
        "rounds": ROUNDS[metric.kind],
        "on_estimated": Level.WARN,
        "session_noise": SESSION_NOISE,
    }
    outer = dict(inherited)
    if metric.kind is Kind.COUNT:
        outer.pop("rounds", None)
    said = {**outer, **own}
    pairs = min(max(said.get("rounds", FEWEST_PAIRS), FEWEST_PAIRS), MOST_PAIRS)
    return {**built_in, **said, "pairs": pairs, "is_noise_known": "session_noise" in said}


def _rules(metric: Metric) -> dict[str, _Reader]:
    if metric.is_accuracy:
        return {Rule.MIN: _fraction, Rule.MAX_DROP: _fraction}
    if metric.kind is Kind.SCORE:
        return {Rule.MIN: _figure, Rule.MAX: _figure, Rule.MAX_DROP: partial(_amount, unit="")}
    return {Rule.MAX: partial(_amount, unit=metric.unit), Rule.MAX_INCREASE: _percentage}


def _unfit(metric: Metric, name: str, known: list[str]) -> object:
    if name in list(Rule):
        return f"{metric.name} has the rules {_listed(metric.rules)}, not {name}"
    if name in _OPTIONS:
        kinds = " and ".join(kind for kind in Kind if name not in _NOT_OF[kind])
        return f"{metric.name}: {name} is for metrics of {kinds}; delete it"
    return UnknownNameError(f"key of {metric.name}", name, known)


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}"


def _no_table(metric: Metric, value: object) -> ConfigurationError:
    is_relative = isinstance(value, str) and metric.kind is not Kind.SCORE
    rule = metric.rules[-1 if is_relative else 0]
    try:
        _rules(metric)[rule](value)
    except ConfigurationError:
        return _expected(f"a table with {' or '.join(metric.rules)}", value, metric.name)
    written = f'"{value}"' if is_relative else value
    advice = f"{metric.name} = {{ {rule} = {written} }}"
    return _expected(f"a table: {advice}", value, metric.name)


def _level(value: object) -> Level:
    if not isinstance(value, str):
        raise _expected(" or ".join(f'"{level}"' for level in Level), value)
    if value not in list(Level):
        raise UnknownNameError("level", value, Level)
    return Level(value)


def _rounds(value: object) -> int:
    number = _number(value)
    if number is None or number < 1 or not isinstance(value, int):
        raise _expected("a whole number of at least 1", value)
    return value


def _glob(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _expected('a glob on case ids, such as "*-torch-*"', value)
    return value


def _amount(value: object, unit: str) -> float:
    number = _number(value)
    if number is None or number < 0:
        raise _expected(f"a number of at least 0{unit and f' ({unit})'}", value)
    return number


def _figure(value: object) -> float:
    number = _number(value)
    if number is not None:
        return number
    percents = _percents(value) if isinstance(value, str) else None
    advice = "" if percents is None else f": write {percents / 100:g}"
    raise _expected(f"a number in the unit of the score{advice}", value)


def _fraction(value: object) -> float:
    number = _number(value)
    if number is not None and 0 <= number <= 1:
        return number
    percents = _percents(value) if isinstance(value, str) else number
    if percents is not None and 0 <= percents <= _ALL_PERCENTS:
        raise _expected(f"a number from 0 to 1: write {percents / 100:g}", value)
    raise _expected("a number from 0 to 1", value)


def _percentage(value: object) -> float:
    percents = _percents(value) if isinstance(value, str) else None
    if percents is not None:
        return percents / 100
    number = _number(value)
    if number is None or number < 0:
        raise _expected('a percentage of at least 0, such as "10%"', value)
    percents = 100 * number if number < 1 else number
    raise _expected(f'a percentage: write "{percents:g}%"', value)


def _percents(text: str) -> float | None:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", text)
    return _number(float(found[1])) if found else None


def _number(value: object) -> float | None:
    """Return a finite number; None for all else, among it true and false."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number that no float can hold
        return None


def _expected(what: str, value: object, name: str = "") -> ConfigurationError:
    return ConfigurationError(f"{name and f'{name}: '}expected {what}, not {_shown(value)}")


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "an array"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and _number(value) is None:
        return "a number beyond all bounds"
    shown = repr(value) if isinstance(value, str) else str(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


_ALL_PERCENTS = 100
_LONGEST = 60

_OPTIONS: Mapping[str, _Reader] = {
    "level": _level,
    "rounds": _rounds,
    "on_estimated": _level,
    "session_noise": _percentage,
}

_NOT_OF: Mapping[Kind, frozenset[str]] = {
    Kind.COUNT: frozenset({"on_estimated", "session_noise"}),
    Kind.SCORE: frozenset({"on_estimated", "session_noise"}),
    Kind.ENERGY: frozenset(),
    Kind.TIME: frozenset({"on_estimated"}),
}
"""Options that mean nothing for a kind of metric."""
