"""Baselines as files that survive what happens to files, and out of a real store."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenbench.cases import Case
from greenbench.compare.comparable import SCORES
from greenbench.errors import ConfigurationError, GateError, NotComparableError
from greenbench.gate.baselines import (
    OF_CASE,
    SAMPLES,
    find_baseline,
    from_store,
    path_for,
    read_baseline,
    write_baseline,
)
from greenbench.results.readings import Provenance
from greenbench.results.table import to_row
from greenbench.tracking import Store
from tests.builders import STARTED_AT, make_result, make_row

Row = dict[str, Any]

KEPT = ("case_id", *OF_CASE, *SAMPLES)
SMALL = make_row("dense.s", changed={"repeat": 0})
CUT = 50


def rows_of(network: str = "dense.s", energies: tuple[float, ...] = (1.0, 1.1)) -> list[Row]:
    return [
        make_row(network, energy_wh=energy, changed={"repeat": repeat})
        for repeat, energy in enumerate(energies)
    ]


def kept(rows: Any) -> list[Row]:
    """Return what a baseline keeps of rows, by case and repeat."""
    found = [{name: row.get(name) for name in KEPT} for row in rows]
    return sorted(found, key=lambda row: (row["case_id"], row["repeat"]))


def refusal(path: Path) -> str:
    """Return the one line with which a file is refused."""
    with pytest.raises(ConfigurationError) as refused:
        read_baseline(path)
    message = str(refused.value)
    assert message.startswith(f"baseline {path} ")
    assert len(message.splitlines()) == 1
    return message


# Files

shares = st.none() | st.floats(0, 1)
figures = st.none() | st.floats(0, 1e100) | st.integers(0, 10**15)
texts = st.none() | st.text(st.characters(codec="utf-8"), max_size=8)


@st.composite
def results(draw: Any) -> list[Row]:
    rows = []
    for network in draw(st.sets(st.sampled_from(["dense.s", "dense.m", "simple_cnn.l"]))):
        shared = {name: draw(texts) for name in OF_CASE}
        shared["energy_provenance"] = draw(st.sampled_from(list(Provenance)))
        for repeat in range(draw(st.integers(1, 3))):
            figure = {name: draw(shares if name in SCORES else figures) for name in SAMPLES}
            own = {**figure, "repeat": repeat, "marks": draw(texts)}
            rows.append(make_row(network, changed={**shared, **own}))
    return rows


@given(results())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "ci.json"
    path.unlink(missing_ok=True)
    write_baseline(path, rows)
    assert kept(read_baseline(path).rows) == kept(rows)


def test_other_cases_stay_and_the_same_case_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "ci.json"
    write_baseline(path, [*rows_of("dense.s"), *rows_of("dense.m")])
    newer = rows_of("dense.m", (7.0,))
    assert write_baseline(path, newer) == [newer[0]["case_id"]]
    assert kept(read_baseline(path).rows) == kept([*rows_of("dense.s"), *newer])


def test_a_case_is_a_line_so_that_version_control_shows_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    write_baseline(path, [*rows_of("dense.s"), *rows_of("dense.m")])
    before = path.read_text().splitlines()
    write_baseline(path, rows_of("dense.m", (7.0,)))
    after = path.read_text().splitlines()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == 1
    assert "dense.m" in changed[0]
    write_baseline(path, rows_of("dense.m", (7.0,)))
    assert path.read_text().splitlines() == after


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_permissions_are_those_of_any_new_file_and_nothing_else_is_left(
    tmp_path: Path, umask: int, mode: int
) -> None:
    path = tmp_path / "ci.json"
    before = os.umask(umask)
    try:
        write_baseline(path, rows_of())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == mode
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "suite", ["../../elsewhere", "/tmp/elsewhere", "a/b", "..", "", "a\nb", "-x"]
)
def test_suite_that_results_name_leads_nowhere_else(suite: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^suite .* is no name for a file .*--baseline$"):
        path_for(suite)


def test_an_unknown_figure_stays_unknown(tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    write_baseline(path, [{**SMALL, "energy_wh": float("nan"), "cpu_s": float("inf")}])
    (row,) = read_baseline(path).rows
    assert (row["energy_wh"], row["cpu_s"]) == (None, None)


@pytest.mark.parametrize(
    "column", ["host", "meter", "energy_provenance", "energy_scope", "case_hash"]
)
def test_results_that_differ_are_no_baseline(tmp_path: Path, column: str) -> None:
    path = tmp_path / "ci.json"
    write_baseline(path, rows_of())
    before = path.read_text()
    first, second = rows_of()
    with pytest.raises(NotComparableError, match=first["case_id"]):
        write_baseline(path, [first, {**second, column: "other"}])
    assert path.read_text() == before


def test_a_repeat_that_failed_is_no_baseline(tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    failed = {**to_row(make_result(Case(), repeat=3, accuracy=None)), "session": "s1"}
    with pytest.raises(ConfigurationError, match=rf"^no trial of repeat 3 of {Case().id} "):
        write_baseline(path, [failed])
    assert not path.exists()


FULL = """
import resource, sys
from pathlib import Path
from greenbench.gate import baselines
from tests.gate.test_baselines import rows_of
resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))
import signal
signal.signal(signal.SIGXFSZ, getattr(signal, sys.argv[2]))
try:
    baselines.write_baseline(Path(sys.argv[1]), rows_of("dense.m"))
