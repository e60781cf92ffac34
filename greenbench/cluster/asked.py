"""Which cluster is asked for: a scheduler's address, or who starts one, with which options."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.machine.secrets import redact

QUEUES = ("slurm", "pbs", "lsf")
KUBERNETES, LOCAL = "kubernetes", "local"
KINDS = (*QUEUES, KUBERNETES, LOCAL)
MOST_WORKERS = 10_000

# dask-jobqueue writes them into a script as they are.
_WORD = re.compile(r"[\w.,@:/+=-]+")
_OF_QUEUES = {
    "queue": (_WORD, "the name of a queue or partition, such as 'long'"),
    "walltime": (re.compile(r"[\d:-]+"), "hours, minutes and seconds, such as 08:00:00"),
    "cores": (re.compile(r"[1-9]\d*"), "a whole number above 0"),
    "memory": (re.compile(r"\d+(\.\d+)?[kMGT]i?B"), "a number of bytes, such as 16GiB"),
    "account": (_WORD, "the name of an account or project"),
    "extra": (re.compile(r"-[ -~]+"), "a directive of the queue, such as '--gres=gpu:1'"),
}
OPTIONS = {
    **dict.fromkeys(QUEUES, _OF_QUEUES),
    KUBERNETES: {
        "image": (_WORD, "the name of an image that has greenbench"),
        "namespace": (re.compile(r"[a-z0-9-]+"), "the name of a namespace"),
        "wait": (
            re.compile(r"\d{1,4}:[0-5]\d:[0-5]\d"),
            "hours, minutes and seconds, such as 02:00:00",
        ),
    },
    LOCAL: {},
}
"""By kind, the options that there are: which values each takes, and what is said of others."""


@dataclass(frozen=True)
class Asked:
    """Which cluster is asked for.

    Attributes
    ----------
    scheduler : str or None
        Address of one that runs, ``tcp://…`` or ``tls://…``.
    kind : str or None
        Who starts one, else: ``slurm``, ``pbs``, ``lsf``, ``kubernetes`` or ``local``.
    workers : int
        How many are to be started, each of them a job of a queue; 0 of one that runs.
    options : tuple of (str, str)
        Of the kind, as `OPTIONS` has them; ``extra`` may come several times.
    """

    scheduler: str | None
    kind: str | None
    workers: int
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str | None:
        """Return the value of an option, the last one if it is given twice; None without."""
        return next((value for key, value in reversed(self.options) if key == name), None)

    def all_of(self, name: str) -> list[str]:
        """Return all values of an option."""
        return [value for key, value in self.options if key == name]


def asked(scheduler: str | None, cluster: str | None, options: Sequence[str] = ()) -> Asked | None:
    """Return the cluster that a command line asks for; None if for none.

    Parameters
    ----------
    scheduler : str or None
        ``--scheduler``.
    cluster : str or None
        ``--cluster``: a kind, and behind a colon the number of workers, which is 1 without;
        ``local`` needs one.
    options : sequence of str
        ``--cluster-option``, each ``name=value``.

    Raises
    ------
    ConfigurationError
        If they contradict each other, or one of them is nothing that there is.
    """
    if scheduler is not None and cluster is not None:
        raise ConfigurationError(
            "--scheduler and --cluster contradict each other: one names a cluster that runs, the "
            "other starts one; choose one"
        )
    if cluster is None and options:
        raise ConfigurationError(
            f"--cluster-option {options[0]!r} is for a cluster that is started; add --cluster"
        )
    if scheduler is not None:
        return Asked(_checked_address(scheduler), None, 0)
    if cluster is None:
        return None
    kind, workers = _kind_and_workers(cluster)
    return Asked(None, kind, workers, tuple(_option(each, kind) for each in options))


def _checked_address(text: str) -> str:
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in ("tcp", "tls") and bool(parts.hostname and parts.port)
        is_whole &= not (parts.username or parts.password or parts.path or parts.query)
    except ValueError:
        is_whole = False
    if not is_whole or re.search(r"\s", text):
        raise ConfigurationError(
            f"--scheduler is {redact(text)!r}; expected tcp://HOST:PORT or tls://HOST:PORT, as "
            "`dask scheduler` prints it"
        )
    return text


def _kind_and_workers(text: str) -> tuple[str, int]:
    kind, colon, number = text.partition(":")
    if kind not in KINDS:
        raise UnknownNameError("cluster", kind, KINDS, "--cluster")
    if not colon and kind != LOCAL:
        return kind, 1
    if not re.fullmatch(r"[1-9]\d{0,4}", number) or int(number) > MOST_WORKERS:
        raise ConfigurationError(
            f"--cluster is {text!r}; expected {kind}:N with the number of workers, 1 to "
            f"{MOST_WORKERS}"
        )
    return kind, int(number)


def _option(text: str, kind: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    known = OPTIONS[kind]
    if not equals:
        raise ConfigurationError(f"--cluster-option is {text!r}; expected name=value")
    if name not in known:
        if not known:
            raise ConfigurationError(
                f"--cluster-option {name!r} is nothing that --cluster {kind} has: it has none"
            )
        raise UnknownNameError(f"option of {kind}", name, known, "--cluster-option")
    pattern, expected = known[name]
    if not pattern.fullmatch(value):
        raise ConfigurationError(f"--cluster-option {name} is {value!r}; expected {expected}")
    return name, value
