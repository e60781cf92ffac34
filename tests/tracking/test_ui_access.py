"""How the UI's server is started: what others can read of it, and what decides who gets in."""

import os
from configparser import ConfigParser
from pathlib import Path

import pytest

from greenbench.errors import ConfigurationError
from greenbench.machine.secrets import StoreUri
from greenbench.tracking import ui
from greenbench.tracking.ui_access import HOSTS, Access, command, environment

URI = StoreUri("postgresql://me:hunter2@db/runs")
ADDRESS = ("127.0.0.1", 5000)


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return Access.make(tmp_path)


def test_password_is_new_each_time_and_long(access: Access, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert Access.make(tmp_path / "other").password != access.password
    assert len(access.password) >= 16


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        Access.make(tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["plain", "50% of it", "%(admin_password)s"])
def test_settings_are_read_back_from_any_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    access = Access.make(tmp_path / name)
    parser = ConfigParser()
    parser.read(access.settings)
    found = parser["mlflow"]
    assert found["admin_password"] == access.password
    assert found["database_uri"] == f"sqlite:///{tmp_path / name / 'users.db'}"
    assert found["default_permission"] == "NO_PERMISSIONS"


def test_neither_arguments_nor_repr_show_a_secret(access: Access) -> None:
    shown = [*command(ADDRESS, access), *command(ADDRESS, None), repr(access)]
    for secret in (access.password, access.key, "hunter2", URI.reveal()):
        assert not [text for text in shown if secret in text]


def test_store_and_settings_are_in_the_environment(access: Access) -> None:
    found = environment(URI, access)
    assert found["MLFLOW_BACKEND_STORE_URI"] == URI.reveal()
    assert found["MLFLOW_AUTH_CONFIG_PATH"] == str(access.settings)
    assert "MLFLOW_AUTH_CONFIG_PATH" not in environment(URI, None)


@pytest.mark.parametrize(
    "name",
    [
        "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE",
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "MLFLOW_STATIC_PREFIX", "MLFLOW_UVICORN_OPTS",
        "GUNICORN_CMD_ARGS", "MLFLOW_READ_REPLICA_BACKEND_STORE_URI", "_MLFLOW_SGI_NAME",
    ],
)  # fmt: skip
def test_variables_that_would_open_or_move_it_are_left_out(
    access: Access, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "*")
    assert name not in environment(URI, access)


def test_names_of_the_machine_are_the_users_to_extend(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment(URI, None)["MLFLOW_SERVER_ALLOWED_HOSTS"] == HOSTS
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "hub.example")
    assert environment(URI, None)["MLFLOW_SERVER_ALLOWED_HOSTS"] == "hub.example"


def test_what_is_missing_for_a_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ui, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'mlflow\[auth\]', or .*--no-auth$"):
        ui.serve_ui(StoreUri("sqlite:///no.db"), None, print)


@pytest.mark.parametrize("uri", ["http://", "https://host:port", "http://host/\n", "ftp://host"])
def test_address_that_is_none_is_refused_and_not_announced(uri: str) -> None:
    said: list[str] = []
    with pytest.raises(ConfigurationError, match="MLFLOW_TRACKING_URI"):
        ui.serve_ui(StoreUri(uri), None, said.append)
    assert said == []
