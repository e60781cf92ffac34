"""`greenbench gate`: whether a change made training cost more than its budget allows."""

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from greenbench.cli.environment import read_settings
from greenbench.cli.gate_asked import INTERLEAVED, Asked
from greenbench.cli.gate_measured import (
    MOST_PAIRS,
    MOST_REPEATS,
    history_of,
    judge_interleaved,
    judge_until_decided,
)
from greenbench.cli.output import emit, emit_commands, say, say_next
from greenbench.cli.tables import including, of_session
from greenbench.errors import ConfigurationError, GateError
from greenbench.machine.files import reason, remedy, replacing
from greenbench.selection import DEFAULT_SUITE, cases_by_suite, known_case_ids
from greenbench.text.programs import strict_json

if TYPE_CHECKING:
    from greenbench.gate.baselines import Baseline
    from greenbench.gate.judgement import Judgements
    from greenbench.gate.limits import Budgets

Row = dict[str, Any]

BUDGETS = Path("benchmarks/budgets.toml")


@dataclass(frozen=True)
class _Output:
    """Where to say it, beside the terminal."""

    as_json: bool
    junit: Path | None
    markdown: Path | None
    smaller_is_better: Path | None
    bencher: Path | None


def _file(name: str, words: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.Path(path_type=Path, dir_okay=False), help=words)


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--budget",
    type=click.Path(path_type=Path),
    default=BUDGETS,
    show_default=True,
    help="What is allowed.",
)
@click.option(
    "--baseline",
    metavar="B",
    help="A file, run:ID, tag:NAME=TEXT, interleaved:REVISION or interleaved:auto; by default "
    "benchmarks/baselines/SUITE.json, if there is one.",
)
@click.option("--update", is_flag=True, help="Write the baseline instead of judging by it.")
@click.option("--prune", is_flag=True, help="With --update: drop cases that the suite has no more.")
@click.option("--history", is_flag=True, help="Find when costs changed, over all past runs.")
@click.option("--suite", help="Of the store, or to measure; default: ci.")
@of_session
@click.option("--case", "pattern", help="Only cases whose id matches this glob.")
@click.option(
    "--max-pairs",
    "--rounds",
    "max_pairs",
    type=click.IntRange(1, MOST_PAIRS),
    help=f"Interleaved: most pairs of a case; it stops when it knows.  [default: {MOST_PAIRS}]",
)
@click.option(
    "--max-minutes",
    type=click.FloatRange(min=0, min_open=True),
    help="Where it measures: begin no pair or repeat later; what is open then is inconclusive.",
)
@click.option(
    "--until-decided",
    is_flag=True,
    help="Measure the suite, and judge it by what is stored and by budgets: repeats are added "
    "until no other would decide anything.",
)
@click.option(
    "--max-repeats",
    type=click.IntRange(1, MOST_REPEATS),
    help=f"With --until-decided: most repeats of a case.  [default: {MOST_REPEATS}]",
)
@click.option("--strict", is_flag=True, help="Exit with 3 if a limit is inconclusive.")
@including
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@_file("--junit", "Write a JUnit report.")
@_file("--markdown", "Append a summary; default: $GITHUB_STEP_SUMMARY.")
@_file("--smaller-is-better", "Write figures for github-action-benchmark.")
@_file("--bencher", "Write figures in Bencher's metric format.")
def gate(
    *, update: bool, prune: bool, history: bool, strict: bool, as_json: bool, junit: Path | None,
    markdown: Path | None, smaller_is_better: Path | None, bencher: Path | None, **given: Any,
) -> None:  # fmt: skip
    """Say whether training costs more than allowed: 0 no, 1 yes, 3 nobody knows (--strict).

    Judges FILES of `pytest --benchmark-json`, or the latest run of a suite in the store.
    """
    asked = Asked(**given)
    asked.check(is_judging=not (update or history))
    if update and history:
        raise ConfigurationError("--update and --history contradict each other; choose one")
    if prune and not update:
        raise ConfigurationError("--prune drops cases from a baseline; say --update, too")
    if history:
        _print_history(asked, as_json=as_json)
        return
    if update:
        _update(asked, is_pruned=prune)
        return
    output = _Output(as_json, junit, markdown, smaller_is_better, bencher)
    from greenbench.gate.budgets import read_budgets  # noqa: PLC0415

    budgets = read_budgets(asked.budget)
    for note in asked.notes:
        say(note, err=True)
    if asked.until_decided:
        judged = judge_until_decided(asked, budgets)
    else:
        judged = (judge_interleaved if asked.revision else _judge_stored)(asked, budgets)
    rows, found, has_failures = judged
    found = replace(found, notes=(*asked.notes, *found.notes))
    _say(found, rows, output, include_disturbed=asked.include_disturbed)
    if not as_json and (advice := _next(found, asked)):
        say_next(advice)
    sys.exit(1 if has_failures else found.exit_code(is_strict=strict))


def _next(found: "Judgements", asked: Asked) -> str | None:
    """Return what to do about a verdict, where a command does it."""
    from greenbench.gate.judgement import Verdict  # noqa: PLC0415

    if asked.revision:
        return None
    suite = ["--suite", asked.suite] if asked.suite else []
    if found.verdict is Verdict.FAIL and not asked.files:
        cases = ["--case", asked.pattern] if asked.pattern else []
        return shlex.join(["greenbench", "gate", "--history", *suite, *cases])
    if not asked.until_decided and found.baseline is None and found.verdict is Verdict.INCONCLUSIVE:
        return shlex.join(["greenbench", "gate", *map(str, asked.files), "--update", *suite])
    return None


