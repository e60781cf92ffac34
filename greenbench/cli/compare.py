"""`greenbench compare`: one subcommand a question."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenbench.cli.naming import SCORE, naming
from greenbench.cli.output import emit, say, say_next
from greenbench.cli.tables import Wanted, read_tables, selecting_rows, tolerating
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.text.programs import strict_json

if TYPE_CHECKING:
    from greenbench.compare.files import Tables
    from greenbench.compare.names import Names
    from greenbench.compare.tolerance import Tolerance

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_QUESTION = "returns"
THREADS = "threads"
OTHER_GROUP = "choose other columns with `--group`"
LAYER_FACTORS = ("conv_layers", "linear_layers", "relu")


class _Questions(click.Group):
    """Takes `greenbench compare` for `greenbench compare returns`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = args[0] if args else ""
        is_option = first.startswith("-") and first not in ctx.help_option_names
        # A name with an ending is that of a file, and so is one with a folder.
        if not first or is_option or Path(first).suffix or len(Path(first).parts) > 1:
            args = [DEFAULT_QUESTION, *args]
        elif not first.startswith("-") and first not in self.commands:
            raise UnknownNameError("question", first, self.commands)
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class _Asked:
    """What the options say that all questions share."""

    wanted: Wanted
    names: "Names"
    as_json: bool
    as_csv: bool


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


@compare.command()
@_printing
@tolerating("is good enough")
@naming("energy", "energy_unit", *SCORE, "size", "seed", "group")
def returns(*, tolerance: "Tolerance | None", **given: Any) -> None:
    """Say which size to train: what each larger one costs, and what it buys."""
    from greenbench.compare.columns import to_results  # noqa: PLC0415
    from greenbench.compare.hosts import answer_each  # noqa: PLC0415
    from greenbench.compare.questions import OF_RETURNS  # noqa: PLC0415
    from greenbench.compare.returns import SERIES, compare_returns  # noqa: PLC0415
    from greenbench.terminal import print_returns  # noqa: PLC0415

    asked = _asked(given)
    tables = read_tables(asked.wanted, question=OF_RETURNS)
    rows, group, notes = (
        to_results(tables.rows, asked.names)
        if tables.is_foreign
        else (_own(tables.rows, asked.names), SERIES, ())
    )
    found, on_hosts = answer_each(
        rows,
        partial(
            compare_returns,
            tolerance=tolerance,
            include_disturbed=asked.wanted.include_disturbed,
        ),
    )
    if not found:
        advice = OTHER_GROUP if tables.is_foreign else "run a family with `greenbench run scaling`"
        raise _refusal(OF_RETURNS.needs, group, asked, advice)
    _print("returns", found, asked, print_returns, tables.noting([*notes, *on_hosts]))


@compare.command()
@_printing
@tolerating("found the target is")
@click.option("--against", metavar="NAME", help="Test one against each other: name it beforehand.")
@naming("strategy", "energy", "energy_unit", *SCORE, "seed", "order", "group")
def strategies(*, tolerance: "Tolerance | None", against: str | None, **given: Any) -> None:
    """Say which search strategy finds more: at equal energy, and at equal trials."""
    from greenbench.compare.columns import to_trials  # noqa: PLC0415
    from greenbench.compare.comparable import check_cases  # noqa: PLC0415
    from greenbench.compare.hosts import answer_each, names_of  # noqa: PLC0415
    from greenbench.compare.placings import summarise  # noqa: PLC0415
    from greenbench.compare.questions import OF_STRATEGIES  # noqa: PLC0415
    from greenbench.compare.strategies import OWN_GROUP, compare_strategies  # noqa: PLC0415
    from greenbench.terminal import print_strategies  # noqa: PLC0415

    asked = _asked(given)
    tables = read_tables(asked.wanted, with_trials=True, question=OF_STRATEGIES)
    check_cases(tables.rows)
    trials, group, notes = (
        to_trials(tables.trials, asked.names)
        if tables.is_foreign
        else (_own(tables.trials, asked.names), OWN_GROUP, ())
    )
    found, on_hosts = answer_each(
        trials,
        partial(
            compare_strategies,
            group=group,
            tolerance=tolerance,
            against=against,
            include_disturbed=asked.wanted.include_disturbed,
        ),
        None if tables.is_foreign else names_of(tables.rows),
    )
    if not found:
        advice = OTHER_GROUP if tables.is_foreign else "run some with `greenbench run strategies`"
        raise _refusal(OF_STRATEGIES.needs, group, asked, advice)
    overall = summarise(found)
    _print(
        "strategies",
        found,
        asked,
        lambda answers: print_strategies(answers, overall),
        tables.noting([*notes, *on_hosts]),
        overall={"sentence": overall.sentence, **asdict(overall)},
    )


