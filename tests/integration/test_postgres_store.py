"""PostgreSQL as a store, without a server: several writers, names of any kind, other forms."""

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest

from greenbench.cases import Case
from greenbench.errors import ConfigurationError, TrackingError
from greenbench.tracking import Store
from tests.builders import make_result, make_trial
from tests.team import Postgres, postgres

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PASSWORD = "hyena-walrus"
NUMBERS = count()


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    with postgres(PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def store(database: Postgres) -> Store:
    return Store(database.url(driver="+psycopg2"))


@pytest.fixture
def empty(database: Postgres) -> str:
    """The name of a database that holds nothing."""
    name = f"empty{next(NUMBERS)}"
    database.make_database(name)
    return name


def write(uri: str, key: str, begin: "multiprocessing.synchronize.Barrier") -> None:
    result = make_result(suite="together")
    begin.wait()
    Store(uri, timeout_s=300).log_result(result, key)


def test_who_comes_together_to_an_empty_database_makes_it_once(
    database: Postgres, empty: str
) -> None:
    uri = database.url(empty, driver="+psycopg2")
    processes = multiprocessing.get_context("spawn")
    begin = processes.Barrier(3)
    writers = [processes.Process(target=write, args=(uri, f"s/{n}", begin)) for n in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(Store(uri).read_rows("together")) == 3


@pytest.mark.parametrize("driver", ["psycopg2", "psycopg"])
def test_every_driver_is_taken_by_its_name(database: Postgres, store: Store, driver: str) -> None:
    pytest.importorskip(driver)
    store.log_result(make_result(suite=driver), "s/a")
    (row,) = Store(database.url(driver=f"+{driver}")).read_rows(driver)
    assert row["suite"] == driver


NASTY = ["a\0b", "\ud800", "ü" * 300, "'\";--%s", "x" * 9000, "🦔" * 3000, "{%(name)s}"]


@pytest.mark.parametrize("text", NASTY, ids=map(ascii, (text[:12] for text in NASTY)))
def test_texts_of_any_kind_are_taken(store: Store, suite: str, text: str) -> None:
    trial = replace(make_trial(accuracy=None, error=text), hyperparameters={"name": text})
    # What has no UTF-8 cannot be part of a case.
    options = {} if text == "\ud800" else {"name": text[:400]}
    case = Case(architecture="dense", architecture_options=options)
    result = make_result(suite=suite, trials=[trial, make_trial(1)], case=case)
    store.log_result(result, "s/a")
    (row,) = store.read_rows(suite)
    assert len(store.read_trials([row])) == 2


@pytest.mark.parametrize("value", [5e-324, 1.7976931348623157e308, -0.0])
def test_numbers_of_any_size_are_taken(store: Store, suite: str, value: float) -> None:
    store.log_result(replace(make_result(suite=suite), metrics={"odd": value}), "s/a")
    assert len(store.read_rows(suite)) == 1


def test_connections_that_break_between_two_results_are_made_again(
    database: Postgres, store: Store, suite: str
) -> None:
    store.log_result(make_result(suite=suite), "s/a")
    database.restart()
    store.log_result(make_result(suite=suite), "s/b")
    assert len(store.read_rows(suite)) == 2


@pytest.mark.parametrize(
    ("revision", "said"),
    [("451aebb31d03", "made by an older MLflow.*mlflow db upgrade"), ("feed", "by a newer MLflow")],
)
def test_a_database_of_another_mlflow_is_refused_and_left_as_it_is(
    database: Postgres, empty: str, revision: str, said: str
) -> None:
    uri = database.url(empty, driver="+psycopg2")
    database.ask("CREATE TABLE experiments (name text)", database=empty)
    database.ask("CREATE TABLE alembic_version (version_num text)", database=empty)
    database.ask(f"INSERT INTO alembic_version VALUES ('{revision}')", database=empty)
    with pytest.raises(TrackingError, match=said) as refused:
        Store(uri)
    assert PASSWORD not in str(refused.value)
    assert tables(database, empty) == {"alembic_version", "experiments"}


def test_a_database_in_which_another_program_counts_its_migrations_is_left_as_it_is(
    database: Postgres, empty: str
) -> None:
    database.ask("CREATE TABLE alembic_version (version_num text)", database=empty)
    database.ask("INSERT INTO alembic_version VALUES ('feed')", database=empty)
    with pytest.raises(TrackingError, match="is a database of something else"):
        Store(database.url(empty, driver="+psycopg2"))
    assert tables(database, empty) == {"alembic_version"}


@pytest.mark.parametrize(
    ("user", "name", "said"),
    [
        ("mlflow:walrus-hyena", "mlflow", "password authentication failed"),
        ("mlflow:hyena-walrus", "nowhere", 'database "nowhere" does not exist'),
    ],
)
def test_who_is_not_let_in_is_told_so_without_a_password(
    database: Postgres, user: str, name: str, said: str
) -> None:
    with pytest.raises((TrackingError, ConfigurationError), match=said) as refused:
        Store(f"postgresql+psycopg2://{user}@127.0.0.1:{database.port}/{name}")
    assert "walrus" not in str(refused.value)
    assert "\n" not in str(refused.value)


def tables(database: Postgres, name: str) -> set[str]:
    asked = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return set(database.ask(asked, database=name).split())
