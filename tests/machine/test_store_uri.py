import copy
import dataclasses
import html
import json
import logging
import pickle
import pprint
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from greenbench.machine.places import described
from greenbench.machine.secrets import StoreUri, redact
from greenbench.settings import Settings

SECRET = "hunter2-Geheim"
NAMES = (
    "password passwd pwd pass db_password sslpassword token access_token api-key api_key apikey "
    "access_key AccessKey secret client_secret sig X-Amz-Signature credential p%61ssword"
)
ODBC = "DRIVER={ODBC Driver 18};SERVER=db,1433;UID=sa;PWD={hunter2-Geheim};Encrypt=yes"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://bob:hunter2-Geheim@host:5000/x", "http://bob:***@host:5000/x"),
        ("http://bob:hunter2/Geheim@host:5000/x", "http://bob:***@host:5000/x"),
        ("http://bob:hunter2 Geheim@host", "http://bob:***@host"),
        ("http://bob:hunter2@Geheim@host", "http://bob:***@host"),
        ("http://bob:hunter2?a=Geheim@host", "http://bob:***@host"),
        ("http://bob:hunter2#Geheim@host", "http://bob:***@host"),
        ("http://bob:hunter2:Geheim@host", "http://bob:***@host"),
        ("http://bob:hunter2%2FGeheim@host", "http://bob:***@host"),
        ("http://bob%3Ahunter2@host", "http://bob:***@host"),
        ("http://bob:443/Geheim@host", "http://bob:***@host"),
        ("http://:hunter2@host", "http://:***@host"),
        ("https://ghp_hunter2@host/x", "https://***@host/x"),
        ("https://ghp_hunter2:@host/x", "https://***@host/x"),
        ("https://ghp_hunter2:x-oauth-basic@host", "https://***@host"),
        ("HTTP://bob:hunter2@[::1]:5000/x", "HTTP://bob:***@[::1]:5000/x"),
        ("postgresql+psycopg2://bob:hunter2@db:5432/m", "postgresql+psycopg2://bob:***@db:5432/m"),
        ("postgresql://me@server:hunter2@db/m", "postgresql://me@server:***@db/m"),
        ("postgresql://bob:hunter2@db:port/m", "postgresql://bob:***@db:port/m"),
        ("postgresql://bob:p@db/m?sslmode=require", "postgresql://bob:***@db/m?sslmode=require"),
        (
            "postgresql://db/m?user=me@srv&password=p@ss w&sslmode=a",
            "postgresql://db/m?user=me@srv&password=***&sslmode=a",
        ),
        ("sqlite+pysqlcipher://:hunter2@/m.db", "sqlite+pysqlcipher://:***@/m.db"),
        ("sqlite:///m.db?password=hunter2", "sqlite:///m.db?password=***"),
        ("http://host?proxy=http%3A%2F%2Fu%3Ap%40q", "http://host?proxy=http%3A%2F%2Fu%3A***%40q"),
        ("http:/bob:hunter2@host", "http:***@host"),
        ("bob:hunter2@host/m", "bob:***@host/m"),
        ("//bob:hunter2@host/m", "//bob:***@host/m"),
        ("host=db user=bob password=hunter2 dbname=m", "host=db user=bob password=*** dbname=m"),
        (
            f"mssql+pyodbc:///?odbc_connect={quote_plus(ODBC)}",
            "mssql+pyodbc:///?odbc_connect="
            + quote_plus(ODBC.replace("{hunter2-Geheim}", "***"), safe="*"),
        ),
        (
            f"mssql+pyodbc:///?odbc_connect={quote_plus('PWD=hunter2;Geheim;UID=sa;PWD=a;Geheim')}",
            f"mssql+pyodbc:///?odbc_connect={quote_plus('PWD=***;UID=sa;PWD=***', safe='*')}",
        ),
    ],
)
def test_address_is_shown_without_what_is_secret(uri: str, shown: str) -> None:
    assert str(StoreUri(uri)) == shown
    assert StoreUri(uri).redact(f"{uri!r} failed") == f"{shown!r} failed"
    assert str(StoreUri(shown)) == shown