@compare.command()
@_printing
@click.option("--response", metavar="NAMES", multiple=True, help="Columns to explain.")
@click.option("--factors", metavar="NAMES", multiple=True, help="Columns that explain: a,b,c.")
@click.option(
    "--unit",
    metavar="COLUMN",
    help="What is independent, such as repeat: its samples of equal levels are averaged.",
)
def factors(
    *, response: tuple[str, ...], factors: tuple[str, ...], unit: str | None, **given: Any
) -> None:
    """Say where the energy goes: factorial ANOVA, Kruskal-Wallis, pairs of levels."""
    from greenbench.compare.columns import responses  # noqa: PLC0415
    from greenbench.compare.factors import compare_factors  # noqa: PLC0415
    from greenbench.compare.questions import of_factors  # noqa: PLC0415
    from greenbench.terminal import print_factors  # noqa: PLC0415

    asked = _asked(given)
    named = _listed(factors)
    tables = read_tables(asked.wanted, question=of_factors(named or LAYER_FACTORS))
    if not named and tables.is_foreign:
        raise ConfigurationError("of a CSV, name the columns that explain: `--factors a,b`")
    rows = tables.rows if tables.is_foreign else _with_factors(tables.rows, named, asked)
    found = []
    for each in _listed(response) or responses(rows):
        samples, notes = _samples(tables, rows, named, each)
        tables = tables.noting(notes)
        found.append(
            compare_factors(
                samples,
                named or LAYER_FACTORS,
                each,
                unit=unit,
                include_disturbed=asked.wanted.include_disturbed,
            )
        )
    _print("factors", found, asked, print_factors, tables)


