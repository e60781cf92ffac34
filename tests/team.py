"""A team's store on loopback: PostgreSQL and MLflow, by the commands of the compose file."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from pwd import getpwnam
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.mlflow_server import free_port

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
COMPOSE = HOWTO / "team" / "compose.yaml"
PAGE = HOWTO / "team.md"
UP_S = 300.0


def services() -> Mapping[str, Any]:
    """Return the services of the compose file, as YAML and Compose read them: ``$$`` is ``$``."""
    text = COMPOSE.read_text(encoding="utf-8").replace("$$", "$")
    found: Mapping[str, Any] = YAML(typ="safe").load(text)["services"]
    return found


@dataclass
class Postgres:
    """A database server of Debian's package, which refuses to be root's.

    Attributes
    ----------
    folder : pathlib.Path
        Of its data; its own user may read it.
    port : int
        On loopback.
    password : str
        Of its user ``mlflow``.
    """

    folder: Path
    port: int
    password: str
    programs: Path
    owner: Mapping[str, Any] = field(default_factory=dict)

    def make(self) -> None:
        """Make what the image makes at its first start."""
        given = services()["database"]["environment"]
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        arguments = given["POSTGRES_INITDB_ARGS"].split()
        arguments += ["--username", given["POSTGRES_USER"], "--pwfile", str(secret), "--no-sync"]
        self._run("initdb", "--pgdata", str(self.folder / "data"), *arguments)
        secret.unlink()
        self.start()
        self.make_database(given["POSTGRES_DB"])

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-p {self.port} -h 127.0.0.1 -c unix_socket_directories={self.folder}"
        self._control("--log", str(self.folder / "log"), "--options", options, "start")

    def stop(self) -> None:
        """End it at once, and with it all connections."""
        self._control("--mode", "fast", "stop")

    def restart(self) -> None:
        """Break all connections off, and be there again."""
        self.stop()
        self.start()

    def make_database(self, name: str) -> str:
        """Make a database, and return its address."""
        self.ask(f"CREATE DATABASE {name}", database="postgres")
        return self.url(name)

    def ask(self, statement: str, *, database: str = "mlflow") -> str:
        """Return what a statement gives, a line a row."""
        return self._run(
            "psql", "--dbname", self.url(database, ""), "--no-align", "--tuples-only",
            "--command", statement,
        )  # fmt: skip

    def dump(self) -> str:
        """Return all that the database of the team holds."""
        return self._run("pg_dump", self.url("mlflow", ""))

    def url(self, name: str = "mlflow", password: str | None = None, driver: str = "") -> str:
        """Return the address of a database."""
        secret = self.password if password is None else password
        user = f"mlflow:{secret}" if secret else "mlflow"
        return f"postgresql{driver}://{user}@127.0.0.1:{self.port}/{name}"

    def _control(self, *arguments: str) -> None:
        data = str(self.folder / "data")
        self._run("pg_ctl", "--pgdata", data, "--wait", "--timeout", str(int(UP_S)), *arguments)

    def _run(self, program: str, *arguments: str) -> str:
        # A server that is started here would keep a pipe of ours open.
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run(
                [self.programs / program, *arguments],
                cwd=self.folder,
                env={**os.environ, "PGPASSWORD": self.password},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                **self.owner,
            )
            output.seek(0)
            said = output.read()
        assert done.returncode == 0, said
        return said


@contextmanager
def postgres(password: str) -> Iterator[Postgres]:
    """Yield a database server with an empty database ``mlflow``, or skip."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = found[-1].parent if found else Path(shutil.which("initdb") or "").parent
    if not (programs / "initdb").is_file():
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    owner: dict[str, Any] = {}
    # Its user must be able to reach the folder, which in pytest's own it cannot.
    folder = Path(tempfile.mkdtemp(prefix="greenbench-postgres-"))
    if os.geteuid() == 0:
        try:
            user = getpwnam("postgres")
        except KeyError:
            pytest.skip("needs the user postgres: the database refuses to be root's")
        owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        os.chown(folder, user.pw_uid, user.pw_gid)
    server = Postgres(folder, free_port(), password, programs, owner)
    try:
        server.make()
        yield server
    finally:
        with suppress(AssertionError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Team:
    """The MLflow server of a team, as the compose file starts it.

    Attributes
    ----------
    folder : pathlib.Path
        Of its secrets, its log and its artifacts.
    database : Postgres
        Behind it.
    port : int
        On loopback.
    """

    folder: Path
    database: Postgres
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "server.log"

    @property
    def artifacts(self) -> Path:
        """Where it keeps what it is sent."""
        return self.folder / "artifacts"

    @property
    def admin(self) -> tuple[str, str]:
        """The administrator and their password."""
        text = (self.folder / "secrets" / "auth.ini").read_text()
        password = re.search(r"admin_password = (\S+)", text)
        assert password
        return "admin", password[1]

    def url(self, credentials: str = "") -> str:
        """Return its address, with credentials such as ``ada:secret@``."""
        return f"http://{credentials}127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the compose file's own command, and wait until it answers."""
        service = services()["mlflow"]
        self.log.touch()
        before = self.log.read_text().count("startup complete")
        given = {**service["environment"], "MLFLOW_HOST_NAME": f"127.0.0.1:{self.port}"}
        others = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                [self._here(each) for each in service["command"]],
                cwd=self.folder,
                env={**others, **{n: self._here(text) for n, text in given.items()}, "PATH": path},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + UP_S
        workers = int(re.search(r"--workers (\d+)", service["command"][-1])[1])  # type: ignore[index]
        while self.log.read_text().count("startup complete") < before + workers:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def stop(self) -> None:
        """End it, with all its workers."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def restart(self) -> None:
        """Break all requests off, and be there again."""
        self.stop()
        self.start()

    def _here(self, text: str) -> str:
        """Return what is said of a container, of this machine."""
        for there, here in (
            ("@database:5432/", f"@127.0.0.1:{self.database.port}/"),
            ("/run/secrets/", f"{self.folder}/secrets/"),
            ("0.0.0.0 --port 5000", f"127.0.0.1 --port {self.port}"),
            ("destination /artifacts", f"destination {self.artifacts}"),
        ):
            text = text.replace(there, here)
        return text


@contextmanager
def team(folder: Path, database: Postgres) -> Iterator[Team]:
    """Yield the server, with secrets that the page's own commands have made."""
    (setup,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    subprocess.run(["sh", "-euc", setup], cwd=folder, check=True)
    server = Team(folder, database, free_port())
    secrets = folder / "secrets"
    (secrets / "database_password").write_text(database.password)
    ini = secrets / "auth.ini"
    ini.write_text(server._here(ini.read_text()))
    try:
        server.start()
        yield server
    finally:
        server.stop()
