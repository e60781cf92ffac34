"""Addresses of stores: which of them MLflow takes, which file is meant, what to write instead."""

import os
import re
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.machine.secrets import StoreUri

SERVERS = ("http", "https")
DATABASES = ("mssql", "mysql", "postgresql", "sqlite")
KNOWN = (*SERVERS, *DATABASES, "databricks")
PLUGINS = "mlflow.tracking_store"
"""Entry points by which other packages teach MLflow further kinds of stores."""

SQLITE = re.compile(r"sqlite(?:\+pysqlite)?:///([^?]*)(?:\?(.*))?", re.DOTALL)
SQLITE_OPTIONS = ("timeout", "check_same_thread", "cached_statements")
"""What may follow a file without its being another one, or none."""

HOST = re.compile(r"[\w-][\w.-]*|[0-9a-fA-F:.]+(%.+)?")
"""A name, or an address of the sixth version."""

BY_PATH = "MLFLOW_TRACKING_URI, or else GREENBENCH_RUNS_DIR/mlflow.db,"
PACKAGES = {"MySQLdb": "mysqlclient", "psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]"}
"""Where a module comes in a package of another name."""


def sqlite_path(uri: StoreUri) -> Path | None:
    """Return the file of a local store, None for others."""
    found = SQLITE.fullmatch(uri.reveal())
    return Path(found[1]) if found else None


def is_database(uri: StoreUri) -> bool:
    """Return whether a store is a database, on this machine or another."""
    return re.split("[:+]", str(uri))[0] in DATABASES


def check_uri(address: StoreUri) -> None:
    """Raise `ConfigurationError` for an address that MLflow does not take, or not as it is meant.

    Nothing is opened: a store that is away is none that cannot be.
    """
    uri = address.reveal()
    scheme = _scheme(uri)
    if not scheme:
        raise _in_memory(uri) if uri == ":memory:" else _folder(uri)
    kind, _, _ = scheme.partition("+")
    if scheme in SERVERS:
        _check_server(uri)
    elif kind == "sqlite":
        _check_sqlite(uri)
    elif kind in DATABASES:
        _check_driver(uri)
    elif kind == "databricks" and uri != kind and not uri.startswith("databricks://"):
        raise _refused(uri, "write databricks, or databricks://PROFILE")


def _scheme(uri: str) -> str:
    """Return what comes before the colon, if MLflow knows it; nothing for a plain folder."""
    if uri == "databricks":
        return uri
    if re.fullmatch(r"[\w.-]+:\d+(/.*)?", uri):
        raise _refused(uri, f"write http://{StoreUri(uri)}")
    if uri != uri.strip() or re.search(r"[\x00-\x1f\x7f]", uri):
        raise _refused(uri, "it has white space around it, or control characters in it", by=BY_PATH)
    found = re.match(r"([A-Za-z][\w+.-]*):", uri)
    if not found or found[1] == "file":
        return ""
    scheme = found[1]
    if scheme in KNOWN or scheme.partition("+")[0] in DATABASES:
        return scheme
    if scheme.lower() in KNOWN or scheme.lower().partition("+")[0] in DATABASES:
        raise _refused(uri, f"write {scheme.lower()!r} in small letters")
    plugins = [entry.name for entry in entry_points(group=PLUGINS)]
    if scheme in plugins:
        return scheme
    raise UnknownNameError(
        "kind of MLflow store", scheme, [*KNOWN, *plugins], f"MLFLOW_TRACKING_URI is {_shown(uri)}"
    )


def _check_server(uri: str) -> None:
    try:
        parts = urlsplit(uri)
        has_host = bool(HOST.fullmatch(parts.hostname or "")) and parts.port != 0
    except ValueError:
        has_host = False
    if not has_host:
        raise _refused(uri, "no host can be read from it; write http://HOST:PORT")