@pytest.mark.parametrize(
    "name",
    NAMES.split(),
)
@pytest.mark.parametrize("scheme", ["http", "postgresql", "sqlite"])
def test_secrets_of_a_query_are_hidden_by_their_names(scheme: str, name: str) -> None:
    uri = StoreUri(f"{scheme}://host/m?application=x&{name}={SECRET}&timeout=3")

    assert str(uri) == f"{scheme}://host/m?application=x&{name}=***&timeout=3"
    assert redact(f"failed: {uri.reveal()} is gone") == f"failed: {uri} is gone"


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlruns/mlflow.db",
        "sqlite:////home/me@work/a:b@c/mlflow.db",
        "sqlite:///C:\\runs\\me@work\\mlflow.db",
        "sqlite:///mlruns/mlflow.db?timeout=5",
        "http://host:5000",
        "http://[::1]:5000/mlflow/",
        "https://host/mlflow?workspace=a#/experiments/1",
        "postgresql://bob@db:5432/mlflow?sslmode=require&keepalives=1",
        "mssql+pyodbc:///?odbc_connect=DRIVER={x};SERVER=db;Trusted_Connection=yes",
        "databricks://profile",
        "databricks",
        "mlruns",
        "/home/me@work/mlruns",
        "file:///home/a:b@work/mlruns",
    ],
)
def test_address_without_a_secret_is_shown_as_it_is(uri: str) -> None:
    assert str(StoreUri(uri)) == uri
    assert StoreUri(uri).redact(f"{uri} failed") == f"{uri} failed"


hostile = st.text(st.sampled_from("aZ09/@:?#&=% ;+'\"\\<>{}[]$*é"), min_size=1, max_size=12)
texts = st.one_of(hostile, st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
hosts = st.sampled_from(["host", "db.example.org:5432", "127.0.0.1:5000", "[::1]:5000"])
schemes = st.sampled_from(["http", "https", "postgresql", "mysql+pymysql", "mssql+pyodbc"])


@given(schemes, texts.filter(lambda text: ":" not in text), texts, hosts)
@example("http", "bob", "0/?a=1", "host")
@example("http", "bob", "x?user=y", "host")
def test_no_password_is_shown(scheme: str, user: str, password: str, host: str) -> None:
    user = quote(user)
    shown = str(StoreUri(f"{scheme}://{user}:{password}@{host}/mlflow"))

    assume(password not in (" ", "***") and password not in f"{scheme}://{user}:***@{host}/mlflow")
    assert password not in shown
    assert shown.startswith(f"{scheme}://")
    assert shown.endswith(f"***@{host}/mlflow")


@given(schemes, texts, hosts)
def test_no_token_is_shown(scheme: str, token: str, host: str) -> None:
    assume(token not in f"http://***@{host}" and ":" not in token)
    assert token not in str(StoreUri(f"http://{token}@{host}"))
    assert str(StoreUri(f"{scheme}://host/m?token={quote(token)}")).endswith("?token=***")


paths = st.text(st.characters(codec="utf-8", exclude_characters="?"), max_size=30)


@given(st.one_of(hostile.map(lambda text: text.replace("?", "")), paths))
def test_paths_of_files_are_shown_as_they_are(path: str) -> None:
    assume("=" not in path)
    assert str(StoreUri(f"sqlite:///{path}")) == f"sqlite:///{path}"


def small_hex(text: str) -> str:
    return re.sub("%..", lambda found: found[0].lower(), quote(text, safe=""))


SPELLINGS = [str, quote, quote_plus, lambda text: quote(text, safe=""), html.escape, repr]
SPELLINGS += [json.dumps, small_hex]


@given(st.text(st.characters(codec="utf-8"), min_size=8, max_size=20), st.sampled_from(SPELLINGS))
def test_texts_of_others_lose_the_password_in_any_spelling(password: str, spelled: Any) -> None:
    assume(len(password.strip()) >= 8 and not password.isdigit())
    uri = StoreUri(f"postgresql://bob:{quote(password, safe='')}@db/mlflow")

    said = uri.redact(f"no such user: {spelled(password)}, at {spelled(uri.reveal())}")

    assert password not in said
    assert spelled(password).strip("'\"") not in said
    assert "db" in said


def test_basic_authorization_is_hidden() -> None:
    import base64  # noqa: PLC0415

    header = base64.b64encode(f"bob:{SECRET}".encode()).decode()
    assert header not in StoreUri(f"http://bob:{SECRET}@host").redact(
        f"you sent {header}, which is"
    )
    assert header not in redact(f"headers: {{'Authorization': 'Basic {header}'}}")


def test_parts_of_a_password_that_a_library_takes_for_a_host_are_hidden() -> None:
    uri = StoreUri("http://bob:geheim/enis@host:5000")
    assert "geheim" not in uri.redact("invalid port: 'geheim' of http://bob:geheim")


def test_password_that_is_the_name_of_the_database_leaves_texts_readable() -> None:
    uri = StoreUri("postgresql://mlflow:mlflow@mlflow/mlflow")
    assert str(uri) == "postgresql://mlflow:***@mlflow/mlflow"
    assert uri.redact("mlflow cannot connect") == "mlflow cannot connect"


@pytest.mark.parametrize(
    "name", ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "HF_TOKEN", "MYSQL_PWD"]
)
def test_secrets_of_the_environment_are_hidden_from_errors(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, SECRET)
    assert described(ValueError(f"401: {SECRET} is no good")) == "ValueError: 401: *** is no good"


