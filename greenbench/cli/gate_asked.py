"""What `greenbench gate` is asked to judge, and to compare with."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenbench.cases import Case
from greenbench.cli.environment import read_settings
from greenbench.cli.tables import Wanted, read_tables
from greenbench.errors import ConfigurationError
from greenbench.selection import DEFAULT_SUITE, Selection, cases_by_suite

if TYPE_CHECKING:
    from greenbench.running.merge_base import Base

Row = dict[str, Any]

INTERLEAVED, AUTO = "interleaved", "auto"


@dataclass(frozen=True)
class Asked:
    """What the options of `greenbench gate` say, by their names."""

    files: tuple[Path, ...]
    budget: Path
    baseline: str | None
    suite: str | None
    pattern: str | None
    max_pairs: int | None
    max_minutes: float | None
    session: str | None
    include_disturbed: bool
    until_decided: bool = False
    max_repeats: int | None = None

    def check(self, *, is_judging: bool) -> None:
        """Raise `ConfigurationError` if options about repeats contradict others.

        Parameters
        ----------
        is_judging : bool
            Whether budgets are judged; not if a baseline is written, or the past is looked at.
        """
        if self.max_minutes is not None:
            from greenbench.compare.plan import Limits  # noqa: PLC0415

            # Whoever waits for nan minutes to be over waits for ever.
            Limits(max_minutes=self.max_minutes)
        if not self.until_decided:
            if self.max_repeats:
                raise ConfigurationError(
                    "--max-repeats is for --until-decided, which measures; say that, too"
                )
            return
        if not is_judging:
            raise ConfigurationError(
                "--until-decided measures and judges; leave --update and --history out"
            )
        if self.files or self.session is not None:
            raise ConfigurationError(
                "--until-decided measures by itself; leave files and --session out, and name the "
                "suite by --suite"
            )
        if (self.baseline or "").partition(":")[0] == INTERLEAVED:
            raise ConfigurationError(
                f"--until-decided compares with stored results, and --baseline is "
                f"{self.baseline!r}, which goes on until it is decided anyway; choose one"
            )
        if self.max_pairs:
            raise ConfigurationError(
                "--max-pairs is for --baseline interleaved:REVISION; say --max-repeats"
            )

    @property
    def revision(self) -> str | None:
        """What is measured in turn with the working folder."""
        kind, _, revision = (self.baseline or "").partition(":")
        if kind != INTERLEAVED:
            return None
        if not revision:
            raise ConfigurationError(
                "--baseline interleaved needs the revision to compare with, as in "
                "interleaved:origin/main, or interleaved:auto"
            )
        if revision == AUTO:
            return self._base.revision
        if self.files or self.session is not None:
            raise ConfigurationError(
                "--baseline interleaved measures by itself; leave files and --session out"
            )
        return revision

    @property
    def stored(self) -> str | None:
        """What stored results are compared with; None for the default."""
        return None if self.is_auto else self.baseline

    def cases(self, data_dir: Path) -> list[Case]:
        """Return what is measured in turn: of files, the cases that they have results of.

        Parameters
        ----------
        data_dir : Path
            Where data sets are.
        """
        if not self.files:
            suite = self.suite or DEFAULT_SUITE
            return Selection(suite=suite, pattern=self.pattern, data_dir=data_dir).cases()
        rows, _ = self.rows()
        ran = {row["case_id"] for row in rows}
        # One that has gone, or is of marks, cannot be listed.
        suites = cases_by_suite((str(row["suite"]) for row in rows), data_dir)
        cases = [
            case for suite in suites for case in Selection(suite=suite, data_dir=data_dir).cases()
        ]
        return [case for case in cases if case.id in ran]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen to compare with, if nobody named it."""
        if not self.is_auto:
            return ()
        base = self._base
        if base.revision:
            return (f"{self.baseline} is {base.words}",)
        return (f"{self.baseline} has none, so stored baselines are used: {base.words}",)

    @property
    def is_auto(self) -> bool:
        """Whether the revision is to be found, and stored results are judged if there is none."""
        return self.baseline == f"{INTERLEAVED}:{AUTO}"

    @cached_property
    def _base(self) -> "Base":
        from greenbench.running.merge_base import Base, base_of  # noqa: PLC0415

        found = base_of(Path.cwd())
        if found.revision and self.files:
            data_dir = read_settings().data_dir
            if not self.cases(data_dir):
                # Options have made others of them, such as of fewer epochs.
                return Base(None, f"no case of {self.files[0]} is one of its suite as it stands")
        return found

    def rows(self) -> tuple[list[Row], tuple[str, ...]]:
        """Return the results that are judged, of files or the suite's latest, and notes on them."""
        from greenbench.compare.rows import measured_anew  # noqa: PLC0415

        if self.files and self.suite:
            raise ConfigurationError("--suite selects from the store; leave it or the files out")
        is_named = self.files or self.session is not None
        suite = self.suite if is_named else self.suite or DEFAULT_SUITE
        wanted = Wanted(self.files, suite, False, (), self.include_disturbed, self.session)
        tables = read_tables(wanted)
        if tables.is_foreign:
            raise ConfigurationError(
                f"{self.files[0]} is a CSV; the gate reads files of `pytest --benchmark-json`"
            )
        rows = [row for row in tables.rows if self._is_wanted(row["case_id"])]
        if not rows:
            raise ConfigurationError(f"no result in {wanted.source} is of a case {self.pattern!r}")
        new, notes = measured_anew(rows)
        if not new:
            raise ConfigurationError(
                f"all results in {wanted.source} were taken over from earlier sessions, and the "
                "gate judges new ones; run the cases without `--reuse`"
            )
        return new, (*tables.notes, *notes)

    def _is_wanted(self, case_id: str) -> bool:
        return self.pattern is None or fnmatchcase(case_id, self.pattern)