def _check_sqlite(uri: str) -> None:
    found = SQLITE.fullmatch(uri)
    if found is None and not uri.endswith("://"):
        raise _refused(uri, "write sqlite:////ABSOLUTE/PATH/mlflow.db")
    path, query = found.groups() if found else ("", None)
    if path in ("", ":memory:") or (path.startswith("file:") and ":memory:" in path):
        raise _in_memory(uri)
    options = dict(part.partition("=")[::2] for part in (query or "").split("&") if part)
    if options.get("mode") == "memory":
        raise _in_memory(uri)
    if path.startswith("file:"):
        name = path.removeprefix("file:")
        raise _refused(uri, f"MLflow takes no URI of SQLite's own; write sqlite:///{name}")
    if unknown := [name for name in options if name not in SQLITE_OPTIONS]:
        raise _refused(
            uri,
            f"{unknown[0]!r} is no option of a file (those: {', '.join(SQLITE_OPTIONS)}), and a "
            "file whose path has a question mark cannot be written; choose another",
            by=BY_PATH,
        )
    if options:
        _check_options(uri)
    _check_path(uri, path)


def _check_options(uri: str) -> None:
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    url = make_url(uri)
    try:
        url.get_dialect()().create_connect_args(url)
    except ValueError as error:
        raise _refused(uri, f"correct its option: {error}") from None


def _check_path(uri: str, path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError:
        raise _refused(uri, "its path is no UTF-8; choose another", by=BY_PATH) from None
    before, home, below = path.partition("~/")
    if home and before in ("", f"{Path.cwd()}/"):
        raise _refused(
            uri,
            f"nobody puts your home in place of its '~'; write sqlite:///{_at_home(home + below)}",
            by=BY_PATH,
        )
    if re.search("%[0-9A-Fa-f]{2}", path):
        from sqlalchemy.engine import make_url  # noqa: PLC0415

        # Versions differ; and MLflow makes the folder of the one, and SQLAlchemy opens the other.
        if (meant := make_url(uri).database) != path:
            raise _refused(
                uri,
                f"it means {meant!r}: write sqlite:///{meant}, or choose a path without '%'",
                by=BY_PATH,
            )
    try:
        is_folder, is_other = Path(path).is_dir(), Path(path).exists() and not Path(path).is_file()
    except OSError:
        # Whoever opens it says why it cannot be.
        return
    if is_folder:
        reason = f"it is a folder; write sqlite:///{path.rstrip('/')}/mlflow.db"
        raise _refused(uri, reason, by=BY_PATH)
    if is_other:
        reason = "it is no regular file, and would keep nothing; choose another"
        raise _refused(uri, reason, by=BY_PATH)


def _check_driver(uri: str) -> None:
    from sqlalchemy.engine import make_url  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError  # noqa: PLC0415

    scheme = uri.partition(":")[0]
    try:
        make_url(uri).get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise _refused(uri, f"SQLAlchemy knows no driver {scheme!r}") from None
    except (ArgumentError, ValueError):
        raise _refused(uri, f"write {scheme}://USER:PASSWORD@HOST:PORT/DATABASE") from None
    except ImportError as error:
        package = PACKAGES.get(error.name or "", error.name or "of its driver")
        raise _refused(
            uri,
            f"it needs the package {package!r}, which is not installed: pip install '{package}'",
        ) from None


def _folder(uri: str) -> ConfigurationError:
    folder = _at_home(str(StoreUri(uri)).removeprefix("file:").removeprefix("//").rstrip("/"))
    return _refused(
        uri,
        "MLflow no longer writes to plain folders: "
        f"use sqlite:///{folder}/mlflow.db or a server's http:// address",
    )


def _at_home(path: str) -> str:
    # As a shell does, where it is not quoted.
    return os.path.expanduser(path)  # noqa: PTH111


def _in_memory(uri: str) -> ConfigurationError:
    return _refused(
        uri, "a store in memory is lost with the process; write sqlite:////ABSOLUTE/PATH/mlflow.db"
    )


def _refused(uri: str, reason: str, *, by: str = "MLFLOW_TRACKING_URI") -> ConfigurationError:
    return ConfigurationError(f"{by} is {_shown(uri)}; {reason}")


def _shown(uri: str) -> str:
    return repr(str(StoreUri(uri)))