@pytest.mark.parametrize("before", ["", " http://", "//", "http:/"])
def test_password_of_a_misspelled_address_is_hidden_from_errors(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{before}bob:{SECRET}@host/m")
    assert redact(f"{SECRET} is no host") == "*** is no host"


def test_proxy_of_the_environment_is_hidden_from_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:{SECRET}@proxy:3128")
    assert redact(f"proxy http://me:{SECRET}@proxy:3128 refused {SECRET}") == (
        "proxy http://me:***@proxy:3128 refused ***"
    )


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///mlruns/mlflow.db failed; write to someone@example.org",
        "see https://example.org/package@1.2 and https://host:8080/a@b",
        "pad_token=0 is no index; sort(key=3); max_tokens: 5",
        "a" * 100_000,
    ],
    ids=["mail", "versions", "words", "long"],
)
def test_text_without_secrets_is_left_alone(text: str) -> None:
    assert redact(text) == text


def settings() -> Settings:
    return Settings(Path("runs"), StoreUri(f"http://bob:{SECRET}@host"), Path("data"), Path("lock"))


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        pprint.pformat,
        "{0} {0!r} {0!s:>9}".format,
        lambda held: "%s %r" % (held, held),  # noqa: UP031
        lambda held: f"{held.tracking_uri:>60}",
        lambda held: repr(vars(held)),
        lambda held: repr(vars(held.tracking_uri)),
        lambda held: repr(dataclasses.asdict(held)),
        lambda held: repr(dataclasses.replace(held, threads=1)),
        lambda held: repr(copy.deepcopy(held)),
        lambda held: json.dumps(dataclasses.asdict(held), default=str),
        lambda held: logging.makeLogRecord({"msg": "%s", "args": (held,)}).getMessage(),
    ],
)
def test_settings_show_no_password(show: Any) -> None:
    said = show(settings())
    assert "bob:***@host" in said or "StoreUri" in said or "lambda" in said
    assert SECRET not in said


def test_address_of_a_store_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings())


def test_address_is_revealed_to_who_asks() -> None:
    assert settings().tracking_uri.reveal() == f"http://bob:{SECRET}@host"
    assert settings() == settings()
    assert hash(settings().tracking_uri) == hash(StoreUri(settings().tracking_uri))


def test_text_as_an_address_becomes_one() -> None:
    assert dataclasses.replace(settings(), tracking_uri="http://x").tracking_uri == StoreUri(  # type: ignore[arg-type]
        "http://x"
    )