def _judge_stored(asked: Asked, budgets: "Budgets") -> tuple[Sequence[Row], "Judgements", bool]:
    from greenbench.compare.samples import again_note  # noqa: PLC0415
    from greenbench.gate.baselines import find_baseline  # noqa: PLC0415
    from greenbench.gate.gone import gone_note  # noqa: PLC0415
    from greenbench.gate.judging import judge  # noqa: PLC0415

    if not asked.is_auto and (asked.max_pairs or asked.max_minutes):
        name = "--max-pairs" if asked.max_pairs else "--max-minutes"
        raise ConfigurationError(
            f"{name} is for --baseline interleaved:REVISION or --until-decided, which measure; "
            "stored results have the repeats that they were run with"
        )
    rows, said = asked.rows()
    settings = read_settings()
    baseline = find_baseline(asked.stored, rows, settings.tracking_uri, settings.store_timeout_s)
    found = judge(
        rows,
        budgets,
        baseline,
        known_cases=known_case_ids(settings.data_dir),
        include_disturbed=asked.include_disturbed,
        history=[] if asked.files else history_of(rows, settings),
    )
    failed = [row for row in rows if row["status"] == "failed"]
    notes = [f"{row['case_id']}: no trial of repeat {row['repeat']} completed" for row in failed]
    if baseline and (gone := _gone(baseline, rows)):
        notes.append(gone_note(gone, (str(row["suite"]) for row in rows), baseline))
    notes += [*said, *filter(None, [again_note(rows)])]
    return rows, replace(found, notes=(*found.notes, *notes)), bool(failed)


def _update(asked: Asked, *, is_pruned: bool) -> None:
    from greenbench.gate.baselines import path_for, read_baseline, write_baseline  # noqa: PLC0415
    from greenbench.gate.gone import gone_note  # noqa: PLC0415

    if asked.baseline and asked.baseline.partition(":")[0] in ("run", "tag", INTERLEAVED):
        raise ConfigurationError(
            f"--update writes a file, and --baseline is {asked.baseline!r}; name a file, or leave "
            "it out for benchmarks/baselines/SUITE.json"
        )
    of_file: dict[Path, list[Row]] = {}
    found, notes = asked.rows()
    for row in found:
        path = Path(asked.baseline) if asked.baseline else path_for(str(row["suite"]))
        of_file.setdefault(path, []).append(row)
    for path, rows in of_file.items():
        before = read_baseline(path) if path.exists() else None
        gone = _gone(before, rows) if before else []
        cases = write_baseline(path, rows, without=gone if is_pruned else ())
        numbers = f"{_number(len(cases), 'case')}, {_number(len(rows), 'sample')}"
        say(f"wrote {path}: {numbers}; commit it")
        if gone and is_pruned:
            say(f"dropped {', '.join(gone)}")
        elif gone and before:
            say(gone_note(gone, (str(row["suite"]) for row in rows), before))
    for note in notes:
        say(note)


def _gone(baseline: "Baseline", rows: Sequence[Row]) -> list[str]:
    from greenbench.gate.gone import gone_cases  # noqa: PLC0415

    data_dir = read_settings().data_dir
    suites = cases_by_suite((str(row["suite"]) for row in rows), data_dir)
    return gone_cases(baseline, rows, suites)


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _print_history(asked: Asked, *, as_json: bool) -> None:
    from dataclasses import asdict  # noqa: PLC0415

    from greenbench.compare.rows import measured_anew  # noqa: PLC0415
    from greenbench.gate.history import find_steps  # noqa: PLC0415
    from greenbench.terminal import print_history  # noqa: PLC0415
    from greenbench.tracking import Store  # noqa: PLC0415

    if asked.files or asked.session is not None:
        raise ConfigurationError(
            "--history looks at all past runs of the store; leave files and --session out"
        )
    settings = read_settings()
    store = Store.existing(settings.tracking_uri, timeout_s=settings.store_timeout_s)
    rows = store.read_rows(asked.suite or DEFAULT_SUITE)
    rows, _ = measured_anew(rows)
    rows = [r for r in rows if asked.pattern is None or fnmatchcase(r["case_id"], asked.pattern)]
    if not rows:
        raise ConfigurationError("no past run in the store is of such a case; run some first")
    found = find_steps(rows, include_disturbed=asked.include_disturbed)
    if as_json:
        series = [{**asdict(each), "sentence": each.sentence} for each in found]
        emit(strict_json(series))
    else:
        print_history(found)


def _say(
    found: "Judgements", rows: Sequence[Row], output: _Output, *, include_disturbed: bool
) -> None:
    from greenbench.gate import outputs  # noqa: PLC0415
    from greenbench.terminal import print_judgements  # noqa: PLC0415

    if output.as_json:
        emit(outputs.to_json(found))
    else:
        print_judgements(found)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # Where they don't get into anybody's JSON; GitHub reads both.
        emit_commands(outputs.to_annotations(found))
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if markdown := output.markdown or (Path(summary) if summary else None):
        _write(markdown, outputs.to_markdown(found), mode="a")
    if output.junit:
        _write(output.junit, outputs.to_junit(found))
    if output.smaller_is_better:
        text = outputs.to_smaller_is_better(rows, include_disturbed=include_disturbed)
        _write(output.smaller_is_better, text)
    if output.bencher:
        _write(output.bencher, outputs.to_bencher(rows, include_disturbed=include_disturbed))


def _write(path: Path, text: str, mode: str = "w") -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if mode == "w" and (path.is_file() or not path.exists()):
            # Half a report would be read as a whole one. A link stays one.
            with replacing(path.resolve()) as whole:
                whole.write(text.encode())
            return
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise GateError(f"{path} cannot be written: {reason(error)}; {remedy(error)}") from error
