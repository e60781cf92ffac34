"""The options that say on which cluster a command runs its cases."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenbench.errors import ConfigurationError

if TYPE_CHECKING:
    from greenbench.cluster.asked import Asked
    from greenbench.running.session import Session

Command = TypeVar("Command", bound=Callable[..., Any])


def on_cluster(command: Command) -> Command:
    """Add the options, which `cluster_of` reads."""
    options = [
        click.option(
            "--scheduler", metavar="ADDRESS", help="Run on a Dask cluster: tcp://HOST:PORT."
        ),
        click.option("--cluster", metavar="KIND", help="Start a cluster and run there: slurm:4."),
        click.option("--cluster-option", multiple=True, help="Option of it: name=value."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def cluster_of(given: dict[str, Any], *, goes_on: bool) -> "Asked | None":
    """Take the options out of all that are given; return which cluster they ask for, if any.

    Parameters
    ----------
    given : dict
        The options of a command, by name.
    goes_on : bool
        Whether results decide between repeats what is run next.

    Raises
    ------
    ConfigurationError
        If they contradict each other, or what else is asked for.
    """
    told = [given.pop(name) for name in ("scheduler", "cluster", "cluster_option")]
    # An address that is empty, as of a variable that is not set, asks for a cluster, too.
    if told == [None, None, ()]:
        return None
    if goes_on:
        raise ConfigurationError(
            "--until-decided and --continue-repeats look at all results of one machine between "
            "repeats, and are not for --scheduler or --cluster; leave them out"
        )
    from greenbench.cluster.asked import asked  # noqa: PLC0415

    return asked(*told)


def session_of(cluster: "Asked | None") -> "Callable[..., Session]":
    """Return what makes a session: on this machine, or on a cluster."""
    if cluster is None:
        from greenbench.running.session import Session  # noqa: PLC0415

        return Session
    from greenbench.cluster.engine import ClusterSession  # noqa: PLC0415

    return partial(ClusterSession, cluster=cluster)
