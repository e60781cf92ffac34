"""Addresses of stores: what MLflow does not take, or not as it is meant, is refused at once."""

from pathlib import Path

import pytest

from greenbench.cases import Case
from greenbench.errors import ConfigurationError
from greenbench.machine.secrets import StoreUri
from greenbench.running.session import Session
from greenbench.running.spool import deliver_all
from greenbench.settings import Settings, anchored
from greenbench.terminal.progress import Progress
from greenbench.tracking import Store
from greenbench.tracking.uris import DATABASES, KNOWN, check_uri, sqlite_path

REFUSED = {
    "sqlite://": "in memory",
    "sqlite:///": "in memory",
    "sqlite+pysqlite://": "in memory",
    "sqlite+pysqlite:///:memory:": "in memory",
    "sqlite:///:memory:": "in memory",
    ":memory:": "in memory",
    "sqlite:///:memory:?timeout=1": "in memory",
    "sqlite:///file::memory:?cache=shared&uri=true": "in memory",
    "sqlite:///file:x?mode=memory&uri=true": "in memory",
    "sqlite:////tmp/x.db?mode=memory": "in memory",
    "sqlite:///file:/tmp/x.db?uri=true": "write sqlite:////tmp/x.db",
    "sqlite:////tmp/x.db?uri=true": "'uri' is no option",
    "sqlite:x": "write sqlite:////ABSOLUTE",
    "sqlite:/x": "write sqlite:////ABSOLUTE",
    "sqlite://host/x": "write sqlite:////ABSOLUTE",
    "sqlite+aiosqlite:////tmp/x.db": "write sqlite:////ABSOLUTE",
    "sqlite:////tmp": "write sqlite:////tmp/mlflow.db",
    "sqlite:////dev/null": "no regular file",
    "sqlite:////tmp/a%2Fb.db": "without '%'",
    "sqlite:////tmp/a?b.db": "question mark",
    "sqlite:////tmp/x.db?timeout=soon": "correct its option: .*'soon'",
    "sqlite:////tmp/x.db?check_same_thread=maybe": "correct its option: .*'maybe'",
    "sqlite:///~/x.db": "write sqlite:////home/bob/x.db",
    "sqlite:////tmp/\udcff.db": "no UTF-8",
    "sqlite:////tmp/a\nb.db": "control characters",
    "SQLITE:////tmp/x.db": "'sqlite' in small letters",
    "HTTP://host": "'http' in small letters",
    "ftp://host/x": "unknown kind of MLflow store 'ftp'",
    "htp://host": "did you mean http",
    "postgres://bob:pw@host/db": "did you mean postgresql",
    "postgresql+nope://host/db": "no driver 'postgresql\\+nope'",
    "mysql+pymysql://bob:pw@host/db": "pip install 'pymysql'",
    "mysql:/x": "write mysql://USER:PASSWORD@HOST",
    "http+x://host": "unknown kind",
    "databricks-uc:x": "unknown kind",
    "databricks:x": "write databricks",
    "uc:http://x": "unknown kind",
    "http:/host": "no host",
    "http://": "no host",
    "https://:5000": "no host",
    "http://host:port": "no host",
    "http://host:99999": "no host",
    "http://a host/": "no host",
    "http://*": "no host",
    "http://.host": "no host",
    "localhost:5000": "write http://localhost:5000",
    " http://host": "white space",
    "  ": "white space",
    "": "plain folders",
    "file:///tmp/x": "plain folders",
    "~/mlruns": "use sqlite:////home/bob/mlruns/mlflow.db",
}


@pytest.mark.parametrize(("uri", "reason"), REFUSED.items(), ids=[repr(uri) for uri in REFUSED])
def test_address_that_cannot_be_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, uri: str, reason: str
) -> None:
    monkeypatch.setenv("HOME", "/home/bob")
    with pytest.raises(ConfigurationError, match=reason) as error:
        check_uri(StoreUri(uri))
    text = str(error.value)
    assert "\n" not in text
    assert "MLFLOW_TRACKING_URI" in text
    assert "bob:pw" not in text


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:////tmp/x.db?timeout=30",
        "sqlite+pysqlite:////tmp/x.db",
        "sqlite:////tmp/100%/a b#c;ü.db",
        "http://bob:pw@host:5000/path",
        "https://[::1]:5000",
        "http://[fe80::1%25eth0]:5000",
        "http://db_1.intern:5000",
        "http://hütte.example",
        "sqlite:////tmp/~/x.db",
        "databricks",
        "databricks://profile",
    ],
)
def test_address_that_mlflow_takes_is_taken(uri: str) -> None:
    check_uri(StoreUri(uri))


def test_kinds_of_stores_are_those_that_mlflow_has(store: Store) -> None:
    from mlflow.store.db.db_types import DATABASE_ENGINES  # noqa: PLC0415
    from mlflow.tracking._tracking_service.utils import (  # noqa: PLC0415
        _tracking_store_registry as registry,
    )

    refused = {"", "file", "databricks-uc", "uc"}
    assert set(registry._registry) - refused == set(KNOWN)
    assert set(DATABASE_ENGINES) == set(DATABASES)


@pytest.mark.parametrize("path", ["/a/b.db", "b.db", "/a b/100%.db", "/ü#.db"])
def test_file_is_the_one_that_sqlalchemy_opens(path: str) -> None:
    from sqlalchemy.engine import make_url  # noqa: PLC0415

    for uri in (f"sqlite:///{path}", f"sqlite:///{path}?timeout=3"):
        assert sqlite_path(StoreUri(uri)) == Path(path) == Path(str(make_url(uri).database))


def test_kind_of_store_that_another_package_brings_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from importlib.metadata import EntryPoint  # noqa: PLC0415

    entry = EntryPoint("arn", "theirs:Store", "mlflow.tracking_store")
    monkeypatch.setattr("greenbench.tracking.uris.entry_points", lambda group: [entry])
    check_uri(StoreUri("arn:aws:sagemaker:eu:1:mlflow-tracking-server/x"))


def test_nothing_is_begun_for_an_address_that_cannot_be(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {"GREENBENCH_RUNS_DIR": str(tmp_path / "runs"), "MLFLOW_TRACKING_URI": "ftp://host"}
    )
    cases = [Case(repeats=1)]
    with (
        pytest.raises(ConfigurationError, match="ftp"),
        Session(settings, "ci", cases, Progress([])),
    ):
        pass
    for opened in (Store, Store.prepare, Store.existing):
        with pytest.raises(ConfigurationError, match="ftp"):
            opened(settings.tracking_uri)
    with pytest.raises(ConfigurationError, match="ftp"):
        deliver_all(settings)
    assert not any(tmp_path.iterdir())


def test_relative_file_stays_where_it_is_when_a_test_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_environment({"MLFLOW_TRACKING_URI": "sqlite:///a/b.db?timeout=3"})
    monkeypatch.chdir("/")
    assert str(settings.tracking_uri) == f"sqlite:///{tmp_path}/a/b.db?timeout=3"


@pytest.mark.parametrize(
    "uri",
    ["sqlite:////a", "sqlite:///:memory:", "sqlite:///", "http://a", "sqlite:///file:a", "a", None],
)
def test_other_addresses_are_left_as_they_are(uri: str | None) -> None:
    assert anchored(uri) == uri
