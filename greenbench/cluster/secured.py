"""TLS between the processes of a cluster: whoever reaches one without it runs code as its user.

``python -m greenbench.cluster.secured FOLDER`` writes certificates and keys into a folder.
"""

import ipaddress
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenbench.errors import ConfigurationError
from greenbench.machine.files import reason

Security = Any
"""A `distributed.Security`, which has no types."""

FIELDS = {
    "tls_ca_file": "distributed.comm.tls.ca-file",
    "tls_client_cert": "distributed.comm.tls.client.cert",
    "tls_client_key": "distributed.comm.tls.client.key",
    "tls_scheduler_cert": "distributed.comm.tls.scheduler.cert",
    "tls_scheduler_key": "distributed.comm.tls.scheduler.key",
    "tls_worker_cert": "distributed.comm.tls.worker.cert",
    "tls_worker_key": "distributed.comm.tls.worker.key",
}
"""What a `Security` calls its files, and how Dask's configuration does."""
OF_CLIENTS = ("tls_ca_file", "tls_client_cert", "tls_client_key")


def configured(needed: tuple[str, ...] = ()) -> Security:
    """Return what Dask's own configuration says of TLS.

    Parameters
    ----------
    needed : tuple of str
        Names in `FIELDS` of what must be said.

    Raises
    ------
    ConfigurationError
        If something needed is not said, or names a file that is none.
    """
    from distributed import Security as Made  # noqa: PLC0415

    security = Made()
    for field, name in FIELDS.items():
        value = getattr(security, field)
        # A certificate may stand there itself.
        if value and "\n" not in value and not Path(value).is_file():
            raise ConfigurationError(
                f"{name} of Dask's configuration is {value!r}, which is no file; correct it, or "
                f"{_variable(name)}"
            )
        if field in needed and not value:
            raise ConfigurationError(
                f"TLS needs {name}, which Dask's configuration does not say; set it, or "
                f"{_variable(name)} (docs/howto/cluster.md)"
            )
    return security


def is_configured() -> bool:
    """Return whether Dask's configuration has certificates for all roles."""
    security = configured()
    return all(getattr(security, field) for field in FIELDS)


def temporary(folder: Path | None = None) -> Security:
    """Return certificates that are made now, and known to one cluster alone.

    Parameters
    ----------
    folder : pathlib.Path, optional
        Where other processes find them, in files that only their owner reads.
    """
    from distributed import Security as Made  # noqa: PLC0415

    security = Made.temporary()
    if folder is None:
        return security
    for field in FIELDS:
        path = folder / field
        # Keys that are there are somebody's.
        path.touch(0o600, exist_ok=False)
        path.write_text(getattr(security, field), encoding="ascii")
    return Made(require_encryption=True, **{field: str(folder / field) for field in FIELDS})


def warn_if_open(address: str, notice: Callable[[str], None]) -> None:
    """Say of an address that others reach, and that is not encrypted, what that means.

    Parameters
    ----------
    address : str
        ``tcp://…`` or ``tls://…``.
    notice : callable
        Shows one line.
    """
    scheme, _, place = address.partition("://")
    host = place.rpartition(":")[0].strip("[]")
    if scheme != "tls" and not _is_loopback(host):
        notice(
            f"{address} is not encrypted: whoever reaches it can read what is sent, and run code "
            "as you; use tls:// where others are in the network (docs/howto/cluster.md)"
        )


def _variable(name: str) -> str:
    return "DASK_" + name.upper().replace(".", "__").replace("-", "_")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _write(folder: Path) -> None:
    try:
        folder.mkdir(0o700, parents=True, exist_ok=True)
        temporary(folder)
    except OSError as error:
        sys.exit(f"keys cannot be written to {folder} ({reason(error)}); choose another folder")


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
