"""The store: results into MLflow, and rows out of it."""

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenbench.errors import TrackingError
from greenbench.machine.secrets import StoreUri
from greenbench.results import CaseResult
from greenbench.results.table import Row
from greenbench.settings import STORE_TIMEOUT_S
from greenbench.tracking.asking import client_class, translated
from greenbench.tracking.bulk import read_cases, read_trials
from greenbench.tracking.drift import log_drift
from greenbench.tracking.experiments import open_experiment
from greenbench.tracking.limits import Limited, within
from greenbench.tracking.local import Say, check_folder, check_readable, is_fresh, make_ready
from greenbench.tracking.logs import Steps, log_steps
from greenbench.tracking.measurements import Kept, Record, log_kept, make_run
from greenbench.tracking.models import log_model
from greenbench.tracking.reports import log_report
from greenbench.tracking.rows import environments
from greenbench.tracking.schema import is_whole, make_alone
from greenbench.tracking.sqlite import sync, tune
from greenbench.tracking.stepwise import Stepwise
from greenbench.tracking.uris import check_uri, is_database, sqlite_path
from greenbench.tracking.view import charts_path, seed, ui_address
from greenbench.tracking.whole import Keeper, Stored, stored_under
from greenbench.tracking.winners import with_winners

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT_PREFIX = "greenbench/"
MAKING = 10
"""How many times as long as for an answer a database is waited for that makes its tables."""
_First = Mapping[str, int] | None
Basis = Mapping[str, Any]


