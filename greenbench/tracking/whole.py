"""Whole results in the store: a file of each repeat's run, from which all of it comes back.

Metrics, tags and trials' runs have what people look at. Accounts by phase and component, with their
provenance, and what all that rests on are in the file alone. A tag of the run, which is made with
it, has the file's digest: what is damaged, or was put in its place, is told by that.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenbench.errors import TrackingError
from greenbench.machine.secrets import StoreUri
from greenbench.results import CaseResult
from greenbench.results.expected import missed
from greenbench.results.journal import DAMAGE, SCHEMA
from greenbench.results.table import METRICS, to_row
from greenbench.tracking.asking import translated
from greenbench.tracking.attempts import has_ended, is_late
from greenbench.tracking.bulk import search
from greenbench.tracking.limits import within
from greenbench.tracking.uris import sqlite_path

if TYPE_CHECKING:
    from mlflow import MlflowClient

FILE = "result.json"
TAG = "result_sha256"
"""The tag with the SHA-256 of the file."""


class NotWholeError(TrackingError):
    """A result of which the store does not have all, as it was; its message goes after "their"."""


@dataclass(frozen=True)
class Stored:
    """A repeat in the store, as far as its run tells without the file.

    Attributes
    ----------
    run_id : str
        Its run.
    key : str
        The session that logged it, and the stem of the repeat's journal there.
    marks : tuple of str
        That the store knows of it; some are told after the result.
    is_drift_known : bool
        Whether it says by how much idle power changed during the session.
    digest : str or None
        Of the file; None where an older greenbench logged it, which kept none.
    """

    run_id: str
    key: str
    marks: tuple[str, ...]
    is_drift_known: bool
    digest: str | None
    _client: "MlflowClient" = field(repr=False, compare=False)
    _uri: StoreUri = field(repr=False, compare=False)

    @classmethod
    def of(cls, run: Any, client: "MlflowClient", uri: StoreUri) -> "Stored":
        """Return what a run of MLflow says."""
        tags = run.data.tags
        return cls(
            _client=client,
            _uri=uri,
            run_id=str(run.info.run_id),
            key=tags.get("key", ""),
            marks=tuple(tags.get("marks", "").split()),
            is_drift_known=METRICS["idle_drift"] in run.data.metrics,
            digest=tags.get(TAG),
        )

    @property
    def session(self) -> str:
        """The session that logged it."""
        return self.key.partition("/")[0]

    def read(self) -> tuple[CaseResult, dict[str, Any]]:
        """Return the result, and what it rests on.

        Raises
        ------
        NotWholeError
            If there is none, or it is not what greenbench wrote.
        TrackingError
            If the store is too slow, or away.
        """
        if self.digest is None:
            raise NotWholeError("results in the store are an older greenbench's: figures alone")
        content = self._content()
        if hashlib.sha256(content).hexdigest() != self.digest:
            raise NotWholeError(f"results in the store have another {FILE} than was put there")
        try:
            return _parsed(content)
        except DAMAGE:
            raise NotWholeError(
                f"results in the store have a {FILE} that is none of ours"
            ) from None

    def _content(self) -> bytes:
        with tempfile.TemporaryDirectory(prefix="greenbench-") as folder, translated(self._uri):
            try:
                with translated(self._uri):
                    path = self._client.download_artifacts(self.run_id, FILE, folder)
                    return Path(path).read_bytes()
            except TrackingError as error:
                if is_late(error):
                    raise
                self._client.search_experiments(max_results=1)
                raise NotWholeError(
                    f"results in the store have no {FILE} that can be had"
                ) from None


class Keeper:
    """Keeps whole results as files of their runs, if the store takes files.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    uri : StoreUri
        Of the store.
    say : callable
        Told once if it takes none: figures are kept all the same.
    timeout_s : float
        Most seconds of keeping a file, if the store is reached over a network.
    """

    def __init__(
        self,
        client: "MlflowClient",
        uri: StoreUri,
        say: Callable[[str], None],
        timeout_s: float,
    ) -> None:
        self._client, self._uri, self._say, self._timeout_s = client, uri, say, timeout_s
        self._has_said = self._is_silent = False

    def whole(self, result: CaseResult, basis: Mapping[str, Any]) -> "Whole":
        """Return a result that is yet to be kept, and what it rests on."""
        return Whole(self, result, basis)

    def keep(self, run: Any, text: str) -> None:
        """Keep the file of a run.

        Raises
        ------
        Exception
            If the store itself is away.
        """
        if self._is_silent:
            return
        try:
            with translated(self._uri):
                if sqlite_path(self._uri) is not None:
                    put_file(run, self._uri, text)
                else:
                    within(self._timeout_s, self._uri, lambda: put_file(run, self._uri, text))
        except TrackingError as error:
            # Where files are is another place than where figures are, and may be closed to us.
            self._client.search_experiments(max_results=1)
            # Each result would wait as long.
            self._is_silent = is_late(error)
            if not self._has_said:
                self._has_said = True
                self._say(f"`--reuse` will not find all results in the store: {error}")


@dataclass(frozen=True)
class Whole:
    """All of a result, and what it rests on, as a file: a JSON object in ASCII."""

    keeper: Keeper
    result: CaseResult
    basis: Mapping[str, Any]

    @property
    def text(self) -> str:
        """What the file holds."""
        return _text_of(self.result, self.basis)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the file: 64 hex digits."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def keep(self, run: Any) -> None:
        """Keep it with its run."""
        self.keeper.keep(run, self.text)


def put_file(run: Any, uri: StoreUri, text: str) -> None:
    """Put the file of a run where its other files are.

    MLflow's client would ask for the run first, though it has just made it.

    Parameters
    ----------
    run : mlflow.entities.Run
        As the store returned it.
    uri : StoreUri
        Of the store.
    text : str
        In ASCII.
    """
    from mlflow.store.artifact import artifact_repository_registry  # noqa: PLC0415
    from mlflow.utils.uri import add_databricks_profile_info_to_artifact_uri  # noqa: PLC0415

    store = uri.reveal()
    place = run.info.artifact_uri
    place = add_databricks_profile_info_to_artifact_uri(place, store)  # type: ignore[no-untyped-call]
    repository: Any = artifact_repository_registry.get_artifact_repository(
        place, tracking_uri=store
    )
    with tempfile.TemporaryDirectory(prefix="greenbench-") as folder:
        path = Path(folder, FILE)
        path.write_text(text, encoding="ascii")
        repository.log_artifact(str(path))


def stored_under(
    client: "MlflowClient", uri: StoreUri, experiments: Sequence[str], conditions: str
) -> list[Stored]:
    """Return the finished repeats that were run under some conditions, the newest first.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    uri : StoreUri
        Of the store.
    experiments : sequence of str
        Ids.
    conditions : str
        Their digest.
    """
    found = list(search(client, experiments, f"tags.conditions = '{conditions}'"))
    kept = [run for run in found if run.data.tags.get("kind") == "case" and has_ended(run)]
    return [Stored.of(run, client, uri) for run in reversed(kept)]


def _text_of(result: CaseResult, basis: Mapping[str, Any]) -> str:
    return json.dumps({"schema": SCHEMA, "basis": dict(basis), "result": result.to_dict()})


def _parsed(content: bytes) -> tuple[CaseResult, dict[str, Any]]:
    values = json.loads(content, parse_float=_finite, parse_constant=_finite)
    result, basis = CaseResult.from_dict(values["result"]), values["basis"]
    # Of another greenbench no condition is equal: more, or less, than we would write is no result.
    if json.loads(_text_of(result, basis)) != values:
        raise ValueError("not what we would write")
    row = to_row(result)
    if wrong := [name for name, value in row.items() if missed(name, value, result.score)]:
        raise ValueError(wrong[0])
    return result, basis


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value
