"""`greenbench cluster-script`: a batch script that runs cases on the nodes of a queue."""

import os
import sys
from pathlib import Path

import click

from greenbench.cli.environment import read_settings
from greenbench.cli.output import emit, say, say_next
from greenbench.errors import ConfigurationError

QUEUE = "slurm"


@click.command("cluster-script")
@click.argument("queue")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.option(
    "--gpus",
    type=click.IntRange(0),
    default=0,
    help="GPUs of a node, each measured alone; the run needs --headline gpu.",
)
@click.option(
    "--time", metavar="TIME", help="Limit of a job, such as 08:00:00; it goes on in the next."
)
@click.option("--partition", help="Where it waits; default: the queue's.")
@click.option("--account", help="Who pays.")
@click.option("--cores", type=click.IntRange(1), help="CPU cores of a worker.")
@click.option(
    "--grace",
    "grace_s",
    type=click.IntRange(10, 3600),
    metavar="SECONDS",
    default=120,
    show_default=True,
    help="How long before the limit the run ends.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="A file, in place of printing."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def cluster_script(
    *, queue: str, command: tuple[str, ...], output: Path | None, force: bool, **asked: object
) -> None:
    """Write a batch script for a QUEUE (slurm) that runs a COMMAND: `-- run strategies`.

    One job has a scheduler, a worker a node and the run; at its time limit it ends in good order
    and is queued again, and the next job goes on from there.
    """
    from greenbench.cluster.scripts import BatchScript  # noqa: PLC0415

    if queue != QUEUE:
        raise ConfigurationError(
            f"no batch script is known for {queue!r}; expected {QUEUE}, or run `greenbench run "
            "--cluster` with slurm, pbs, lsf or kubernetes where you submit jobs"
        )
    settings = read_settings()
    words = command[1:] if command[:1] == ("greenbench",) else command
    script = BatchScript(
        words,
        Path.cwd(),
        settings.runs_dir,
        sys.executable,
        **asked,  # type: ignore[arg-type]
    )
    if output is None:
        emit(script.text())
        return
    _write(output, script.text(), is_forced=force)
    say(f"wrote {output}")
    say_next(f"sbatch {output}")


def _write(path: Path, text: str, *, is_forced: bool) -> None:
    from greenbench.machine.files import reason, remedy, replacing  # noqa: PLC0415

    if path.exists() and not is_forced:
        raise ConfigurationError(
            f"{path} exists; replace it with --force, or choose another --output"
        )
    try:
        with replacing(path) as file:
            file.write(os.fsencode(text))
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({reason(error)}); {remedy(error)}"
        ) from error