def _samples(
    tables: "Tables", rows: list[dict[str, Any]], factors: Sequence[str], response: str
) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Return the samples of a response that count, and what is to be said of others."""
    from greenbench.compare.columns import to_factorial  # noqa: PLC0415

    if not tables.is_foreign:
        return rows, ()
    found = to_factorial(rows, factors, response)
    return found.rows, found.notes


def _with_factors(
    rows: list[dict[str, Any]], named: Sequence[str], asked: _Asked
) -> list[dict[str, Any]]:
    """Return those of our own results whose architectures have the options that explain."""
    from greenbench.compare.columns import with_options  # noqa: PLC0415

    rows = with_options(rows)
    found = [row for row in rows if all(name in row for name in named or LAYER_FACTORS)]
    if not found and not named:
        raise ConfigurationError(
            f"no result in {asked.wanted.source} has the options {', '.join(LAYER_FACTORS)}; run "
            "some with `greenbench run layers`, or name columns with `--factors`"
        )
    # Of names that no result has, the comparer says which are known.
    return found or rows


def _ratio_command(compared: str, question: str, words: str) -> Callable[..., None]:
    def command(*, baseline: str | None, **given: Any) -> None:
        from greenbench.compare.over_hosts import compare_on_hosts  # noqa: PLC0415
        from greenbench.terminal import print_ratios  # noqa: PLC0415

        asked = _asked(given)
        tables, group = _variants(compared, asked)
        found = compare_on_hosts(
            tables.rows,
            compared,
            group=group,
            baseline=baseline,
            include_disturbed=asked.wanted.include_disturbed,
        )
        _print(question, found.answers, asked, print_ratios, tables.noting(found.notes))

    command.__doc__ = f"Compare {words}: paired ratios of energy, duration and score."
    baseline = click.option(
        "--baseline", metavar="NAME", help=f"Of the {question}, what to divide by."
    )
    named = naming("energy", "energy_unit", *SCORE, "seed", "group")
    return _printing(baseline(named(command)))


for _compared, _question, _words in (
    ("backend", "backends", "backends"),
    ("practice", "practices", "practices"),
    (THREADS, THREADS, "numbers of threads, across sessions"),
    ("optimizer", "optimizers", "optimisers, across sessions"),
    ("schedule", "schedules", "schedules of the learning rate, across sessions"),
):
    compare.command(_question)(_ratio_command(_compared, _question, _words))


@compare.command()
@_printing
@naming("energy", "energy_unit", *SCORE, "seed", "group")
def scaling(**given: Any) -> None:
    """Say what more devices for one training cost in energy, and save in time."""
    from greenbench.compare.hosts import answer_each  # noqa: PLC0415
    from greenbench.compare.scaling import compare_scaling  # noqa: PLC0415
    from greenbench.terminal import print_scaling  # noqa: PLC0415

    asked = _asked(given)
    tables, group = _variants("devices", asked)
    counting = asked.wanted.include_disturbed
    found, on_hosts = answer_each(
        tables.rows, partial(compare_scaling, group=group, include_disturbed=counting)
    )
    _print("scaling", found, asked, print_scaling, tables.noting(on_hosts))


def _variants(compared: str, asked: _Asked) -> tuple["Tables", tuple[str, ...]]:
    """Read results to pair by their repeats, and the columns of their groups."""
    from greenbench.compare.columns import to_variants  # noqa: PLC0415
    from greenbench.compare.parts import ACROSS, to_pairs  # noqa: PLC0415
    from greenbench.compare.questions import of_variants  # noqa: PLC0415
    from greenbench.compare.ratios import OWN_GROUP  # noqa: PLC0415

    wanted = asked.wanted
    if compared in ACROSS and not wanted.files and wanted.session is None:
        # A session has one number of threads, or optimiser, as a rule.
        wanted = replace(wanted, all_sessions=True)
    tables = read_tables(wanted, question=of_variants(compared))
    if tables.is_foreign:
        rows, group, notes = to_variants(tables.rows, asked.names, compared)
        return replace(tables.noting(notes), rows=rows), group
    rows = _own(tables.rows, asked.names)
    paired = to_pairs(rows, compared) if compared in ACROSS else rows
    return replace(tables, rows=paired), OWN_GROUP


def _asked(given: dict[str, Any]) -> _Asked:
    from greenbench.compare.names import Names  # noqa: PLC0415

    as_json, as_csv = given.pop("as_json"), given.pop("as_csv")
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv contradict each other; choose one")
    wanted = {name: given.pop(name) for name in Wanted.__dataclass_fields__}
    named = {name.removesuffix("_column"): value for name, value in given.items()}
    # An empty name is given, too: nothing is told apart.
    named["group"] = _listed(named["group"]) if named.get("group") else None
    return _Asked(Wanted(**wanted), Names(**named), as_json, as_csv)


def _own(rows: list[dict[str, Any]], names: "Names") -> list[dict[str, Any]]:
    """Return our own rows, whose columns have names that no option changes."""
    for name, value in vars(names).items():
        if value is not None and value is not False:
            is_whole = name in ("group", "lower_is_better") or name.endswith("unit")
            option = name if is_whole else f"{name}-column"
            raise ConfigurationError(
                f"--{option.replace('_', '-')} names columns of a CSV; results of greenbench have "
                "names of their own"
            )
    return rows


def _listed(names: Sequence[str]) -> tuple[str, ...]:
    """Return names that were given one by one or with commas."""
    return tuple(name.strip() for text in names for name in text.split(",") if name.strip())


def _refusal(what: str, group: Sequence[str], asked: _Asked, advice: str) -> ConfigurationError:
    """Return what is said of a table in which nothing can be compared."""
    apart = f" of equal {', '.join(group)}" if group else ""
    return ConfigurationError(f"no {what}{apart} in {asked.wanted.source}; {advice}")


def _print(
    question: str,
    answers: Sequence[Any],
    asked: _Asked,
    show: Callable[[Sequence[Any]], None],
    tables: "Tables",
    **further: Any,
) -> None:
    from greenbench.compare.answers import to_json, to_records  # noqa: PLC0415
    from greenbench.compare.files import to_csv  # noqa: PLC0415

    notes = _notes(tables)
    if asked.as_json:
        said = {
            "question": question,
            "answers": [*map(to_json, answers)],
            **further,
            "sessions": tables.sessions,
            "notes": notes,
        }
        emit(strict_json(said))
    elif asked.as_csv:
        records = [record for answer in answers for record in to_records(answer)]
        emit(to_csv(records))
        warnings = [line for answer in answers for line in getattr(answer, "warnings", ())]
        for line in dict.fromkeys([*notes, *warnings]):
            say(line, err=True)
    else:
        show(answers)
        for line in notes + _marks(tables, asked):
            say(line)
        if not tables.is_foreign:
            say_next(f"greenbench report{asked.wanted.spelled}")


def _notes(tables: "Tables") -> list[str]:
    """Return what must be known of how the table was read and counted."""
    from greenbench.compare.samples import again_note, shared_note  # noqa: PLC0415

    own = [] if tables.is_foreign else [again_note(tables.rows), shared_note(tables.rows)]
    return list(dict.fromkeys([*tables.notes, *filter(None, own)]))


def _marks(tables: "Tables", asked: _Asked) -> list[str]:
    """Return what must be known of our own figures; of a CSV's we know nothing."""
    from greenbench.terminal import mark_lines, provenance_lines  # noqa: PLC0415

    if tables.is_foreign:
        return []
    marks = mark_lines(tables.rows, include_disturbed=asked.wanted.include_disturbed)
    return marks + provenance_lines(tables.rows)
