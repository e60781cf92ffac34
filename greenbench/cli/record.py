"""`greenbench record`: trains a cell of the tabular benchmark, and writes it to a file."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

import click

from greenbench import registry
from greenbench.cases import Case, freeze_options, split_network
from greenbench.cases.spelling import spelled_once
from greenbench.cli.environment import read_settings
from greenbench.cli.output import interruptible, say
from greenbench.cli.parts import loading_parts
from greenbench.errors import ConfigurationError
from greenbench.selection import parse_options
from greenbench.settings import TABULAR_DIR, Settings

if TYPE_CHECKING:
    from greenbench.tabular import Recording

SUITE = "record"
REPLAY = "tabular"
FEWEST_TRIALS = 24
"""Below, nothing is left for what is held out, or for configurations with several seeds."""


@click.command()
@loading_parts
@click.option("--architecture", "-a", required=True, help="With or without size: simple_cnn.m.")
@click.option("--dataset", "-d", required=True, help="Data set.")
@click.option("--size", help="Member of the architecture's family: m.")
@click.option("--set", "settings", multiple=True, help="Architecture option: name=value.")
@click.option("--data", multiple=True, help="Data set option: name=value.")
@click.option("--backend", "-b", default="torch", show_default=True, help="Framework.")
@click.option("--space", default="adam", show_default=True, help="Search space.")
@click.option(
    "--trials",
    type=click.IntRange(min=FEWEST_TRIALS),
    default=256,
    show_default=True,
    help="Trainings: a sixth are repetitions with other seeds, an eighth is held out.",
)
@click.option("--epochs", type=int, default=9, show_default=True, help="Epochs of a training.")
@click.option("--batch-size", type=int, default=64, show_default=True, help="Samples a step.")
@click.option("--threads", type=int, help="CPU threads; default: physical cores.")
@click.option("--seed", type=int, default=0, help="Another seed draws other configurations.")
@click.option("--as", "name", help="Data set that it is replayed as; default: the data set.")
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path),
    default=Path(TABULAR_DIR),
    show_default=True,
    help="Where the file goes.",
)
@click.option("--force", is_flag=True, help="Replace a recording that is there.")
def record(
    *,
    architecture: str,
    size: str | None,
    settings: tuple[str, ...],
    data: tuple[str, ...],
    name: str | None,
    output_dir: Path,
    force: bool,
    **budget: str | int | None,
) -> None:
    """Record trainings of one network on one data set, for the backend `tabular` to replay.

    Trains for as long as so many trainings take; resumes what was interrupted. Nothing goes
    to MLflow: a recording is no result of a search.
    """
    from greenbench.tabular.recording import check_recordable  # noqa: PLC0415

    family, named_size = split_network(architecture)
    if size and named_size:
        raise ConfigurationError(
            f"--size {size} contradicts --architecture {architecture}; name the size once"
        )
    case = Case(
        strategy="survey",
        architecture=family,
        size=size or named_size,
        architecture_options=freeze_options(parse_options(settings, "--set")),
        dataset_options=freeze_options(parse_options(data, "--data")),
        validate_every=1,
        repeats=1,
        **budget,  # type: ignore[arg-type]
    )
    given = read_settings()
    case = spelled_once(case, given.data_dir)
    name = name or case.dataset
    registry.check_case(case)
    registry.datasets.check(name)
    if case.backend == REPLAY:
        raise ConfigurationError(f"--backend {REPLAY} replays; record what another one trains")
    check_recordable(case.space)
    _check_output(output_dir, f"{case.network}-{name}", is_forced=force)
    _record(given, case, name, output_dir)


def _record(settings: Settings, case: Case, name: str, output_dir: Path) -> None:
    from greenbench.results.journal import Journal  # noqa: PLC0415
    from greenbench.running.session import Session  # noqa: PLC0415
    from greenbench.tabular import from_result, read_recording, write_recording  # noqa: PLC0415
    from greenbench.terminal.progress import Progress  # noqa: PLC0415

    with interruptible("interrupted: finished trainings are kept; the same command resumes"):
        with Progress([case]) as progress, Session(settings, SUITE, [case], progress) as session:
            result = session.run_repeat(case, 0)
            # `greenbench sync` must not take it for a result that MLflow lacks.
            Journal.of(session.folder, case, 0).mark_delivered()
            path = write_recording(from_result(result, name), output_dir)
        say(f"recording: {path} ({path.stat().st_size / 1000:.0f} kB)")
        _print_recording(read_recording(path))
        session.finish()


def _print_recording(recording: "Recording") -> None:
    from greenbench.tabular import Lookup  # noqa: PLC0415
    from greenbench.tabular.faithfulness import faithfulness  # noqa: PLC0415
    from greenbench.terminal.tables import show_figures  # noqa: PLC0415

    found = faithfulness(Lookup(recording))
    trainings = recording.trainings
    complete = sum(each.is_complete for each in trainings)
    disturbed = sum(each.is_disturbed for each in trainings)
    say(f"{len(trainings)} trainings: {complete} complete, {disturbed} disturbed by others")
    for line in _doubts(recording):
        say(line)
    title = f"replays against {len(recording.held_out)} held-out trainings, accuracy in points:"
    columns = (
        ("epoch", 0), ("error", 0), ("noise between seeds", 1), ("rank correlation", 0),
        ("best, real", 2), ("best, replayed", 2),
    )  # fmt: skip
    figures = zip(
        found.error,
        found.noise,
        found.rank_correlation,
        found.best_real,
        found.best_replayed,
        strict=True,
    )
    rows = [
        (
            str(epoch),
            f"{error:.1f}",
            f"{noise:.1f}",
            f"{rank:.2f}",
            f"{real:.1%}",
            f"{replayed:.1%}",
        )
        for epoch, (error, noise, rank, real, replayed) in enumerate(figures, start=1)
    ]
    show_figures(title, columns, rows, row="epoch")


def _doubts(recording: "Recording") -> list[str]:
    if recording.has_calm_costs:
        return []
    return ["too few trainings were undisturbed: costs are those of all, and may be too high"]


def _check_output(folder: Path, stem: str, *, is_forced: bool) -> None:
    """Find out before hours of training whether their file can be written."""
    path = folder / f"{stem}.parquet"
    if path.exists() and not is_forced:
        raise ConfigurationError(
            f"recording {path} exists; replace it with --force, or choose another --output-dir"
        )
    absolute = folder.absolute()
    # Nothing is made yet: what comes next may be refused.
    nearest = next(each for each in (absolute, *absolute.parents) if each.exists())
    try:
        with TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"recording {path} cannot be written ({error.strerror}); "
            "choose another folder with --output-dir"
        ) from error
