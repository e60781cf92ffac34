"""`greenbench compare` as a user meets it: of CSVs, of pytest-benchmark's files, of a store."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.results import CaseResult, TrialStatus
from greenbench.results.table import to_row, to_trial_rows
from greenbench.tracking import Store
from tests.builders import STARTED_AT, make_result, make_segmented, make_trial

SIZES = """net,used_kj,acc,run
s,3.6,0.80,1
m,7.2,0.90,1
s,3.7,0.81,2
m,7.3,0.91,2
"""
SEARCHES = """method,gpu_j,top1,seed
grid,3600,0.50,1
grid,3600,0.70,1
random,3600,0.80,1
random,3600,,1
grid,3600,0.55,2
grid,3600,0.60,2
random,3600,0.75,2
random,3600,0.85,2
"""
COOLING = """cooling,fan,used_kj
air,slow,12.1
air,slow,12.3
air,fast,14.0
air,fast,14.1
water,slow,10.2
water,slow,10.1
water,fast,11.9
water,fast,12.0
"""
BACKENDS = """backend,id,used_wh,acc,time_s
torch,a,2,0.90,10
torch,b,4,0.92,20
torch,c,6,0.94,30
keras,c,9,0.94,15
keras,b,6,0.92,10
keras,a,3,0.90,5
"""
RATIO_OPTIONS = ["--energy-column", "used_wh", "--accuracy-column", "acc", "--seed-column", "id"]
QUESTIONS = {
    "returns": (
        SIZES,
        ["--size-column", "net", "--energy-column", "used_kj", "--accuracy-column", "acc"],
    ),
    "strategies": (
        SEARCHES,
        ["--strategy-column", "method", "--energy-column", "gpu_j", "--accuracy-column", "top1"],
    ),
    "factors": (COOLING, ["--response", "used_kj", "--factors", "cooling", "--factors", "fan"]),
    "backends": (BACKENDS, RATIO_OPTIONS),
    "practices": (
        BACKENDS.replace("backend", "practice"),
        [*RATIO_OPTIONS, "--baseline", "torch"],
    ),
}
each_question = pytest.mark.parametrize("question", QUESTIONS)


def compare(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["compare", *map(str, arguments)])


def refused(*arguments: str | Path) -> str:
    """Return the one line that a refusal is."""
    done = compare(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert isinstance(done.exception, SystemExit)
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").rstrip("\n")


def answers(*arguments: str | Path) -> list[dict[str, Any]]:
    done = compare(*arguments, "--json")
    assert done.exit_code == 0, done.stderr

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    found = json.loads(done.stdout, parse_constant=refuse)["answers"]
    assert all(answer["sentence"] for answer in found)
    return list(found)


def records(*arguments: str | Path) -> list[dict[str, str]]:
    done = compare(*arguments, "--csv")
    assert done.exit_code == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


@pytest.fixture
def table(tmp_path: Path) -> Any:
    def write(content: str, name: str = "measured.csv") -> Path:
        path = tmp_path / name
        path.write_text(content)
        return path

    return write


# A CSV of anybody's measurements


@each_question
def test_a_foreign_table_is_answered_by_a_table_and_a_sentence(table: Any, question: str) -> None:
    content, options = QUESTIONS[question]
    done = compare(question, table(content), *options)
    assert done.exit_code == 0, done.stderr
    assert done.stderr == ""
    (sentence,) = {answer["sentence"] for answer in answers(question, table(content), *options)}
    # The terminal breaks long lines.
    assert " ".join(sentence.split()) in " ".join(done.stdout.split())
    assert "┃" in done.stdout


FIGURES = {
    "returns": lambda answer: [
        (size["network"], size["energy_wh"]["median"], size["accuracy"]["median"])
        for size in answer["sizes"]
    ],
    "strategies": lambda answer: [
        (found["strategy"], found["energy_wh"]["median"], found["best_accuracy"])
        for found in answer["strategies"]
    ],
    "factors": lambda answer: [
        (effect["name"], effect["f"], effect["eta_sq"])
        for effect in [*answer["effects"], answer["residual"]]
    ],
    "backends": lambda answer: [
        (ratio["variant"], ratio["energy"]["median"], ratio["accuracy"]["median"])
        for ratio in answer["ratios"]
    ],
}
FIGURES["practices"] = FIGURES["backends"]
COLUMNS = {
    "returns": ("size", "energy_wh", "accuracy"),
    "strategies": ("strategy", "energy_wh", "best_accuracy"),
    "factors": ("name", "f", "eta_sq"),
    "backends": ("variant", "energy_ratio", "accuracy_ratio"),
    "practices": ("variant", "energy_ratio", "accuracy_ratio"),
}


@each_question
def test_csv_has_every_digit_of_json(table: Any, question: str) -> None:
    content, options = QUESTIONS[question]
    path = table(content)
    (answer,) = answers(question, path, *options)
    name, *columns = COLUMNS[question]
    found = [
        (row[name], *(float(row[each]) if row[each] else None for each in columns))
        for row in records(question, path, *options)
    ]
    assert found == FIGURES[question](answer)


def test_sizes_of_a_foreign_table_have_the_expected_figures(table: Any) -> None:
    (answer,) = answers("returns", table(SIZES), *QUESTIONS["returns"][1])
    small, large = answer["sizes"]
    assert small["energy_wh"]["median"] == pytest.approx(3.65 / 3.6)
    assert large["accuracy"]["median"] == pytest.approx(0.905)
    assert answer["family"] == "all sizes"


def test_searches_of_a_foreign_table_have_the_expected_figures(table: Any) -> None:
    (answer,) = answers("strategies", table(SEARCHES), *QUESTIONS["strategies"][1])
    grid, random = answer["strategies"]
    assert (grid["searches"], grid["trials"], grid["best_accuracy"]) == (2, 4, 0.7)
    # A failed trial has no accuracy, and an energy that counts.
    assert (random["failed_trials"], random["energy_wh"]["median"]) == (1, 2.0)


def test_ratios_of_a_foreign_table_have_the_expected_figures(table: Any) -> None:
    (answer,) = answers("backends", table(BACKENDS), *RATIO_OPTIONS)
    (ratio,) = answer["ratios"]
    found = [ratio[name]["median"] for name in ("energy", "duration", "accuracy")]
    assert (answer["baseline"], ratio["pairs"], found) == ("torch", 3, [1.5, 0.5, 1.0])


IN_WH = {"used_kj": Decimal("3.6"), "gpu_j": Decimal(3600), "used_wh": Decimal(1)}


@pytest.mark.parametrize("question", ["returns", "strategies", "backends"])
@pytest.mark.parametrize(
    ("unit", "per_wh"), [("wh", "1"), ("kwh", "0.001"), ("J", "3600"), ("kJ", "3.6")]
)
def test_the_unit_of_energy_changes_no_answer(
    table: Any, question: str, unit: str, per_wh: str
) -> None:
    content, options = QUESTIONS[question]
    (expected,) = answers(question, table(content), *options)
    header, *rows = (line.split(",") for line in content.splitlines())
    (place,) = (place for place, name in enumerate(header) if name in IN_WH)
    others = [option for option in options if option not in ("--energy-column", header[place])]
    for row in rows:
        row[place] = str(Decimal(row[place]) / IN_WH[header[place]] * Decimal(per_wh))
    for name, said in (("energy", ["--energy-unit", unit]), (f"energy_{unit.lower()}", [])):
        header[place] = name
        path = table("\n".join(map(",".join, [header, *rows])), "converted.csv")
        (found,) = answers(question, path, *others, *said)
        assert found["sentence"] == expected["sentence"]


def test_several_files_are_one_table(table: Any) -> None:
    header, *rows = SIZES.splitlines()
    halves = [table("\n".join([header, *rows[i::2]]), f"{i}.csv") for i in (0, 1)]
    options = QUESTIONS["returns"][1]
    assert answers("returns", *halves, *options) == answers("returns", table(SIZES), *options)


def test_sizes_may_be_numbers_and_families_are_told_apart(table: Any) -> None:
    rows = [
        f"{family},{size},{size * times},{0.5 + size / 100}"
        for family, times in (("cnn", 1), ("dense", 2))
        for size in (8, 16.5)
    ]
    path = table("\n".join(["family,size,energy_wh,accuracy", *rows]))
    found = {
        answer["family"]: [(s["network"], s["energy_wh"]["median"]) for s in answer["sizes"]]
        for answer in answers(path)
    }
    assert found == {"cnn": [("8", 8), ("16.5", 16.5)], "dense": [("8", 16), ("16.5", 33)]}


def test_group_may_be_none_one_or_several_columns(table: Any) -> None:
    rows = ["a,x,s,1,0.8", "a,x,m,2,0.9", "b,y,s,1,0.8", "b,y,m,2,0.9"]
    path = table("\n".join(["network,lab,size,energy_wh,accuracy", *rows]))

    def families(*options: str) -> list[str]:
        return [answer["family"] for answer in answers("returns", path, *options)]

    assert families() == ["a", "b"]
    assert families("--group", "") == ["all sizes"]
    assert families("--group", "lab") == ["x", "y"]
    assert families("--group", "lab, network") == families("--group", "lab", "--group", "network")


def test_repeats_may_have_names(table: Any) -> None:
    path = table(BACKENDS.replace("id", "repeat").replace("used", "energy"))
    (answer,) = answers("backends", path)
    assert answer["ratios"][0]["pairs"] == 3


def test_a_factor_may_have_any_name(table: Any) -> None:
    path = table(COOLING.replace("cooling", "place").replace("fan", "sessión"))
    (answer,) = answers("factors", path, "--response", "used_kj", "--factors", "place,sessión")
    assert [effect["name"] for effect in answer["effects"]][:2] == ["place", "sessión"]


def test_samples_of_one_seed_are_warned_of_and_averaged_by_unit(table: Any) -> None:
    rows = [f"{a},{seed},{a}.{seed}{again}" for a in (1, 2) for seed in (1, 2, 3) for again in "59"]
    path = table("\n".join(["a,seed,used_kj", *rows]))
    asked = ("factors", path, "--response", "used_kj", "--factors", "a")
    assert "Warning: 12 of 12 samples share their seed with another" in compare(*asked).stdout
    assert "share their seed" in compare(*asked, "--csv").stderr
    (answer,) = answers(*asked, "--unit", "seed")
    assert (answer["n"], answer["unit"], answer["averaged"], answer["warnings"]) == (
        6,
        "seed",
        6,
        [],
    )
    assert "n = 6 seeds, means of 12" in compare(*asked, "--unit", "seed").stdout


def test_energy_and_accuracy_are_explained_if_no_response_is_named(table: Any) -> None:
    path = table("a,energy_j,accuracy\nx,1,0.5\nx,2,0.6\ny,3,0.7\ny,5,0.9\n")
    assert [each["response"] for each in answers("factors", path, "--factors", "a")] == [
        "energy_j",
        "accuracy",
    ]


def test_only_selected_rows_need_to_be_sound(table: Any) -> None:
    content = "size,energy_wh,accuracy,host\ns,1,0.8,a\nm,2,0.9,a\nm,much,86.6,b\n"
    (answer,) = answers("returns", table(content), "--where", "host=a")
    assert [size["energy_wh"]["median"] for size in answer["sizes"]] == [1.0, 2.0]
    assert refused("returns", table(content)).endswith(
        ":4: energy_wh is 'much'; expected a finite number"
    )


def test_a_name_is_no_formula_in_csv_and_itself_in_json(table: Any) -> None:
    path = table(BACKENDS.replace("keras", "=keras"))
    (record,) = records("backends", path, *RATIO_OPTIONS)
    assert record["variant"] == "'=keras"
    assert answers("backends", path, *RATIO_OPTIONS)[0]["ratios"][0]["variant"] == "=keras"


@pytest.mark.parametrize("name", ["measured.csv", "MEASURED.CSV"])
def test_a_file_without_a_question_is_asked_for_returns(table: Any, name: str) -> None:
    path = table("size,energy_wh,accuracy\ns,1,0.8\nm,2,0.9\n", name)
    assert compare(path).stdout == compare("returns", path).stdout
    assert "--tolerance" in compare("returns", "--help").stdout
    assert compare("--tolerance", "0.5", path).stdout == (
        compare("returns", "--tolerance", "0.5", path).stdout
    )


# Refusals

GOOD = "size,method,a,repeat,practice,energy_wh,accuracy\n" + "".join(
    f"{size},{method},{repeat % 2},{repeat},{practice},{repeat},0.{repeat}\n"
    for size, method, practice in (("s", "grid", "none"), ("m", "random", "early"))
    for repeat in range(1, 5)
)
GOOD_OPTIONS = {
    "returns": [],
    "strategies": ["--strategy-column", "method"],
    "factors": ["--factors", "a"],
    "practices": [],
}
each_good = pytest.mark.parametrize("question", GOOD_OPTIONS)


@each_good
def test_the_table_that_is_broken_below_is_sound(table: Any, question: str) -> None:
    assert compare(question, table(GOOD), *GOOD_OPTIONS[question]).exit_code == 0


@each_good
def test_disturbed_samples_count_if_they_are_asked_for(table: Any, question: str) -> None:
    options = GOOD_OPTIONS[question]
    if question == "factors":
        options = [*options, "--response", "energy_wh"]
    header, *rows = GOOD.splitlines()
    marked = "\n".join([f"{header},marks", *(f"{row},short disturbed" for row in rows)])
    quiet = compare(question, table(GOOD), *options, "--json").stdout
    path = table(marked, "marked.csv")
    assert compare(question, path, *options, "--json", "--include-disturbed").stdout == quiet
    assert compare(question, path, *options, "--json").stdout != quiet


@each_good
@pytest.mark.parametrize("energy", ["much", "3%", "inf", "1e999", "-1", "9" * 400])
def test_a_cell_that_is_no_energy_is_named(table: Any, question: str, energy: str) -> None:
    path = table(GOOD.replace("m,random,0,2,early,2", f"m,random,0,2,keras,{energy}"))
    shown = refused(question, path, *GOOD_OPTIONS[question])
    assert shown.startswith(f"{path}:7: energy_wh is ")
    assert energy[:9] in shown


@pytest.mark.parametrize("question", ["returns", "strategies", "practices"])
def test_percentages_are_refused_as_accuracies(table: Any, question: str) -> None:
    path = table(GOOD.replace("m,random,0,2,early,2,0.2", "m,random,0,2,early,2,86.6"))
    assert refused(question, path, *GOOD_OPTIONS[question]) == (
        f"{path}:7: accuracy is 86.6; expected a share from 0 to 1: divide percentages by 100, "
        "or say `--accuracy-unit percent`"
    )


@pytest.mark.parametrize("question", ["returns", "strategies", "practices"])
def test_an_energy_without_a_unit_is_refused(table: Any, question: str) -> None:
    path = table(GOOD.replace("energy_wh", "energy"))
    assert refused(question, path, *GOOD_OPTIONS[question]).startswith(
        "energy column 'energy' does not end in its unit"
    )


@each_good
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty"),
        ("a,b\n", "has no rows below its header"),
        ("a,b\n1,2\n3\n", "has 1 cells; expected 2"),
        ("a,a\n1,2\n", "has the column 'a' twice"),
        ("a,\n1,2\n", "has no name for column 2"),
        ("a,b\n1,\0\n", "has NUL characters"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    table: Any, question: str, content: str, expected: str
) -> None:
    path = table(content)
    shown = refused(question, path, *GOOD_OPTIONS[question])
    assert shown.startswith(str(path))
    assert expected in shown


@each_good
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, question: str) -> None:
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    assert "Is a directory" in refused(question, folder)
    assert "No such file" in refused(question, tmp_path / "missing.json")
    assert "whose name ends in .csv" in refused(question, tmp_path)


@each_good
def test_kinds_of_files_are_not_mixed(table: Any, question: str) -> None:
    assert "of two kinds" in refused(question, table(GOOD), table("{}", "run.json"))
    assert "whose name ends in .csv" in refused(question, table(GOOD, "measured.xlsx"))


@each_good
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--where", "sice=s"], "unknown column 'sice'; did you mean size"),
        (["--where", "size=xl"], "has size=xl"),
        (["--where", "size"], "--where is 'size'; expected name=value"),
        (["--json", "--csv"], "--json and --csv contradict each other"),
        (["--suite", "ci"], "--suite, --session and --all-sessions select"),
        (["--all-sessions"], "--suite, --session and --all-sessions select"),
    ],
)
def test_options_that_cannot_work_are_refused(
    table: Any, question: str, options: list[str], expected: str
) -> None:
    assert expected in refused(question, table(GOOD), *GOOD_OPTIONS[question], *options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["returns", "--size-column", "sice"], "unknown column 'sice'; did you mean size"),
        (["returns", "--group", "sice"], "unknown column 'sice'; did you mean size"),
        (["returns", "--group", "practice"], "no results of two sizes of equal practice in "),
        (["strategies", "--strategy-column", "metod"], "unknown column 'metod'; did you mean"),
        (
            ["strategies", "--strategy-column", "method", "--group", "size"],
            "no searches of two strategies of equal size in ",
        ),
        (
            ["strategies"],
            "no column for strategy (strategy, sampler, search_strategy) among si",
        ),
        (["practices", "--accuracy-column", "acuracy"], "did you mean accuracy"),
        (["practices", "--baseline", "non"], "unknown practice 'non'; did you mean none"),
        (["practices", "--where", "practice=none"], "there is only 'none'"),
        (["backends"], "unknown column 'backend'; known: a, accuracy, energy_wh, "),
        (["factors", "--factors", "sice"], "unknown column 'sice'; did you mean size"),
        (["factors", "--factors", "a", "--response", "acuracy"], "did you mean accuracy"),
        (["factors"], "of a CSV, name the columns that explain: `--factors a,b`"),
        (["factors", "--factors", "a", "--where", "a=1"], "factor 'a' has the level '1' in each"),
        (["factors", "--factors", "a,energy_wh"], "both the response and a factor"),
        (["factors", "--factors", "a", "--unit", "sice"], "unknown column 'sice'; did you mean si"),
        (["factors", "--factors", "a", "--unit", "a"], "unit 'a' is a factor, expected a column"),
    ],
)
def test_questions_that_a_table_cannot_answer_are_refused(
    table: Any, arguments: list[str], expected: str
) -> None:
    assert expected in refused(*arguments, table(GOOD))


@pytest.mark.parametrize("question", ["returns", "practices"])
def test_several_data_sets_are_not_averaged(table: Any, question: str) -> None:
    header, *rows = GOOD.splitlines()
    named = [f"{row},{'mnist' if number % 2 else 'digits'}" for number, row in enumerate(rows)]
    path = table("\n".join([f"{header},dataset", *named]))
    assert "differ in data set (digits, mnist)" in refused(question, path, "--group", "")


@each_good
@pytest.mark.parametrize("column", ["host", "meter", "energy_provenance"])
def test_energies_that_came_about_differently_are_not_averaged(
    table: Any, question: str, column: str
) -> None:
    header, *rows = GOOD.splitlines()
    named = [f"{row},{'model' if number % 2 else 'counter'}" for number, row in enumerate(rows)]
    path = table("\n".join([f"{header},{column}", *named]))
    shown = refused(question, path, *GOOD_OPTIONS[question])
    assert "(counter, model) and are not averaged" in shown
    assert shown.endswith(f"`--where {column}=counter`")


@pytest.mark.parametrize("question", ["retruns", "compare", "."])
def test_an_unknown_question_is_refused_with_the_known_ones(question: str) -> None:
    assert refused(question).startswith(f"unknown question {question!r}; ")


@pytest.mark.parametrize("question", ["returns", "strategies"])
@pytest.mark.parametrize("tolerance", ["nan", "-0.1", "inf", "-1%", "much"])
def test_a_tolerance_is_a_share(table: Any, question: str, tolerance: str) -> None:
    done = compare(question, table(GOOD), "--tolerance", tolerance)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: Invalid value for '--tolerance'" in done.stderr


def test_a_tolerance_beyond_the_range_of_a_share_is_refused(table: Any) -> None:
    done = compare("returns", table(GOOD), "--tolerance", "1.1")
    assert done.exit_code == 2
    assert "a tolerance of 1.1 is more than the whole range of accuracy" in done.output


# Results of greenbench


def own_results() -> Iterator[CaseResult]:
    """Return results that every question but practices can be asked of."""
    for size, energy_j, accuracy in (("s", 3600.0, 0.8), ("m", 7200.0, 0.9)):
        for repeat in range(2):
            case = Case(architecture="simple_cnn", size=size)
            yield make_result(
                case, repeat=repeat, suite="scaling", energy_j=energy_j, accuracy=accuracy
            )
    for strategy, accuracies in (("grid", (0.5, 0.6)), ("random", (0.7, None))):
        for repeat in range(2):
            trials = [make_trial(i, accuracy=found) for i, found in enumerate(accuracies)]
            yield make_result(
                Case(strategy=strategy, trials=2), repeat=repeat, suite="strategies", trials=trials
            )
    for number, (conv, relu, repeat) in enumerate(product((1, 4), (True, False), range(2))):
        options = (("conv_layers", conv), ("linear_layers", 3 + 4 * (repeat % 2)), ("relu", relu))
        for again in range(2):
            yield make_result(
                Case(architecture_options=options),
                repeat=again,
                suite="layers",
                energy_j=3600.0 * conv + 10 * number + again,
                accuracy=0.9 - 0.01 * again,
            )
    for backend, energy_j in (("torch", 3600.0), ("keras", 5400.0)):
        for repeat in range(2):
            yield make_result(
                Case(architecture="dense", backend=backend),
                repeat=repeat,
                suite="backends",
                energy_j=energy_j,
            )


def as_benchmarks(results: Sequence[CaseResult], **changed: Any) -> str:
    entries = [
        {
            "extra_info": {
                "repeats": [{**to_row(result), **changed}],
                "trials": [{**trial, **changed} for trial in to_trial_rows(result)],
            }
        }
        for result in results
    ]
    return json.dumps({"benchmarks": entries})


@pytest.fixture(scope="module")
def uri(store: Store) -> str:
    # Of an earlier session, which nobody means who does not say so.
    old = make_result(
        Case(architecture="simple_cnn", size="s"),
        suite="scaling",
        energy_j=36000.0,
        started_at=STARTED_AT - 1000,
    )
    store.log_result(old, f"scaling-0/{old.case.id}.r0")
    for result in own_results():
        store.log_result(result, f"{result.suite}-1/{result.case.id}.r{result.repeat}")
    return store.uri.reveal()


@pytest.fixture(params=["store", "file"])
def source(
    request: pytest.FixtureRequest, table: Any, uri: str, monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Arguments with which our own results are read."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    if request.param == "store":
        return []
    return [str(table(as_benchmarks(list(own_results())), "run.json"))]


def test_our_own_sizes_are_compared(source: list[str]) -> None:
    (answer,) = answers("returns", *source)
    found = [(size["network"], size["energy_wh"]["median"]) for size in answer["sizes"]]
    assert found == [("simple_cnn.s", 1.0), ("simple_cnn.m", 2.0)]
    assert answers(*source) == [answer]


def test_earlier_sessions_are_compared_if_they_are_asked_for(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    for options, energies in ((["--suite", "scaling"], 2), (["--all-sessions"], 3)):
        (answer,) = answers("returns", *options)
        numbers = {size["network"]: size["energy_wh"]["n"] for size in answer["sizes"]}
        assert numbers == {"simple_cnn.s": energies, "simple_cnn.m": 2}


def test_our_own_strategies_are_compared(source: list[str]) -> None:
    (answer,) = answers("strategies", *source)
    found = {one["strategy"]: one for one in answer["strategies"]}
    assert {name: one["best_accuracy"] for name, one in found.items()} == {
        "grid": 0.6,
        "random": 0.7,
    }
    assert (found["random"]["searches"], found["random"]["failed_trials"]) == (2, 2)
    assert found["random"]["energy_wh"]["median"] == pytest.approx(0.02)


def test_schedulers_and_the_control_come_as_table_json_and_csv(table: Any) -> None:
    asha = [
        make_segmented(0, (0, 36.0, 0.5), (2, 36.0, 0.9), proposal_j=8.0),
        make_segmented(1, (1, 72.0, 0.4), status=TrialStatus.STOPPED),
    ]
    results = [
        make_result(Case("default"), accuracy=0.8, prior="log"),
        make_result(Case("random+asha", trials=2), trials=asha, prior="log"),
    ]
    path = table(as_benchmarks(results), "run.json")
    (answer,) = answers("strategies", path)
    assert (answer["control"]["best"], answer["control"]["is_beaten"]) == ("random+asha", True)
    (pair,) = answer["equal_energy"]["pairs"]
    assert (pair["test"], pair["n_pairs"]) == ("wilcoxon", 1)
    _, row = records("strategies", path)
    assert (row["strategy"], row["prior"], row["stopped_trials"]) == ("random+asha", "log", "1")
    assert float(row["proposal_share"]) == pytest.approx(8 / 152)
    assert float(row["wasted_share"]) == pytest.approx(72 / 152)
    shown = compare("strategies", path).stdout
    assert "What their energy went into" in shown
    assert "random+asha finds 10 points more than the published defaults" in shown
    only = compare("strategies", path, "--where", "strategy=random+asha")
    assert "no searches of two strategies" in only.stderr


def test_damaged_segments_in_a_file_are_named(table: Any) -> None:
    path = table(as_benchmarks([make_result()], segments="[1]"), "run.json")
    assert "segments is '[1]'; expected JSON with a list for each of position" in (
        compare("strategies", path).stderr
    )


def test_our_own_layers_are_compared_whatever_else_there_is(source: list[str]) -> None:
    energy, accuracy = answers("factors", *source)
    assert (energy["response"], accuracy["response"]) == ("energy_wh", "test_accuracy")
    assert energy["n"] == 16
    shares = {effect["name"]: effect["eta_sq"] for effect in energy["effects"]}
    assert shares["conv_layers"] > 0.99


def test_our_own_backends_are_compared(source: list[str]) -> None:
    (answer,) = answers("backends", *source)
    assert [(r["group"], r["energy"]["median"]) for r in answer["ratios"]] == [
        ("default, dense, digits", 1.5)
    ]


def test_columns_of_ours_explain_too(source: list[str]) -> None:
    (answer,) = answers(
        "factors", *source, "--factors", "backend", "--response", "energy_wh",
        "--where", "family=dense",
    )  # fmt: skip
    assert answer["n"] == 4


@pytest.mark.parametrize("question", ["returns", "strategies", "factors", "backends"])
def test_our_own_answers_come_as_tables_and_csv(source: list[str], question: str) -> None:
    shown = compare(question, *source)
    assert shown.exit_code == 0
    for answer in answers(question, *source):
        assert " ".join(answer["sentence"].split()) in " ".join(shown.stdout.split())
    assert "ESTIMATED" in shown.stdout
    assert records(question, *source)


@pytest.mark.parametrize("question", ["returns", "strategies", "factors", "backends"])
def test_our_own_energies_say_whether_they_are_measured(source: list[str], question: str) -> None:
    options = ["--response", "energy_wh"] if question == "factors" else []
    assert {found["provenance"] for found in answers(question, *source, *options)} == {"model"}
    rows = records(question, *source, *options)
    assert {row["energy_provenance"] for row in rows} == {"model"}


def test_json_says_what_is_saved_and_proven(table: Any) -> None:
    options = [*QUESTIONS["returns"][1], "--tolerance", "0.2"]
    (answer,) = answers("returns", table(SIZES), *options)
    assert answer["saved"] == pytest.approx(1 - 3.65 / 7.25)
    assert answer["proof"] == (
        "Within 20 points of the best at 95% confidence; by the medians 50% less energy, without "
        "an interval: too few pairs of a round."
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["returns", "--size-column", "size"], "--size-column names columns of a CSV"),
        (["returns", "--energy-unit", "j"], "--energy-unit names columns of a CSV"),
        (["returns", "--group", ""], "--group names columns of a CSV"),
        (["strategies", "--strategy-column", "strategy"], "--strategy-column names columns of"),
        (["backends", "--seed-column", "repeat"], "--seed-column names columns of a CSV"),
        (["practices"], "practice: a ratio needs two of them, and there is none"),
        (["factors", "--factors", "conv"], "unknown column 'conv'; did you mean conv_layers"),
        (["factors", "--where", "family=dense"], "has the options conv_layers, linear_layers, re"),
        (["returns", "--where", "family=dense"], "no results of two sizes of equal family"),
        (["strategies", "--where", "family=dense"], "no searches of two strategies of equal arc"),
        (["strategies", "--where", "hots=a"], "unknown column 'hots'; did you mean host"),
        (["strategies", "--where", "host=a"], "host=a"),
        (["backends", "--baseline", "tensorflow"], "unknown backend 'tensorflow'"),
    ],
)
def test_what_our_own_results_cannot_answer_is_refused(
    source: list[str], arguments: list[str], expected: str
) -> None:
    assert expected in refused(*arguments, *source)


def test_a_suite_that_the_store_lacks_is_refused_by_name(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert refused("--suite", "nightly").startswith(
        f"no results in {uri} have suite=nightly; run some with `greenbench run`"
    )


def test_a_store_that_is_missing_or_empty_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'new.db'}")
    assert refused("strategies").startswith("there is no store at ")


@pytest.mark.parametrize(
    ("question", "suite"),
    [("returns", "scaling"), ("strategies", "strategies"), ("backends", "backends")],
)
@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"energy_provenance": "counter"}, "energy provenance"),
        ({"case_hash": "0" * 12}, "definition"),
    ],
)
def test_our_own_figures_that_came_about_differently_are_not_averaged(
    table: Any, question: str, suite: str, changed: dict[str, str], words: str
) -> None:
    results = [result for result in own_results() if result.suite == suite]
    others = [result for result in results if result.repeat == 0]
    paths = [
        table(as_benchmarks(results), "here.json"),
        table(as_benchmarks(others, **changed), "there.json"),
    ]
    assert f"differ in {words} (" in refused(question, *paths)


@pytest.mark.parametrize(
    ("question", "suite"),
    [("returns", "scaling"), ("strategies", "strategies"), ("backends", "backends")],
)
def test_hosts_are_answered_apart_and_selected_by_their_fingerprint(
    table: Any, question: str, suite: str
) -> None:
    results = [result for result in own_results() if result.suite == suite]
    there = {"host": "ffffffffffff", "cpu": "Other CPU", "device": "H200"}
    paths = [
        table(as_benchmarks(results), "here.json"),
        table(as_benchmarks(results, **there), "there.json"),
    ]
    found = [answer for answer in answers(question, *paths) if "host" in answer]
    names = [answer["host"] for answer in found]
    assert names[1] == "H200 (ffffffffffff)"
    assert [
        answer["sentence"].startswith(f"On {name}: ")
        for answer, name in zip(found, names, strict=True)
    ] == [True, True]
    assert {record["host"] for record in records(question, *paths)} >= set(names)
    (one,) = answers(question, *paths, "--host", "fff")
    assert one["host"] is None
    assert one["sentence"] == found[1]["sentence"].partition(": ")[2]
    assert "unknown host 'aaa'" in refused(question, *paths, "--host", "aaa")


def test_ratios_of_hosts_are_beside_each_other_and_then_together(table: Any) -> None:
    results = [result for result in own_results() if result.suite == "backends"]
    paths = [
        table(as_benchmarks(results), "here.json"),
        table(as_benchmarks(results, host="ffffffffffff"), "there.json"),
    ]
    *each, together = answers("backends", *paths)
    assert len(each) == len(together["hosts"]) == 2
    assert together["ratios"][0]["energy"]["mean"] == pytest.approx(1.5)
    done = compare("backends", *paths)
    assert "over 2 hosts" in " ".join(done.stdout.split())


def test_a_csv_has_no_hosts_to_select(table: Any) -> None:
    content, options = QUESTIONS["returns"]
    said = refused("returns", table(content), *options, "--host", "abc")
    assert said.startswith("--host selects results of greenbench; of a CSV")


def test_devices_of_a_csv_are_answered(table: Any) -> None:
    content = "devices,seed,used_wh,acc,duration_s\n" + "".join(
        f"{n},{seed},{1.0 * n**0.5 * seed},0.9,{10.0 / n * seed}\n"
        for n in (1, 2, 4)
        for seed in (1, 2, 3)
    )
    (answer,) = answers(
        "scaling", table(content), *("--energy-column", "used_wh", "--accuracy-column", "acc"),
        *("--seed-column", "seed"),
    )  # fmt: skip
    assert [each["devices"] for each in answer["devices"]] == [1, 2, 4]
    assert answer["devices"][2]["speed_up"]["mean"] == pytest.approx(4.0)
    assert answer["devices"][2]["energy"]["mean"] == pytest.approx(2.0)
    assert answer["worth"] == 4


def test_data_sets_of_ours_are_answered_apart(table: Any) -> None:
    results = [result for result in own_results() if result.suite == "scaling"]
    paths = [
        table(as_benchmarks(results), "digits.json"),
        table(as_benchmarks(results, dataset="mnist", setting="mnist"), "mnist.json"),
    ]
    assert [answer["setting"] for answer in answers("returns", *paths)] == ["digits", "mnist"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("{}", "is not a file of `pytest --benchmark-json`"),
        ('{"benchmarks": []}', "has no results of greenbench"),
        ("{", "is no JSON"),
        (as_benchmarks([make_result()], energy_wh="1"), "is damaged: energy_wh is '1'"),
        (as_benchmarks([make_result()], strategy=None), "is damaged: strategy is None"),
    ],
)
@pytest.mark.parametrize("question", ["returns", "strategies", "factors", "backends"])
def test_json_that_holds_no_sound_results_is_refused(
    table: Any, question: str, content: str, expected: str
) -> None:
    path = table(content, "run.json")
    assert refused(question, path).startswith(f"{path} {expected}")


# The paper as oracle

PRINTED = {
    "conv_layers": ("3.908e6", "0.990"),
    "linear_layers": ("21841.658", "0.006"),
    "relu": ("6853.152", "0.002"),
    "conv_layers × linear_layers": ("7758.395", "0.002"),
    "linear_layers × relu": ("1.511", "3.827e-7"),
    "conv_layers × relu": ("931.172", "2.358e-4"),
    "conv_layers × linear_layers × relu": ("24.224", "6.134e-6"),
}
PRINTED_H = {"conv_layers": "2303.250", "linear_layers": "481.799", "relu": "176.545"}


@pytest.fixture
def reference(reference_dir: Path) -> Path:
    return reference_dir / "yarally2023"


def as_printed(text: str) -> Any:
    """Return what rounds to the printed digits.

    The measurements that we have are rounded to 4 decimals themselves, which moves figures by
    up to a millionth: one that lies so near to a half may round to the next digit.
    """
    printed = Decimal(text)
    half_a_digit = float(Decimal(1).scaleb(int(printed.as_tuple().exponent))) / 2
    return pytest.approx(float(printed), abs=half_a_digit + 1e-6 * float(printed), rel=0)


def test_the_papers_anova_is_reproduced_to_the_printed_digits(reference: Path) -> None:
    (answer,) = answers(
        "factors", reference / "rq2_fashionmnist.csv", "--response", "energy_j",
        "--factors", "conv_layers,linear_layers,relu",
    )  # fmt: skip
    effects = {effect["name"]: effect for effect in answer["effects"]}
    assert effects.keys() == PRINTED.keys()
    for name, (f, eta_sq) in PRINTED.items():
        assert effects[name]["f"] == as_printed(f), name
        assert effects[name]["eta_sq"] == as_printed(eta_sq), name
    assert effects["linear_layers × relu"]["p"] == as_printed("0.219")
    assert (answer["n"], answer["residual"]["df"]) == (3072, 3064)
    assert answer["residual"]["sum_sq"] == as_printed("401718.241")
    assert {f["name"]: f["h"] for f in answer["factors"]} == {
        name: as_printed(h) for name, h in PRINTED_H.items()
    }
    means = [cell["mean"] for cell in answer["cells"]]
    assert (min(means), max(means)) == (as_printed("834.9"), as_printed("1745.0"))


def test_the_papers_best_accuracies_are_those_of_its_files(reference: Path) -> None:
    paths = sorted(reference.glob("rq1_*.csv"))
    expected: dict[tuple[str, ...], float] = {}
    for path in paths:
        for row in csv.DictReader(path.read_text().splitlines()):
            key = (row["dataset"], row["network"], row["strategy"])
            expected[key] = max(expected.get(key, 0.0), float(row["accuracy"]))
    found = {
        (*answer["group"].values(), standing["strategy"]): standing["best_accuracy"]
        for answer in answers("strategies", *paths)
        for standing in answer["strategies"]
    }
    assert found == expected
    assert len(found) == 18