class Store:
    """An MLflow tracking store, whose password neither it nor its errors show.

    Parameters
    ----------
    uri : StoreUri or str
        MLflow tracking URI: ``sqlite:///…``, another database, or ``http(s)://…``.
    timeout_s : float
        Most seconds that one answer is waited for.

    say : callable, optional
        Told what a user must know of a file that is changed: that it is migrated, or put aside.
    must_exist : bool
        Whether there must be something to read; then nothing is made, and nothing locked.

    Raises
    ------
    ConfigurationError
        If the URI is none that MLflow takes, such as a plain folder.
    TrackingError
        If the store cannot be reached.
    """

    def __init__(
        self,
        uri: StoreUri | str,
        say: Say | None = None,
        *,
        must_exist: bool = False,
        timeout_s: float = STORE_TIMEOUT_S,
    ) -> None:
        self.uri = uri = StoreUri(uri)
        check_uri(uri)
        # Answers of an MLflow server may get lost, or be somebody else's; databases don't do that,
        # and what Databricks was told it may find a little later.
        self._is_doubted = uri.is_server
        self._database = database = sqlite_path(uri)
        artifacts = database.absolute().parent / "artifacts" if database else None
        self._artifacts = artifacts.as_uri() if artifacts else None
        make_client = client_class()
        with translated(uri):
            if database is not None:
                if not must_exist or not check_readable(database):
                    make_ready(database, str(self._artifacts), say or _log_line)
                tune(database.absolute())
            self._client: MlflowClient = self._opened(make_client, timeout_s)
            self._client.search_experiments(max_results=1)
        self._keeper = Keeper(self._client, uri, say or _log_line, timeout_s)
        self._experiments: dict[str, str] = {}
        self._described: set[tuple[str, str]] = set()
        self._records: dict[str, Record] = {}

    def _opened(self, make_client: "type[MlflowClient]", timeout_s: float) -> Any:
        uri = self.uri
        if self._database is not None:
            # SQLite has limits of its own, and making or migrating it may take long.
            return make_client(uri.reveal())
        # MLflow would try again for minutes before it says that there is no database.
        if is_database(uri) and not within(timeout_s, uri, lambda: is_whole(uri)):
            within(timeout_s * MAKING, uri, lambda: make_alone(uri, make_client))
        client = within(timeout_s, uri, lambda: make_client(uri.reveal()))
        return Limited(client, uri, timeout_s)

    @classmethod
    def prepare(
        cls, uri: StoreUri | str, say: Say | None = None, *, timeout_s: float = STORE_TIMEOUT_S
    ) -> "Store | None":
        """Open a store, or find out that it can be made, and leave that for later.

        To make one takes MLflow seconds, which a first run need not wait for.

        Returns
        -------
        Store or None
            None if it is yet to be made: by whoever opens it.

        Raises
        ------
        ConfigurationError, TrackingError
            As of `Store`.
        """
        uri = StoreUri(uri)
        check_uri(uri)
        database = sqlite_path(uri)
        with translated(uri):
            if database is None or not is_fresh(database):
                return cls(uri, say, timeout_s=timeout_s)
            check_folder(database)
        client_class()
        return None

    @classmethod
    def existing(
        cls, uri: StoreUri | str, say: Say | None = None, *, timeout_s: float = STORE_TIMEOUT_S
    ) -> "Store":
        """Open a store that has something to read.

        Raises
        ------
        TrackingError
            If it is a local database that does not exist yet.
        """
        return cls(uri, say, must_exist=True, timeout_s=timeout_s)

    def answers(self) -> bool:
        """Return whether the store can be reached, after something has failed."""
        with suppress(TrackingError), translated(self.uri):
            self._client.search_experiments(max_results=1)
            return True
        return False

    def log_result(
        self, result: CaseResult, key: str, *, may_exist: bool = False, basis: Basis | None = None
    ) -> str:
        """Log one repeat of a case: a run, and a child run a trial.

        Parameters
        ----------
        result : CaseResult
            What to log.
        key : str
            Identifies the repeat, so that it is never logged twice.
        may_exist : bool
            Whether to look for the key first, and to finish what was cut off.
        basis : mapping, optional
            What the result rests on; see `greenbench.results.journal.Journal.start`.

        Returns
        -------
        str
            The run's id.

        Raises
        ------
        TrackingError
            If the store cannot be written.
        """
        steps = self.steps(result, key, may_exist=may_exist, basis=basis)
        while steps.take():
            pass
        return steps.run_id

    def steps(
        self, result: CaseResult, key: str, *, may_exist: bool = False, basis: Basis | None = None
    ) -> Stepwise:
        """Return what `log_result` does in steps, for whoever has no time for all at once.

        Parameters
        ----------
        result, key, may_exist, basis
            As of `log_result`.
        """

        def begin(may_exist: bool) -> Steps:
            whole = self._keeper.whole(result, basis or {})
            to = (self._client, self._experiment(result), whole, key)
            yield
            run_id = yield from log_steps(*to, may_exist=may_exist, is_doubted=self._is_doubted)
            if self._database is not None:
                sync(self._database)
            return run_id

        # Connections break. Whatever has come of it is found by the key.
        return Stepwise(begin, self.uri, may_exist=may_exist, goes_on=self._is_doubted)

    def log_model(self, run_id: str, folder: Path) -> None:
        """Upload the model of a repeat, if it has one, as the artifact ``model`` of its run.

        Parameters
        ----------
        run_id : str
            As `log_result` returned it.
        folder : Path
            In MLflow's own format; absent where no model was kept.
        """
        if folder.is_dir():
            with translated(self.uri):
                log_model(self._client, run_id, folder)

    def read_rows(self, suite: str | None = None, tag: tuple[str, str] | None = None) -> list[Row]:
        """Return all finished repeats, oldest first, with ``session`` and ``run_id``.

        Parameters
        ----------
        suite : str, optional
            Only this one.
        tag : (str, str), optional
            Only runs that have this tag, name and text.
        """
        with translated(self.uri):
            wanted = f"{EXPERIMENT_PREFIX}{suite}"
            ids = [i for name, i in self.experiments().items() if suite is None or name == wanted]
            return read_cases(self._client, ids, tag)

    def read_trials(self, rows: Sequence[Row]) -> list[Row]:
        """Return the trials of some repeats, a row each, by repeat and then by index.

        Parameters
        ----------
        rows : sequence of dict
            Repeats, in the order in which `read_rows` gives them.

        Returns
        -------
        list of dict
            The columns of `greenbench.results.table.to_trial_rows`, and ``session`` and ``run_id``
            of the repeat.
        """
        with translated(self.uri):
            wanted = {f"{EXPERIMENT_PREFIX}{row['suite']}" for row in rows}
            ids = [i for name, i in self.experiments().items() if name in wanted]
            return read_trials(self._client, ids, rows)

    def with_winners(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows with what their searches found, also of older versions, which is slow.

        Parameters
        ----------
        rows : sequence of dict
            Repeats, as `read_rows` gives them.
        """
        with translated(self.uri):
            prefix = len(EXPERIMENT_PREFIX)
            suites = {name[prefix:]: number for name, number in self.experiments().items()}
            return with_winners(self._client, suites, rows)

    def log_idle_drift(
        self, suite: str, session: str, drift: float, since_s: float = 0.0, first: _First = None
    ) -> None:
        """Log by how much idle power changed during a session, with each of its results.

        Parameters
        ----------
        suite, session : str
            Whose results.
        drift : float
            Share of the idle power before.
        since_s : float
            Results that started earlier, in seconds since 1970-01-01 UTC, are left alone.
        first : mapping of str to int, optional
            Earlier repeats are left alone, by the hash of their case.
        """
        with translated(self.uri):
            experiment = self.experiments().get(f"{EXPERIMENT_PREFIX}{suite}")
            experiments = [experiment] if experiment else []
            log_drift(self._client, experiments, session, drift, since_s=since_s, first=first or {})

    def stored(self, conditions: str) -> list[Stored]:
        """Return the finished repeats that were run under some conditions, the newest first.

        Parameters
        ----------
        conditions : str
            Their digest, of the case and the repeat, too.
        """
        with translated(self.uri):
            ids = list(self.experiments().values())
            return stored_under(self._client, self.uri, ids, conditions)

    def environments(self, hosts: Collection[str]) -> dict[str, dict[str, str]]:
        """Return what is known of some hosts: machine, threads and versions.

        Parameters
        ----------
        hosts : collection of str
            Fingerprints.
        """
        with translated(self.uri):
            return environments(self._client, self.experiments().values(), hosts)

    def log_report(self, folder: Path, files: Sequence[Path]) -> str:
        """Log a report as a run of its own, and return the address of its page in the MLflow UI.

        Parameters
        ----------
        folder : Path
            Where its files are.
        files : sequence of Path
            Relative to the folder, the page first.

        Raises
        ------
        TrackingError
            If the store cannot be written; the files stay where they are.
        """
        with translated(self.uri):
            path = log_report(self._client, self.uri, folder, files, self._artifacts)
            return ui_address(self.uri) + path

    def measurements(self, name: str) -> Record:
        """Return a new run for measurements that belong to no case.

        Parameters
        ----------
        name : str
            Of the run.
        """
        with translated(self.uri):
            return make_run(self._client, self.uri, self._artifacts, name)

    def log_kept(self, kept: Kept) -> None:
        """Log a measurement that could not be when it was made, unless it is there."""
        with translated(self.uri):
            log_kept(self._client, self.uri, self._artifacts, kept, self._records)

    def experiments(self) -> dict[str, str]:
        """Return greenbench's experiments, name to id."""
        with translated(self.uri):
            return {found.name: str(found.experiment_id) for found in self._find_experiments()}

    def seed_views(self) -> None:
        """Give experiments the views that they lack: those of older versions of greenbench."""
        with translated(self.uri):
            for experiment in self._find_experiments():
                seed(self._client, experiment.experiment_id, experiment.tags)

    def charts_url(self, suite: str) -> str | None:
        """Return the address of a suite's charts in the MLflow UI.

        Parameters
        ----------
        suite : str
            Whose charts.

        Returns
        -------
        str or None
            On a server, without credentials; of a database, where ``greenbench ui`` shows it.
            None if there are no charts, or the store cannot be reached.
        """
        with suppress(TrackingError):
            experiment = self.experiments().get(f"{EXPERIMENT_PREFIX}{suite}")
            if experiment and (path := charts_path(experiment)):
                return f"{ui_address(self.uri)}{path}"
        return None

    def _experiment(self, result: CaseResult) -> str:
        name = f"{EXPERIMENT_PREFIX}{result.suite}"
        if name not in self._experiments:
            number, tags = open_experiment(self._client, self.uri, name, self._artifacts)
            self._experiments[name] = number
            seed(self._client, number, tags)
        experiment = self._experiments[name]
        host = result.environment["host"]
        if (experiment, host) not in self._described:
            text = json.dumps(dict(result.environment))
            self._client.set_experiment_tag(experiment, f"environment.{host}", text)
            self._described.add((experiment, host))
        return experiment

    def _find_experiments(self) -> Iterable[Any]:
        return self._client.search_experiments(filter_string=f"name LIKE '{EXPERIMENT_PREFIX}%'")


def _log_line(line: str) -> None:
    logging.getLogger(__name__).warning("%s", line)
