"""`greenbench compare`: one subcommand a question."""

import csv
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenbench.cli.tables import Wanted, read_tables, selecting_rows
from greenbench.errors import ConfigurationError, UnknownNameError

if TYPE_CHECKING:
    from greenbench.compare.columns import Names

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_QUESTION = "returns"
LAYER_FACTORS = ("conv_layers", "linear_layers", "relu")


class _Questions(click.Group):
    """Takes `greenbench compare` for `greenbench compare returns`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        is_file = first.endswith((".csv", ".json"))
        is_option = first.startswith("-") and first not in ctx.help_option_names
        if not first or is_file or is_option:
            args = [DEFAULT_QUESTION, *args]
        elif not first.startswith("-") and first not in self.commands:
            raise UnknownNameError("question", first, self.commands)
        return super().parse_args(ctx, args)


@click.group(cls=_Questions)
def compare() -> None:
    """Answer a question from the store, or from FILES: returns, if none is named.

    FILES are CSVs of anybody's measurements, whose columns the options name, or what
    `pytest --benchmark-json` wrote.
    """


def _printing(command: Command) -> Command:
    for option in (
        click.option("--csv", "as_csv", is_flag=True, help="Print the table as CSV."),
        click.option("--json", "as_json", is_flag=True, help="Print everything as JSON."),
    ):
        command = option(command)
    return selecting_rows(command)


def _naming(*which: str) -> Callable[[Command], Command]:
    """Add options that name columns of a foreign CSV."""
    offered = {
        "energy": click.option("--energy-column", metavar="NAME", help="Column of energy."),
        "energy_unit": click.option(
            "--energy-unit",
            type=click.Choice(["wh", "kwh", "j", "kj"]),
            help="Its unit, if its name does not end in it.",
        ),
        "accuracy": click.option(
            "--accuracy-column", metavar="NAME", help="Column of accuracy, 0 to 1."
        ),
        "strategy": click.option("--strategy-column", metavar="NAME", help="Column of strategies."),
        "size": click.option("--size-column", metavar="NAME", help="Column of sizes."),
        "seed": click.option("--seed-column", metavar="NAME", help="Column of seeds or repeats."),
        "group": click.option(
            "--group",
            metavar="NAMES",
            multiple=True,
            help="Columns that tell apart what is answered apart: dataset,network.",
        ),
    }

    def add(command: Command) -> Command:
        for name in reversed(which):
            command = offered[name](command)
        return command

    return add


@compare.command()
@_printing
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="How far below the best accuracy is good enough: 0.01 is 1 percentage point.",
)
@_naming("energy", "energy_unit", "accuracy", "size", "group")
def returns(*, tolerance: float, as_json: bool, as_csv: bool, **given: Any) -> None:
    """Say which size to train: what each larger one costs, and what it buys."""
    from greenbench.compare.columns import to_results  # noqa: PLC0415
    from greenbench.compare.returns import compare_returns  # noqa: PLC0415
    from greenbench.terminal import print_returns  # noqa: PLC0415

    wanted, names = _split(given)
    tables = read_tables(wanted)
    rows = to_results(tables.rows, names)[0] if tables.is_foreign else _own(tables.rows, names)
    found = compare_returns(rows, tolerance=tolerance, include_disturbed=wanted.include_disturbed)
    if not found:
        raise ConfigurationError(
            f"no family with two sizes or more among {len(rows)} results in {wanted.source}; run "
            "one with `greenbench run scaling`"
        )
    _print("returns", found, as_json=as_json, as_csv=as_csv, show=print_returns)
    _print_notes(rows, wanted, is_silent=as_json or as_csv or tables.is_foreign)


@compare.command()
@_printing
@click.option(
    "--tolerance",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="How far below the best accuracy found the target is.",
)
@_naming("strategy", "energy", "energy_unit", "accuracy", "seed", "group")
def strategies(*, tolerance: float, as_json: bool, as_csv: bool, **given: Any) -> None:
    """Say which search strategy finds more: at equal energy, and at equal trials."""
    from greenbench.compare.columns import to_trials  # noqa: PLC0415
    from greenbench.compare.strategies import (  # noqa: PLC0415
        OWN_GROUP,
        compare_strategies,
        summarise,
    )
    from greenbench.terminal import print_strategies  # noqa: PLC0415

    wanted, names = _split(given)
    tables = read_tables(wanted, with_trials=True)
    trials, group = (
        to_trials(tables.trials, names)
        if tables.is_foreign
        else (_own(tables.trials, names), OWN_GROUP)
    )
    found = compare_strategies(
        trials, group=group, tolerance=tolerance, include_disturbed=wanted.include_disturbed
    )
    if not found:
        raise ConfigurationError(
            f"no two strategies searched the same thing among {len(trials)} trials in "
            f"{wanted.source}; run some with `greenbench run strategies`"
        )
    overall = summarise(found)
    _print(
        "strategies",
        found,
        as_json=as_json,
        as_csv=as_csv,
        show=lambda answers: print_strategies(answers, overall),
        overall={"sentence": overall.sentence, **asdict(overall)},
    )
    _print_notes(tables.rows, wanted, is_silent=as_json or as_csv or tables.is_foreign)


@compare.command()
@_printing
@click.option("--response", metavar="NAMES", multiple=True, help="Columns to explain.")
@click.option("--factors", metavar="NAMES", multiple=True, help="Columns that explain: a,b,c.")
def factors(
    *,
    response: tuple[str, ...],
    factors: tuple[str, ...],
    as_json: bool,
    as_csv: bool,
    **given: Any,
) -> None:
    """Say where the energy goes: factorial ANOVA, Kruskal-Wallis, pairs of levels."""
    from greenbench.compare.columns import responses, with_options  # noqa: PLC0415
    from greenbench.compare.factors import compare_factors  # noqa: PLC0415
    from greenbench.terminal import print_factors  # noqa: PLC0415

    wanted, _ = _split(given)
    tables = read_tables(wanted)
    rows = tables.rows if tables.is_foreign else with_options(tables.rows)
    named = _listed(factors)
    if not named and tables.is_foreign:
        raise ConfigurationError("of a CSV, name the columns that explain: `--factors a,b`")
    found = [
        compare_factors(
            rows, named or LAYER_FACTORS, each, include_disturbed=wanted.include_disturbed
        )
        for each in _listed(response) or responses(rows)
    ]
    _print("factors", found, as_json=as_json, as_csv=as_csv, show=print_factors)
    _print_notes(tables.rows, wanted, is_silent=as_json or as_csv or tables.is_foreign)


def _ratio_command(compared: str, question: str) -> Callable[..., None]:
    def command(*, baseline: str | None, as_json: bool, as_csv: bool, **given: Any) -> None:
        from greenbench.compare.columns import to_results  # noqa: PLC0415
        from greenbench.compare.ratios import OWN_GROUP, compare_ratios  # noqa: PLC0415
        from greenbench.terminal import print_ratios  # noqa: PLC0415

        wanted, names = _split(given)
        tables = read_tables(wanted)
        rows, group = (
            to_results(tables.rows, names, compared)
            if tables.is_foreign
            else (_own(tables.rows, names), OWN_GROUP)
        )
        found = compare_ratios(
            rows,
            compared,
            group=group,
            baseline=baseline,
            include_disturbed=wanted.include_disturbed,
        )
        _print(f"{compared}s", [found], as_json=as_json, as_csv=as_csv, show=print_ratios)
        _print_notes(rows, wanted, is_silent=as_json or as_csv or tables.is_foreign)

    command.__doc__ = question
    baseline = click.option("--baseline", metavar="NAME", help=f"The {compared} to divide by.")
    naming = _naming("energy", "energy_unit", "accuracy", "seed", "group")
    return _printing(baseline(naming(command)))


compare.command("backends")(
    _ratio_command("backend", "Compare backends: paired ratios of energy, duration and accuracy.")
)
compare.command("practices")(
    _ratio_command("practice", "Compare practices: paired ratios of energy, duration and accuracy.")
)


def _split(given: dict[str, Any]) -> tuple[Wanted, "Names"]:
    from greenbench.compare.columns import Names  # noqa: PLC0415

    wanted = {name: given.pop(name) for name in Wanted.__dataclass_fields__}
    named = {name.removesuffix("_column"): value for name, value in given.items()}
    named["group"] = _listed(named.get("group", ()))
    return Wanted(**wanted), Names(**named)


def _own(rows: list[dict[str, Any]], names: "Names") -> list[dict[str, Any]]:
    """Return our own rows, whose columns have names that no option changes."""
    for name, value in vars(names).items():
        if value:
            option = name if name in ("group", "energy_unit") else f"{name}-column"
            raise ConfigurationError(
                f"--{option.replace('_', '-')} names columns of a CSV; results of greenbench have "
                "names of their own"
            )
    return rows


def _listed(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that were given one by one or with commas."""
    return tuple(name.strip() for text in names for name in text.split(",") if name.strip())


def _print(
    question: str,
    answers: Sequence[Any],
    *,
    as_json: bool,
    as_csv: bool,
    show: Callable[[Sequence[Any]], None],
    **further: Any,
) -> None:
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv contradict each other; choose one")
    if as_json:
        found = [{"sentence": answer.sentence, **asdict(answer)} for answer in answers]
        click.echo(json.dumps({"question": question, "answers": found, **further}, indent=2))
    elif as_csv:
        records = [record for answer in answers for record in answer.records()]
        columns = dict.fromkeys(name for record in records for name in record)
        writer = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    else:
        show(answers)


def _print_notes(rows: Sequence[dict[str, Any]], wanted: Wanted, *, is_silent: bool) -> None:
    """Say what must be known of our own figures; of a CSV's we know nothing."""
    from greenbench.terminal import mark_lines, provenance_lines  # noqa: PLC0415

    if is_silent:
        return
    marks = mark_lines(rows, include_disturbed=wanted.include_disturbed)
    for line in marks + provenance_lines(rows):
        click.echo(line)
