"""Files as tables: what is read, what is refused in one line, and what is written."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenbench.compare.csvs import CsvRow, number
from greenbench.compare.files import Tables, read_files, to_csv
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.results.table import METRICS, TAGS, to_row, to_trial_rows
from tests.builders import make_result, make_trial

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes, name: str = "measured.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def read(*paths: Path, **where: str) -> Tables:
    return read_files(paths, where)


def refusal(*paths: Path, **where: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read(*paths, **where)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal_if_any(path: Path) -> str | None:
    """Return why a file is refused; any other error is a failure."""
    try:
        read(path)
    except ConfigurationError as error:
        return str(error)
    return None


def as_benchmarks(
    repeats: Any, trials: Any = (), extra: Sequence[Any] = ({}, None, {"extra_info": None})
) -> str:
    info = {"repeats": repeats, "trials": list(trials) if isinstance(trials, tuple) else trials}
    return json.dumps({"benchmarks": [*extra, {"extra_info": info}]})


# CSVs


def test_columns_of_numbers_are_numbers_and_others_are_texts(write: Write) -> None:
    table = read(write("name,n,x,mixed\n a ,1,0.5,1\nb,2,1e3,1 or 2\n"))
    assert table.rows == [
        {"name": "a", "n": 1, "x": 0.5, "mixed": "1"},
        {"name": "b", "n": 2, "x": 1000.0, "mixed": "1 or 2"},
    ]
    assert isinstance(table.rows[0]["n"], int)
    assert table.trials == table.rows
    assert table.is_foreign


@pytest.mark.parametrize("content", ["a,b\n1,\n,2\n", "a,b\n1,  \n\t,2\n"], ids=["empty", "blank"])
def test_an_empty_cell_is_unknown(write: Write, content: str) -> None:
    assert read(write(content)).rows == [{"a": 1, "b": None}, {"a": None, "b": 2}]


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfa,b\n1,x y\n",
        b"a,b\r\n1,x y\r\n",
        b"a,b\r1,x y\r",
        b" a , b \n 1 , x y \n",
        b'"a","b"\n"1","x y"\n',
        b'a,b\n1,"x\ny"\n',
        b'a,"b"\r\n1,"x\r\ny"\r\n',
        b"\n\na,b\n,\n\n1,x y\n\n",
        b"a,b\n1,x y",
    ],
    ids=["bom", "crlf", "cr", "spaces", "quotes", "newline", "both", "blank_lines", "no_end"],
)
def test_what_programs_write_differently_reads_the_same(write: Write, content: bytes) -> None:
    assert read(write(content)).rows == [{"a": 1, "b": "x y"}]


def test_a_name_over_two_lines_is_one_on_one_line(write: Write) -> None:
    assert list(read(write('"energy\n(J)"\n1\n')).rows[0]) == ["energy (J)"]


def test_a_row_knows_its_line(write: Write) -> None:
    path = write('a,b\n1,x\n\n2,"y\nz"\n3,x\n')
    places = [row.place for row in read(path).rows if isinstance(row, CsvRow)]
    assert places == [f"{path}:2", f"{path}:5", f"{path}:6"]


def test_any_column_may_be_called_place(write: Write) -> None:
    path = write("place,a\nDelft,1\n")
    assert read(path).rows == [{"place": "Delft", "a": 1}]


def test_several_files_are_one_table_whatever_the_order_of_columns(write: Write) -> None:
    one, other = write("a,b\n1,x\n", "one.csv"), write("b,a\ny,2\n", "other.CSV")
    assert read(one, other).rows == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_files_of_one_name_in_two_folders_are_two(write: Write) -> None:
    one, other = write("a\n1\n", "one/a.csv"), write("a\nx\n", "other/a.csv")
    assert [row.place for row in read(one, other).rows if isinstance(row, CsvRow)] == [
        f"{one}:2",
        f"{other}:2",
    ]


def test_cells_that_are_left_out_do_not_make_a_column_one_of_texts(write: Write) -> None:
    path = write("host,energy_wh\na,1.5\na,2\nb,much\n")
    assert [row["energy_wh"] for row in read(path, host="a").rows] == [1.5, 2]
    assert [row["energy_wh"] for row in read(path).rows] == ["1.5", "2", "much"]


@pytest.mark.parametrize("text", ["0.10", "0.1", "1e-1"])
def test_a_number_is_selected_however_it_is_written(write: Write, text: str) -> None:
    assert len(read(write("lr,a\n0.10,1\n0.2,2\n"), lr=text).rows) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", " is empty; expected a header"),
        ("\n \n", " is empty"),
        ("a,b\n", " has no rows below its header"),
        ("a,b\n,\n", " has no rows below its header"),
        ("a,b\n1,2\n3\n", ":3 has 1 cells; expected 2"),
        ("a,b\n1,2,3\n", ":2 has 3 cells; expected 2"),
        ("a,b,a\n1,2,3\n", " has the column 'a' twice"),
        ("a,b, a\n1,2,3\n", " has the column 'a' twice"),
        ("a,,b\n1,2,3\n", " has no name for column 2"),
        (",a\nx,2\n", " has no name for column 1"),
        ("a,b\n1,\0\n", " has NUL characters"),
        ("a,b\n1,é\n".encode("latin-1"), " is not encoded in UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), " has NUL characters"),
        ('a,b\n1,"2\n', ":2 is no CSV"),
        ('a,b\n1,"2"x\n', ":2 is no CSV"),
    ],
    ids=str,
)
def test_a_csv_that_is_none_is_refused_by_name(
    write: Write, content: str | bytes, expected: str
) -> None:
    path = write(content)
    assert refusal(path).startswith(f"{path}{expected}")


def test_a_row_that_is_too_short_is_named_by_the_line_on_which_it_ends(write: Write) -> None:
    path = write('a,b\n"1\n1",2\n3\n')
    assert refusal(path).startswith(f"{path}:4 has 1 cells")


def test_what_is_no_file_is_refused_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    missing = tmp_path / "missing.csv"
    assert refusal(missing) == f"{missing} cannot be read: No such file or directory"
    assert refusal(folder) == f"{folder} cannot be read: Is a directory"


@pytest.mark.parametrize("name", ["measured.xlsx", "measured", "csv"])
def test_other_kinds_of_files_are_refused(write: Write, name: str) -> None:
    path = write("a\n1\n", name)
    assert refusal(path).startswith(f"{path}: expected a CSV, whose name ends in .csv")


def test_two_kinds_of_files_are_refused(write: Write) -> None:
    one, other = write("a\n1\n"), write("{}", "run.json")
    assert refusal(one, other).startswith(f"{one} and {other} are of two kinds")


def test_one_file_is_not_counted_twice(write: Write) -> None:
    path = write("a\n1\n")
    assert "is given twice" in refusal(
        path, path.parent / "." / ".." / path.parent.name / path.name
    )


def test_tables_of_two_forms_are_refused(write: Write) -> None:
    one, other = write("a,b\n1,2\n", "one.csv"), write("a,c\n1,2\n", "other.csv")
    assert refusal(one, other).startswith(
        f"{other} and {one} do not have the same columns: b, c; compare"
    )


def test_a_selection_that_leaves_nothing_is_refused(write: Write) -> None:
    path = write("a,b\n1,2\n")
    assert refusal(path, a="1", b="3") == f"no row of {path} has a=1 and b=3"


def test_a_selection_by_an_unknown_column_offers_the_nearest(write: Write) -> None:
    with pytest.raises(
        UnknownNameError, match=r"unknown column 'strateggy'; did you mean strategy"
    ):
        read(write("strategy,a\ngrid,1\n"), strateggy="grid")


# Numbers


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("-2", -2), ("1.0", 1.0), (" 3 ", 3), ("1e3", 1000.0), ("007", 7), (".5", 0.5)],
)
def test_numbers_are_read(text: str, expected: float) -> None:
    assert number(text) == expected
    assert type(number(text)) is type(expected)


@pytest.mark.parametrize(
    "text", ["", "a", "nan", "inf", "-inf", "1e999", "9" * 400, "9" * 5000, "1_0", "1,5", "0x10"]
)
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert number(text) is None


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_read_as_it_was_written(value: float) -> None:
    assert number(repr(value)) == value


# Files of pytest-benchmark


def test_results_and_trials_are_read_as_they_were_written(write: Write) -> None:
    results = [make_result(repeat=r, trials=[make_trial(0), make_trial(1)]) for r in (0, 1)]
    path = write(
        as_benchmarks(
            [to_row(result) for result in results],
            tuple(trial for result in results for trial in to_trial_rows(result)),
        ),
        "run.json",
    )
    table = read(path)
    assert not table.is_foreign
    assert [{**to_row(result), "session": str(path)} for result in results] == table.rows
    expected = [{**row, "session": str(path)} for r in results for row in to_trial_rows(r)]
    assert table.trials == expected


def test_only_trials_of_selected_results_are_kept(write: Write) -> None:
    results = [make_result(repeat=repeat) for repeat in (0, 1)]
    trials = tuple(trial for result in results for trial in to_trial_rows(result))
    table = read(write(as_benchmarks(list(map(to_row, results)), trials), "run.json"), repeat="1")
    assert [row["repeat"] for row in table.rows] == [1]
    assert [row["repeat"] for row in table.trials] == [1]


def test_columns_that_an_older_greenbench_did_not_write_are_unknown(write: Write) -> None:
    row = to_row(make_result())
    new = ("net_wh", "meter", "options", "passes", "marks")
    old = {name: value for name, value in row.items() if name not in new}
    (found,) = read(write(as_benchmarks([old]), "old.json")).rows
    assert [found[name] for name in new] == [None] * len(new)


def test_columns_of_a_newer_greenbench_are_left_alone(write: Write) -> None:
    row = to_row(make_result())
    path = write(as_benchmarks([{**row, "mood": ["good"]}]), "new.json")
    assert read(path).rows == [{**row, "session": str(path)}]


def test_a_byte_order_mark_in_front_of_json_does_no_harm(write: Write) -> None:
    content = b"\xef\xbb\xbf" + as_benchmarks([to_row(make_result())]).encode()
    assert len(read(write(content, "run.json")).rows) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is no JSON: Expecting value"),
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON: maximum recursion depth"),
        ("[1]", "is not a file of `pytest --benchmark-json`"),
        ('{"benchmarks": 1}', "is not a file of `pytest --benchmark-json`"),
        ('{"benchmarks": []}', "has no results of greenbench"),
        ('{"benchmarks": [{"extra_info": {}}]}', "has no results of greenbench"),
        (as_benchmarks([]), "has no results of greenbench"),
        (as_benchmarks(None), "is damaged: repeats is None; expected a list"),
        (as_benchmarks({"a": 1}), "is damaged: repeats is {'a': 1}; expected a list"),
        (as_benchmarks([1]), "is damaged: a row is 1; expected columns"),
        (as_benchmarks([None]), "is damaged: a row is None"),
        (as_benchmarks([to_row(make_result())], 1), "is damaged: trials is 1"),
        (as_benchmarks([to_row(make_result())], ({},)), "is damaged: case_id is None"),
    ],
    ids=lambda value: value[:30],
)
def test_json_that_holds_no_results_is_refused_by_name(
    write: Write, content: str, expected: str
) -> None:
    path = write(content, "run.json")
    assert refusal(path).startswith(f"{path} {expected}")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("energy_wh", "1"),
        ("energy_wh", -1.0),
        ("energy_wh", float("nan")),
        ("energy_wh", float("inf")),
        ("energy_wh", 10**400),
        ("energy_wh", [1]),
        ("test_score", 86.6),
        ("duration_s", -1),
        ("parameters", "many"),
        ("idle_drift", {}),
        ("strategy", None),
        ("architecture", {}),
        ("backend", 1),
        ("marks", ["disturbed"]),
        ("options", "{"),
        ("options", "[1]"),
        ("options", 1),
        ("energy_provenance", None),
        ("energy_provenance", "felt"),
        ("energy_provenance", []),
        ("repeat", None),
        ("repeat", "0"),
        ("repeat", 0.5),
    ],
    ids=str,
)
def test_damaged_results_are_refused_with_column_and_value(
    write: Write, column: str, value: Any
) -> None:
    sound = to_row(make_result())
    path = write(as_benchmarks([sound, {**sound, column: value}]), "run.json")
    assert refusal(path).startswith(f"{path} is damaged: {column} is ")


@pytest.mark.parametrize(
    ("column", "value"),
    [("val_score", 2), ("trial", "first"), ("energy_wh", "1"), ("status", 1)],
)
def test_damaged_trials_are_refused_with_column_and_value(
    write: Write, column: str, value: Any
) -> None:
    result = make_result()
    (trial,) = to_trial_rows(result)
    path = write(as_benchmarks([to_row(result)], ({**trial, column: value},)), "run.json")
    assert refusal(path).startswith(f"{path} is damaged: {column} is {value!r}")


@given(
    column=st.sampled_from([*TAGS, *METRICS, "repeat", "session"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=3,
    ),
)
def test_whatever_stands_in_a_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, column: str, value: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(as_benchmarks([{**to_row(make_result()), column: value}]))
    refused = refusal_if_any(path)
    assert refused is None or refused.startswith(f"{path} is damaged: {column} is ")


@given(st.binary(max_size=60) | st.text(alphabet='a,"\n\r;0\0é', max_size=30).map(str.encode))
def test_whatever_a_csv_holds_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    refused = refusal_if_any(path)
    if refused is None:
        assert len({tuple(row) for row in read(path).rows}) == 1
    else:
        assert refused.startswith(str(path))
        assert len(refused.splitlines()) == 1


# CSV out


def test_every_digit_is_written_and_nothing_stands_for_unknown() -> None:
    text = to_csv([{"name": "a", "x": 0.1 + 0.2, "n": None}, {"name": "b", "extra": 1e-300}])
    assert text == "name,x,n,extra\na,0.30000000000000004,,\nb,,,1e-300\n"


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a", "\t=x", "\r=x"])
def test_no_name_becomes_a_formula_in_a_spreadsheet(name: str) -> None:
    header, row = csv.reader(io.StringIO(to_csv([{name: name, "x": -1.5}]), newline=""))
    assert header == [f"'{name.strip()}", "x"]
    assert row == [f"'{name.strip()}", "-1.5"]


def test_a_name_over_two_lines_does_not_break_a_row() -> None:
    assert to_csv([{"a": "x\r=1", "b": "y\nz"}]) == "a,b\nx\\r=1,y\\nz\n"


@given(
    st.lists(
        st.fixed_dictionaries(
            {"a": st.floats(allow_nan=False, allow_infinity=False), "b": st.sampled_from("xyz")}
        ),
        min_size=1,
    )
)
def test_what_is_written_reads_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "back.csv"
    path.write_text(to_csv(records))
    assert read(path).rows == records
