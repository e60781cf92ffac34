"""`greenbench doctor`: what this machine measures, and what makes training take least on it."""

from dataclasses import asdict, replace
from datetime import date
from typing import TYPE_CHECKING

import click

from greenbench.cases import Case, split_network
from greenbench.cli.environment import read_settings
from greenbench.cli.output import emit, folded, interruptible, say
from greenbench.errors import ConfigurationError
from greenbench.machine.threads import available_cores
from greenbench.text.programs import strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from greenbench.compare.brackets import Bracketed
    from greenbench.compare.paired_means import PairedMean
    from greenbench.compare.stats import Estimate
    from greenbench.doctor.compute_options import ComputeOptions
    from greenbench.doctor.thread_counts import NetworkThreads

UNKNOWN = "unknown"
PLAIN = 1000


@click.command()
@click.option("--threads", is_flag=True, help="Find the number of threads that takes least energy.")
@click.option("--compute", is_flag=True, help="Find the --compute options that take least energy.")
@click.option(
    "--architecture", "-a", help="With one of these: what is trained, such as simple_cnn.s."
)
@click.option("--dataset", "-d", help="With one of these: what on.")
@click.option("--backend", "-b", help="With one of these: framework.")
@click.option("--batch-size", type=int, help="With one of these: samples a step.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, threads: bool, compute: bool, as_json: bool, **network: str | int | None) -> None:
    """Say what this machine measures and what it estimates, and how to measure more.

    With --threads, train a small and a larger network, or the one that is named, with 1, 2, 4
    and more threads in turn, and say which number takes least. With --compute, train a network
    with each precision and layout in turn, and on a GPU with CUDA graphs and without, and say
    which options take least at equal loss. Either takes a minute or two.
    """
    named = {name: value for name, value in network.items() if value is not None}
    if threads and compute:
        raise ConfigurationError("--threads and --compute are two questions; choose one")
    if threads:
        _print_threads(named, as_json=as_json)
        return
    if compute:
        _print_compute(named, as_json=as_json)
        return
    if named:
        option = f"--{next(iter(named)).replace('_', '-')}"
        raise ConfigurationError(
            f"{option} says what to train: give it with --threads or --compute"
        )
    from greenbench.doctor.doctor import examine  # noqa: PLC0415

    findings = examine(read_settings())
    if as_json:
        emit(strict_json(findings))
        return
    for name, text in findings.items():
        for i, line in enumerate(text if isinstance(text, list) else [text]):
            label = f"{'' if i else name:<18}"
            indent = 0 if i else len(label)
            # A command is for copying: it must stay on one line.
            is_command = line.startswith("$ ")
            for each in [label + line] if is_command else folded(label + line, indent):
                say(each, is_whole=True)


def _print_threads(named: dict[str, str | int], *, as_json: bool) -> None:
    from greenbench.doctor.thread_counts import counts_up_to, measure_threads, to_cases  # noqa: PLC0415
    from greenbench.machine.environment import cpu_model  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    settings = read_settings()
    cases = to_cases(_networks(named), counts_up_to(available_cores()))
    with (
        interruptible("interrupted: nothing is known of the threads"),
        Progress(cases) as progress,
    ):
        found = measure_threads(settings, cases, progress)
    if as_json:
        said = {
            "cpu": cpu_model(),
            "cores": available_cores(),
            "date": date.today().isoformat(),
            "sentences": [network.sentence for network in found.networks],
            "notes": found.notes,
        }
        emit(strict_json({**said, **asdict(found)}))
        return
    for network in found.networks:
        _show_threads(network)
        say("")
    for text in (*(network.sentence for network in found.networks), *found.notes):
        _say_folded(text)
    say(f"export GREENBENCH_THREADS={found.best}")


def _print_compute(named: dict[str, str | int], *, as_json: bool) -> None:
    from greenbench.doctor.compute_options import NETWORK, measure_options, to_cases  # noqa: PLC0415
    from greenbench.machine.environment import cpu_model  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    settings = read_settings()
    network = _named(NETWORK, named)
    # What can be refused is, before torch is imported.
    to_cases(network, [])
    from greenbench.backends.torch_compute import choices  # noqa: PLC0415

    cases = to_cases(network, choices())
    with (
        interruptible("interrupted: nothing is known of the options"),
        Progress(cases) as progress,
    ):
        found = measure_options(settings, cases, progress)
    if as_json:
        said = {"cpu": cpu_model(), "date": date.today().isoformat()}
        emit(
            strict_json({**said, "sentence": found.sentence, "notes": found.notes, **asdict(found)})
        )
        return
    _show_options(found)
    say("")
    for text in (found.sentence, *found.notes):
        _say_folded(text)
    say(found.advice, is_whole=True)


def _networks(named: dict[str, str | int]) -> list[Case]:
    """Return the network that is named, on the small one's data, or a small and a larger one."""
    from greenbench.doctor.thread_counts import LARGE, SMALL  # noqa: PLC0415

    return [_named(SMALL, named)] if named else [SMALL, LARGE]


def _named(network: Case, named: dict[str, str | int]) -> Case:
    """Return a network with the parts that are named."""
    parts: dict[str, str | int | None] = dict(named)
    if "architecture" in named:
        parts["architecture"], parts["size"] = split_network(str(named["architecture"]))
    return replace(network, **parts)  # type: ignore[arg-type]


def _say_folded(text: str) -> None:
    for line in folded(text):
        say(line, is_whole=True)


def _show_options(found: "ComputeOptions") -> None:
    from greenbench.terminal.tables import show_figures  # noqa: PLC0415

    columns = (
        ("options", 0), ("samples/s", 2), ("CPU s/1000 samples", 3),
        (f"J/1000 samples, {found.provenance}", 1), (f"{found.decides}, ratio to first", 0),
        ("loss, ratio to first", 0),
    )  # fmt: skip
    rows = [
        (
            each.options or "none",
            *map(_cell, (each.samples_per_s, each.cpu_s, each.energy_j, each.ratio)),
            _cell(each.loss_ratio),
        )
        for each in found.figures
    ]
    figures = ("samples_per_s", "cpu_s", "energy_j", "loss_ratio")
    medians = [getattr(each, name) for each in found.figures for name in figures]
    title = _title(found.network, found.rounds, medians, [each.ratio for each in found.figures])
    show_figures(title, columns, rows, row="option", elsewhere="`--json`")


def _show_threads(network: "NetworkThreads") -> None:
    from greenbench.terminal.tables import show_figures  # noqa: PLC0415

    columns = (
        ("threads", 0), ("samples/s", 2), ("CPU s/1000 samples", 3),
        (f"J/1000 samples, {network.provenance}", 1), (f"{network.decides}, ratio to best", 0),
    )  # fmt: skip
    rows = [
        (
            str(each.threads),
            *map(_cell, (each.samples_per_s, each.cpu_s, each.energy_j, each.ratio)),
        )
        for each in network.figures
    ]
    figures = ("samples_per_s", "cpu_s", "energy_j")
    medians = [getattr(each, name) for each in network.figures for name in figures]
    title = _title(network.network, network.rounds, medians, [e.ratio for e in network.figures])
    show_figures(title, columns, rows, row="number", elsewhere="`--json`")


def _title(
    network: str,
    rounds: int,
    medians: "Iterable[Estimate | None]",
    ratios: "Iterable[PairedMean]",
) -> str:
    from greenbench.compare.brackets import brackets  # noqa: PLC0415

    return (
        f"{network}, {rounds} rounds: median{brackets(medians)}; ratio that decides: geometric "
        f"mean{brackets(ratios)}"
    )


def _cell(found: "Bracketed | None") -> str:
    if found is None:
        return UNKNOWN
    if found.low is None or found.high is None:
        return _digits(found.middle)
    return f"{_digits(found.middle)} [{_digits(found.low)}, {_digits(found.high)}]"


def _digits(value: float) -> str:
    """Return a number with three significant digits, or all of a larger one's."""
    return f"{value:.0f}" if value >= PLAIN else f"{value:.3g}"