except baselines.GateError as error:
    print(error)
"""


@pytest.mark.parametrize("action", ["SIG_IGN", "SIG_DFL"])
def test_a_full_disk_or_a_kill_half_way_leaves_the_old_file(tmp_path: Path, action: str) -> None:
    path = tmp_path / "ci.json"
    write_baseline(path, rows_of())
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(path), action],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.stderr == ""
    if action == "SIG_IGN":
        assert done.stdout.startswith(f"baseline {path} cannot be written: File too large; ")
        assert list(tmp_path.iterdir()) == [path]
    else:
        assert done.returncode < 0
    assert kept(read_baseline(path).rows) == kept(rows_of())


@pytest.mark.parametrize("inner", ["file/ci.json", "file/folder/ci.json"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, inner: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GateError, match=rf"^baseline {tmp_path / inner} cannot be written: "):
        write_baseline(tmp_path / inner, rows_of())


def test_a_file_that_is_no_baseline_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    path.write_text('{"benchmarks": []}')
    with pytest.raises(ConfigurationError, match="is damaged"):
        write_baseline(path, rows_of())
    assert path.read_text() == '{"benchmarks": []}'


def test_a_file_cut_anywhere_is_damaged_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ci.json"
    write_baseline(path, [*rows_of("dense.s"), *rows_of("dense.m")])
    whole = path.read_bytes()
    for size in range(0, len(whole) - 2, CUT):
        path.write_bytes(whole[:size])
        assert "is damaged" in refusal(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"\xff\xfe{}", "it is not UTF-8"),
        (b"[]", "expected a schema of 1 to 2"),
        (b"null", "expected a schema of 1 to 2"),
        (b"[" * 100_000, "it is no JSON"),
        (b'{"schema": 0, "cases": {}}', "expected a schema of 1 to 2"),
        (b'{"schema": "1", "cases": {}}', "expected a schema of 1 to 2"),
        (b'{"schema": 1, "cases": []}', "expected a schema of 1 to 2 and cases"),
        (b'{"schema": 1, "cases": {"a": 1}}', "a has no samples"),
        (b'{"schema": 1, "cases": {"a": {"samples": []}}}', "a has no samples"),
        (b'{"schema": 1, "cases": {"a": {"samples": {}}}}', "as repeat"),
        (b'{"schema": 3, "cases": {}}', "has schema 3, and this greenbench reads up to 2"),
    ],
)
def test_what_is_no_baseline_is_one_line(tmp_path: Path, content: bytes, expected: str) -> None:
    path = tmp_path / "ci.json"
    path.write_bytes(content)
    assert expected in refusal(path)


def test_a_folder_and_a_missing_file_cannot_be_read(tmp_path: Path) -> None:
    assert "Is a directory" in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "ci.json")


@pytest.fixture
def spoil(tmp_path: Path) -> Callable[[str, Any], Path]:
    """Write a baseline in which one value is replaced by JSON text."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / "ci.json"
        write_baseline(path, [SMALL])
        found = json.loads(path.read_text())
        case = found["cases"][SMALL["case_id"]]
        place = case if name in case else case["samples"]
        place[name] = "@" if name in case else ["@"]
        path.write_text(json.dumps(found).replace('"@"', text))
        return path

    return write


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            (name, text)
            for name in ("energy_wh", "train_flops", "test_score")
            for text in ("NaN", "-1", "Infinity", "1e999", "9" * 400, '"1"', "true", "[]", "{}")
        ),
        ("energy_wh", "9" * 5000),
        ("energy_wh", "1, 2"),
        ("energy_wh", ""),
        *(("repeat", text) for text in ("null", "1.0", '"0"', "true")),
        ("marks", "1"),
        *((name, "1") for name in OF_CASE),
        *(("energy_provenance", text) for text in ("null", '"guessed"', "[]")),
        ("samples", "null"),
    ],
)
def test_a_value_of_a_wrong_kind_is_one_line(
    spoil: Callable[[str, str], Path], name: str, text: str
) -> None:
    assert len(refusal(spoil(name, text))) < 6000


@pytest.mark.parametrize(
    ("name", "text"), [("energy_wh", "null"), ("energy_wh", "0"), ("host", "null")]
)
def test_what_may_be_unknown_is_read(
    spoil: Callable[[str, str], Path], name: str, text: str
) -> None:
    (row,) = read_baseline(spoil(name, text)).rows
    assert row[name] == json.loads(text)


