"""Who gets into the MLflow UI, and how its server is started without showing that to others."""

import base64
import os
import secrets
import shlex
import sys
from collections.abc import Mapping
from configparser import ConfigParser
from dataclasses import dataclass, field
from pathlib import Path

from greenbench.machine.secrets import StoreUri

USER = "greenbench"

# Browsers are to reach it by no other name: not by one that a web page lets point to loopback.
HOSTS = "localhost,localhost:*,127.0.0.1,127.0.0.1:*"

DECIDED = (
    "_MLFLOW_", "MLFLOW_AUTH_", "MLFLOW_BASIC_AUTH_", "MLFLOW_SERVER_", "MLFLOW_FLASK_SERVER_",
    "MLFLOW_GUNICORN_OPTS", "MLFLOW_UVICORN_OPTS", "MLFLOW_STATIC_PREFIX", "MLFLOW_ENABLE_",
    "MLFLOW_ARTIFACTS_ONLY", "MLFLOW_READ_REPLICA_", "MLFLOW_WORKSPACE", "MLFLOW_WORKERS",
    "MLFLOW_EXPOSE_PROMETHEUS", "MLFLOW_TRACE_ARCHIVAL", "GUNICORN_CMD_ARGS",
)  # fmt: skip
"""Beginnings of variables that would decide how the server runs, and whom it lets in."""


@dataclass(frozen=True)
class Access:
    """The one user of a UI.

    Attributes
    ----------
    folder : pathlib.Path
        Private; holds what the server must know.
    password : str
        Made for this UI.
    key : str
        Of the server, for its forms.
    user : str
        Their name.
    """

    folder: Path
    password: str = field(repr=False)
    key: str = field(repr=False)
    user: str = USER

    @classmethod
    def make(cls, folder: Path) -> "Access":
        """Make a password, and write what MLflow must know of it into a private folder."""
        access = cls(folder, secrets.token_urlsafe(12), secrets.token_hex(32))
        settings = {
            "default_permission": "NO_PERMISSIONS",
            "database_uri": f"sqlite:///{folder / 'users.db'}",
            "admin_username": access.user,
            "admin_password": access.password,
            # There is one process, and the password never changes: it is checked once.
            "auth_cache_ttl_seconds": "86400",
        }
        parser = ConfigParser()
        parser["mlflow"] = {name: value.replace("%", "%%") for name, value in settings.items()}
        for path in (access.settings, folder / "users.db"):
            path.touch(mode=0o600, exist_ok=False)
        with access.settings.open("w", encoding="utf-8") as file:
            parser.write(file)
        return access

    @property
    def settings(self) -> Path:
        """Where MLflow reads them."""
        return self.folder / "basic_auth.ini"

    @property
    def told(self) -> dict[str, str]:
        """What the server finds in its environment."""
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.settings),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self.key,
        }

    @property
    def headers(self) -> dict[str, str]:
        """What a request has that gets in."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}


def command(address: tuple[str, int], access: Access | None) -> list[str]:
    """Return how the server is started; everybody on the machine can read that.

    Parameters
    ----------
    address : tuple of str and int
        Of the socket that it finds as its standard input, and listens to.
    access : Access or None
        Whom it lets in; None for everybody.
    """
    host, port = address
    # Of MLflow's two servers, the one with all requests behind one check of the password. The
    # other also starts programs for whoever asks from this machine, and has had gaps.
    options = shlex.join(["-c", str(Path(__file__).with_name("ui_server.py")), "-b", "fd://0"])
    started = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port)]
    started += ["--workers", "1", "--gunicorn-opts", options]
    return [*started, "--app-name", "basic-auth"] if access else started


def environment(uri: StoreUri, access: Access | None) -> Mapping[str, str]:
    """Return the surroundings of the server, which its owner alone can read."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(DECIDED)}
    return {
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        **kept,
        "MLFLOW_BACKEND_STORE_URI": uri.reveal(),
        "GREENBENCH_UI_PID": str(os.getpid()),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_SERVER_ALLOWED_HOSTS": os.environ.get("MLFLOW_SERVER_ALLOWED_HOSTS") or HOSTS,
        "PYTHONWARNINGS": "ignore",
        # Modules of the working folder are none of the server's.
        "PYTHONSAFEPATH": "1",
        **(access.told if access else {}),
    }