def test_the_baselines_of_all_suites_that_are_judged_are_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged = []
    for suite, network in {"scaling": "dense.m", "ci": "dense.s", "other": "dense.l"}.items():
        write_baseline(path_for(suite), rows_of(network))
        judged += [{**row, "suite": suite} for row in rows_of(network) if suite != "other"]
    judged.append({**SMALL, "suite": "new"})
    found = find_baseline(None, judged, "unused")
    assert found is not None
    assert found.label == "benchmarks/baselines/ci.json, benchmarks/baselines/scaling.json"
    assert kept(found.rows) == kept([*rows_of("dense.s"), *rows_of("dense.m")])
    assert kept(found.of(SMALL["case_id"])) == kept(rows_of("dense.s"))
    assert find_baseline(None, [{**SMALL, "suite": "new"}], "unused") is None


# The store

BRANCHES = {"old": "main", "new": "main", "quoted": "it's", "doubled": 'a "b"', "other": "feature"}


@pytest.fixture(scope="module")
def runs(store: Store) -> dict[str, str]:
    """The first run of each session."""
    found: dict[str, str] = {}
    for number, (session, branch) in enumerate(BRANCHES.items()):
        for repeat in range(2):
            result = make_result(
                Case(size="s"),
                repeat=repeat,
                energy_j=3600.0 * (number + 1),
                started_at=STARTED_AT + 1000 * number + repeat,
                environment={"host": "h", "commit": f"c{number}", "branch": branch},
            )
            run = store.log_result(result, f"{session}/{repeat}")
            found.setdefault(session, run)
    failed = make_result(
        Case(size="s"),
        repeat=2,
        accuracy=None,
        environment={"host": "h", "branch": "main"},
        started_at=STARTED_AT + 1500,
    )
    store.log_result(failed, "new/2")
    return found


def sessions_of(store: Store, reference: str, **options: Any) -> list[tuple[str, float]]:
    rows = from_store(store, reference, **options).rows
    return [(row["session"], row["energy_wh"]) for row in rows]


def test_a_run_stands_for_all_results_of_its_session(store: Store, runs: dict[str, str]) -> None:
    assert sessions_of(store, f"run:{runs['old']}") == [("old", 1.0), ("old", 1.0)]


def test_a_tag_stands_for_all_results_that_have_it(store: Store, runs: dict[str, str]) -> None:
    found = from_store(store, "tag:branch=main")
    assert found.label == "tag:branch=main (2 sessions)"
    assert found.update is None
    assert [row["session"] for row in found.rows] == ["old", "old", "new", "new"]
    assert {row["commit"] for row in found.rows} == {"c0", "c1"}


@pytest.mark.parametrize("session", ["quoted", "doubled"])
def test_a_tag_may_have_quotes(store: Store, runs: dict[str, str], session: str) -> None:
    found = sessions_of(store, f"tag:branch={BRANCHES[session]}")
    assert {name for name, _ in found} == {session}


def test_a_tag_set_by_hand_is_found(store: Store, client: Any, runs: dict[str, str]) -> None:
    client.set_tag(runs["other"], "our release", "1.0 = first")
    assert sessions_of(store, "tag:our release=1.0 = first") == [("other", 5.0)]


def test_what_is_judged_is_no_baseline_of_itself(store: Store, runs: dict[str, str]) -> None:
    found = sessions_of(store, "tag:branch=main", without={"new"})
    assert {name for name, _ in found} == {"old"}
    with pytest.raises(ConfigurationError, match="no other finished result"):
        from_store(store, f"run:{runs['new']}", without={"new"})


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("run:0123", "no other finished result in the store is of that run"),
        ("run:", "no other finished result in the store is of that run"),
        ("tag:branch=mian", "no other finished result in the store is of that tag"),
        ("tag:no_such=main", "no other finished result in the store is of that tag"),
        ("tag:branch=' OR tags.key != '", "no other finished result in the store is of that tag"),
        ("tag:branch", "expected tag:NAME=TEXT"),
        ("tag:=main", "expected tag:NAME=TEXT"),
        ("tag:", "expected tag:NAME=TEXT"),
        ("tag:a`b=main", "expected tag:NAME=TEXT"),
        ("tag:branch='\"", "expected tag:NAME=TEXT"),
    ],
)
def test_what_the_store_does_not_have_is_one_line(
    store: Store, runs: dict[str, str], reference: str, expected: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        from_store(store, reference)
    assert expected in str(refused.value)
    assert str(refused.value).startswith(f"baseline {reference!r}")


@pytest.mark.parametrize("column", ["val_score", "test_score"])
def test_an_accuracy_that_is_no_share_is_neither_written_nor_read(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "ci.json"
    rows = rows_of("dense.m")
    with pytest.raises(ConfigurationError, match=f"{column} is 1.7; expected a share from 0 to 1"):
        write_baseline(path, [{**row, column: 1.7} for row in rows])
    write_baseline(path, [{**row, column: 0.25} for row in rows])
    path.write_text(path.read_text().replace("0.25", "1.7"))
    with pytest.raises(ConfigurationError, match=f"{column} of .* is 1.7"):
        read_baseline(path)
