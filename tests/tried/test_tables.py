"""Tables of other tools and of spreadsheets, as people have them: read, or refused by name."""

import csv
import io
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from greenbench.cli import cli
from tests.builders import make_row

Record = dict[str, Any]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | Sequence[Record], name: str = "table.csv") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else as_csv(content))
        return path

    return write


def as_csv(records: Sequence[Record], separator: str = ",") -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def ask(*arguments: Any) -> dict[str, Any]:
    done = CliRunner().invoke(cli, ["compare", *map(str, arguments), "--json"])
    assert done.exit_code == 0, done.stderr
    return dict(json.loads(done.stdout))


def answer(*arguments: Any) -> dict[str, Any]:
    (found,) = ask(*arguments)["answers"]
    return dict(found)


def refusal(*arguments: Any) -> str:
    done = CliRunner().invoke(cli, ["compare", *map(str, arguments)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    return done.stderr.removeprefix("Error: ").rstrip()


def sizes(n: int = 6, **further: Any) -> list[Record]:
    """Return a family whose middle size repeats don't quite prove to be within a point."""
    noise = random.Random(7)
    return [
        {
            "size": size,
            "repeat": repeat,
            "energy_wh": energy_wh * noise.uniform(0.95, 1.05),
            "accuracy": accuracy + noise.gauss(0, 0.0016),
            **further,
        }
        for size, energy_wh, accuracy in (("s", 1.2, 0.951), ("m", 2.0, 0.9715), ("l", 4.4, 0.981))
        for repeat in range(n)
    ]


def trials(n: int = 8) -> list[Record]:
    """Return searches of two samplers in the order of time: the later, the better."""
    noise = random.Random(3)
    return [
        {
            "strategy": strategy,
            "seed": seed,
            "number": number,
            "start_time": f"2026-01-0{seed + 1} 00:{number:02}:00.125000+00:00",
            "energy_wh": 1 + noise.random() / 10,
            "val_accuracy": reached - 0.2 / (number + 1) + noise.random() / 1000,
        }
        for strategy, reached in (("TPESampler", 0.98), ("RandomSampler", 0.9))
        for seed in range(3)
        for number in range(n)
    ]


def renamed(records: Sequence[Record], **names: str) -> list[Record]:
    return [{names.get(name, name): cell for name, cell in row.items()} for row in records]


def in_mlflow(records: Sequence[Record], status: str = "FINISHED") -> list[Record]:
    """Return trials as ``mlflow.search_runs().to_csv()`` has them: the newest first."""
    return [
        {
            "": number,
            "run_id": f"{number:032x}",
            "experiment_id": 1,
            "status": status,
            "artifact_uri": "runs:/artifacts",
            "start_time": row["start_time"],
            "end_time": row["start_time"],
            "metrics.energy_wh": row["energy_wh"],
            "metrics.val_accuracy": row["val_accuracy"],
            "params.strategy": row["strategy"],
            "params.seed": row["seed"],
            "tags.mlflow.user": "somebody",
        }
        for number, row in enumerate(reversed(records))
    ]


def in_wandb(records: Sequence[Record]) -> str:
    """Return trials as W&B's table exports them: all quoted, the newest first."""
    text = io.StringIO()
    names = ["Name", "State", "Notes", "Created", "Runtime", "strategy", "seed", "energy_wh"]
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow([*names, "val/accuracy"])
    for number, row in enumerate(reversed(records)):
        created = row["start_time"].replace(" ", "T").replace("+00:00", "Z")
        cells = [row[name] for name in ("strategy", "seed", "energy_wh", "val_accuracy")]
        writer.writerow([f"swift-sun-{number}", "finished", "-", created, 12, *cells])
    return text.getvalue()


# Copies and equal seeds


def test_a_copy_of_a_file_proves_nothing_more(write: Write) -> None:
    base, copy = write(sizes(), "base.csv"), write(sizes(), "base_copy.csv")
    alone, both = answer("returns", base), ask("returns", base, copy)
    assert both["answers"] == [alone]
    assert f"18 of 18 rows of {copy} are in another file as well, and count once" in both["notes"]


def test_of_overlapping_files_common_rows_count_once(write: Write) -> None:
    rows = sizes()
    one, other = write(rows[:12], "one.csv"), write(rows[4:], "other.csv")
    assert answer("returns", one, other) == answer("returns", write(rows))


def test_a_copy_in_another_notation_is_a_copy(write: Write) -> None:
    base = write(sizes(), "base.csv")
    copy = write(as_csv(sizes(), ";").replace(".", ","), "copy.csv")
    assert answer("returns", base, copy) == answer("returns", base)


def test_rows_of_all_digits_that_are_pasted_twice_count_once(write: Write) -> None:
    rows = [{k: v for k, v in row.items() if k != "repeat"} for row in sizes()]
    found = ask("returns", write(rows + rows, "twice.csv"))
    assert found["answers"] == [answer("returns", write(rows))]
    assert "18 of 36 rows are copies of others, and count once" in found["notes"]


@pytest.mark.parametrize(
    "change",
    [
        {"repeat": lambda row: row["repeat"] + 6},
        {"row_id": id},
        {"timestamp": lambda row: f"2026-01-02 00:00:0{row['repeat']}"},
        {k: lambda row, k=k: f"{row[k]:.6f}" for k in ("energy_wh", "accuracy")},
        {k: lambda row, k=k: f"{row[k]:.4f}" for k in ("energy_wh", "accuracy")},
    ],
    ids=["renumbered", "numbered rows", "other times", "6 decimals", "4 decimals"],
)
def test_a_copy_in_disguise_is_a_copy(write: Write, change: dict[str, Callable[..., Any]]) -> None:
    rows = [{"row_id": 0, "timestamp": "2026-01-01 00:00:00", **row} for row in sizes()]
    copies = [{**row, **{name: new(row) for name, new in change.items()}} for row in rows]
    expected = answer("returns", write(rows, "base.csv"))
    assert answer("returns", write(rows + copies)) == expected
    assert answer("returns", write(rows, "base.csv"), write(copies, "copy.csv")) == expected


def test_factors_explain_an_energy_by_each_measurement_once(write: Write) -> None:
    rows = [*sizes(), *({**row, "repeat": row["repeat"] + 6} for row in sizes())]
    found = answer("factors", write(rows), "--factors", "size", "--response", "energy_wh")
    assert found["n"] == len(sizes())


def test_equal_shares_of_right_answers_are_no_copies(write: Write) -> None:
    rows = [{"size": s, "energy_wh": e, "accuracy": 347 / 365} for s, e in (("s", 1), ("m", 2))] * 5
    assert [size["accuracy"]["n"] for size in answer("returns", write(rows))["sizes"]] == [5, 5]


def test_equal_energies_of_two_sizes_are_no_copies(write: Write) -> None:
    rows = [{**row, "energy_wh": 1.23456789 + row["repeat"]} for row in sizes()]
    assert [size["energy_wh"]["n"] for size in answer("returns", write(rows))["sizes"]] == [6] * 3


def test_trials_that_searches_replay_are_no_copies(write: Write) -> None:
    rows = [{**row, "energy_wh": 1.23456789, "val_accuracy": 0.9} for row in trials()]
    found = answer("strategies", write(rows), "--order-column", "")
    assert found == answer(
        "strategies", write([{**row, "n": n} for n, row in enumerate(rows)]), "--order-column", ""
    )


def test_an_option_that_is_proposed_can_be_pasted_into_a_shell(write: Write) -> None:
    rows = [{**row, "GPU Type": "A100" if row["repeat"] % 2 else "H100"} for row in sizes()]
    assert refusal("returns", write(rows)).endswith("`--where 'GPU Type=A100'`")


def test_accuracies_of_two_splits_are_not_averaged(write: Write) -> None:
    rows = [{**row, "split": "test" if row["repeat"] % 2 else "val"} for row in sizes()]
    assert "figures differ in split (test, val)" in refusal("returns", write(rows))


def test_numbers_are_equal_however_they_are_written(write: Write) -> None:
    rows = sizes()
    for n, row in enumerate(rows):
        row["epochs"] = "10.0" if n % 2 else "10"
    assert answer("returns", write(rows)) == answer("returns", write(sizes(), "base.csv"))


def test_shares_in_one_file_and_percentages_in_another_are_refused(write: Write) -> None:
    one = write(sizes(), "one.csv")
    other = write([{**r, "accuracy": 100 * r["accuracy"]} for r in sizes()], "other.csv")
    said = refusal("returns", one, other, "--accuracy-unit", "percent")
    assert said.startswith(f"{one}: accuracy is at most 0.98")
    assert said.endswith("in another file; bring both to one unit")


def test_thousands_that_are_grouped_for_certain_are_read(write: Write) -> None:
    rows = [{**row, "energy_j": f"{1000 * row.pop('energy_wh'):,.3f}"} for row in sizes()]
    plain = [{**row, "energy_j": str(row["energy_j"]).replace(",", "")} for row in rows]
    assert answer("returns", write(rows)) == answer("returns", write(plain, "plain.csv"))


@pytest.mark.parametrize("name", ["table.csv", "table.tsv", "table.txt"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_text_of_a_spreadsheet_is_read(write: Write, name: str, encoding: str) -> None:
    expected = answer("returns", write(sizes(), "base.csv"))
    path = write("", name)
    path.write_bytes(as_csv(sizes(), "\t").encode(encoding))
    assert answer("returns", path) == expected


def test_a_cell_may_be_long(write: Write) -> None:
    assert answer("returns", write(sizes(note="x" * 200_000))) == answer(
        "returns", write(sizes(), "base.csv")
    )


def test_a_folder_is_no_table_and_no_question(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path}: expected a CSV")


def test_coarse_figures_of_one_file_may_be_equal(write: Write) -> None:
    rows = [{"size": s, "energy_wh": e, "accuracy": 0.9} for s, e in (("s", 1), ("m", 2))] * 5
    (found,) = ask("returns", write(rows))["answers"]
    assert [size["energy_wh"]["n"] for size in found["sizes"]] == [5, 5]


def test_a_seed_that_is_run_again_gives_an_energy_and_no_further_accuracy(write: Write) -> None:
    again = [
        {**row, "energy_wh": row["energy_wh"] * factor}
        for factor in (1, 1.01, 1.02)
        for row in sizes()
    ]
    once, thrice = answer("returns", write(sizes())), answer("returns", write(again, "thrice.csv"))
    for one, three in zip(once["sizes"], thrice["sizes"], strict=True):
        assert (one["accuracy"], one["p"]) == (three["accuracy"], three["p"])
        assert (one["energy_wh"]["n"], three["energy_wh"]["n"]) == (6, 18)


def test_factors_explain_an_accuracy_by_each_seed_once(write: Write) -> None:
    again = [{**row, "energy_wh": row["energy_wh"] + n} for n in range(3) for row in sizes()]
    options = ("--factors", "size", "--response", "accuracy")
    assert answer("factors", write(again, "thrice.csv"), *options)["n"] == len(sizes())


# Separators, decimals, percentages, empty cells


@pytest.mark.parametrize("separator", [";", "\t", "|"], ids=["semicolon", "tab", "bar"])
@pytest.mark.parametrize("mark", [".", ","], ids=["point", "comma"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
def test_what_spreadsheets_write_reads_the_same(
    write: Write, separator: str, mark: str, start: str
) -> None:
    text = start + as_csv(sizes(), separator).replace(".", mark).replace("\n", "\r\n") + "\r\n"
    assert answer("returns", write(text, "sheet.csv")) == answer("returns", write(sizes()))


def test_a_spreadsheet_may_say_its_separator(write: Write) -> None:
    text = "sep=;\n" + as_csv(sizes(), ";")
    assert answer("returns", write(text, "sep.csv")) == answer("returns", write(sizes()))


def test_quoted_decimal_commas_and_trailing_separators_are_read(write: Write) -> None:
    lines = as_csv(sizes()).splitlines()
    quoted = [lines[0] + ","] + [
        ",".join(f'"{cell.replace(".", ",")}"' for cell in line.split(",")) + ","
        for line in lines[1:]
    ]
    assert answer("returns", write("\n".join(quoted), "quoted.csv")) == answer(
        "returns", write(sizes())
    )


def test_a_thousand_grouped_by_points_is_no_small_number(write: Write) -> None:
    text = "size;energy_j;accuracy\ns;1.204;0,91\ns;1.210;0,92\nm;2.500,5;0,95\nm;2.480;0,96\n"
    found = answer("returns", write(text))
    assert [s["energy_wh"]["median"] * 3600 for s in found["sizes"]] == pytest.approx(
        [1207, 2490.25]
    )


def test_a_comma_that_may_mean_either_is_refused_with_the_cause(write: Write) -> None:
    path = write("size;energy_wh;accuracy\ns;1,204;0.91\nm;2,500;0.95\n")
    assert "energy_wh is '1,204'; expected a finite number: whether its comma" in refusal(
        "returns", path
    )


def test_a_decimal_comma_in_a_table_of_commas_is_named(write: Write) -> None:
    path = write("size,energy_wh,accuracy\ns,1,2,0,91\n")
    assert refusal("returns", path) == (
        f"{path}:2 has 5 cells; expected 3, one for each column of the header, separated by "
        "commas; decimal commas need quotes or semicolons"
    )


@pytest.mark.parametrize("shown", ["{:.10f}%", "{:.10f} %"])
def test_percentages_that_say_so_are_read(write: Write, shown: str) -> None:
    rows = [{**row, "accuracy": shown.format(100 * row["accuracy"])} for row in sizes()]
    found, expected = answer("returns", write(rows)), answer("returns", write(sizes()))
    assert [s["accuracy"]["median"] for s in found["sizes"]] == pytest.approx(
        [s["accuracy"]["median"] for s in expected["sizes"]], abs=1e-9
    )


def test_percentages_that_do_not_say_so_are_refused_with_the_option(write: Write) -> None:
    rows = [{**row, "accuracy": 100 * row["accuracy"]} for row in sizes()]
    path = write(rows)
    assert refusal("returns", path).endswith(
        "expected a share from 0 to 1: divide percentages by 100, or say `--accuracy-unit percent`"
    )
    named = write(renamed(rows, accuracy="accuracy (%)"), "named.csv")
    expected = answer("returns", write(sizes(), "shares.csv"))["sentence"]
    for arguments in ((path, "--accuracy-unit", "percent"), (named,)):
        assert answer("returns", *arguments)["sentence"] == expected


def test_shares_in_a_column_of_percentages_are_asked_about(write: Write) -> None:
    path = write(renamed(sizes(), accuracy="accuracy_pct"))
    assert "say which with `--accuracy-unit` (share, percent)" in refusal("returns", path)


@pytest.mark.parametrize("accuracy", [1.2, -0.1, "101%"])
def test_an_accuracy_out_of_range_is_named_by_its_place(write: Write, accuracy: Any) -> None:
    rows = sizes()
    rows[3]["accuracy"] = accuracy
    path = write(rows)
    assert refusal("returns", path).startswith(f"{path}:5: accuracy is ")
    assert refusal("factors", path, "--factors", "size", "--response", "accuracy").startswith(
        f"{path}:5: accuracy is "
    )


@pytest.mark.parametrize("nothing", ["", "NA", "NaN", "nan", "None", "n/a", "null", "<NA>", "-"])
def test_an_energy_that_is_missing_is_unknown(write: Write, nothing: str) -> None:
    rows = sizes()
    rows[0]["energy_wh"] = nothing
    found = answer("returns", write(rows))
    assert [(s["energy_wh"]["n"], s["accuracy"]["n"]) for s in found["sizes"]] == [
        (5, 6), (6, 6), (6, 6),
    ]  # fmt: skip


def test_none_is_the_name_of_a_practice(write: Write) -> None:
    rows = [
        {"practice": practice, "repeat": repeat, "energy_wh": energy_wh + repeat}
        for practice, energy_wh in (("none", 10), ("2", 5))
        for repeat in range(3)
    ]
    assert answer("practices", write(rows))["baseline"] == "none"


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index"])
def test_the_index_that_pandas_writes_is_ignored(write: Write, name: str) -> None:
    rows = [{name: number, **row} for number, row in enumerate(sizes())]
    found = ask("returns", write(rows, "index.csv"), write(rows[::-1], "again.csv"))
    assert found["answers"] == [answer("returns", write(sizes()))]


def test_an_index_of_names_is_asked_for(write: Write) -> None:
    rows = renamed(sizes(), size="")
    assert "has no name for column 1; give it one" in refusal("returns", write(rows))


@pytest.mark.parametrize(
    ("column", "per_wh"),
    [
        ("energy (Wh)", 1), ("Energy [kWh]", 0.001), ("energy, J", 3600),
        ("metrics.energy_kj", 3.6),
    ],
)  # fmt: skip
def test_units_in_headers_are_read(write: Write, column: str, per_wh: float) -> None:
    rows = [{**row, "energy_wh": row["energy_wh"] * per_wh} for row in sizes()]
    found = answer("returns", write(renamed(rows, energy_wh=column)))
    expected = answer("returns", write(sizes(), "plain.csv"))
    assert [s["energy_wh"]["median"] for s in found["sizes"]] == pytest.approx(
        [s["energy_wh"]["median"] for s in expected["sizes"]]
    )


# What is averaged


@pytest.mark.parametrize(
    "column",
    ["gpu", "gpu_model", "cpu_model", "tracking_mode", "epochs", "params.epochs", "batch_size",
     "gpu_count", "host", "os", "tags.gpu"],
)  # fmt: skip
def test_what_changes_the_meaning_of_energy_is_not_averaged_over(write: Write, column: str) -> None:
    rows = [{**row, column: ("one", "two")[row["repeat"] % 2]} for row in sizes()]
    path = write(rows)
    shown = refusal("returns", path)
    assert f"figures differ in {column} (one, two) and are not averaged" in shown
    assert shown.endswith(f"select one with `--where {column}=one`")
    assert answer("returns", path, "--where", f"{column}=one")["sizes"][0]["energy_wh"]["n"] == 3
    shown = refusal("factors", path, "--factors", "size", "--response", "energy_wh")
    assert f"figures differ in {column} (one, two)" in shown
    factors = ("--factors", f"size,{column}", "--response", "energy_wh")
    assert answer("factors", path, *factors)["n"] == 18


@pytest.mark.parametrize("column", ["gpu_model", "cpu_model", "tracking_mode"])
def test_searches_of_two_devices_are_not_compared(write: Write, column: str) -> None:
    rows = [{**row, column: f"number {row['seed'] % 2}"} for row in trials()]
    assert f"differ in {column} (number 0, number 1)" in refusal("strategies", write(rows))
    assert len(ask("strategies", write(rows), "--group", column)["answers"]) == 2


def test_what_a_search_searches_may_differ(write: Write) -> None:
    rows = [{**row, "batch_size": 16 * (1 + row["number"] % 3)} for row in trials()]
    assert answer("strategies", write(rows)) == answer("strategies", write(trials()))


@pytest.mark.parametrize(
    ("column", "heading"),
    [
        ("val_accuracy", "validation accuracy"), ("metrics.val_acc", "validation accuracy"),
        ("test_accuracy", "test accuracy"), ("accuracy", "accuracy"), ("top1", "top1"),
    ],
)  # fmt: skip
def test_an_accuracy_is_called_what_it_is(write: Write, column: str, heading: str) -> None:
    path = write(renamed(sizes(), accuracy=column))
    options = ["--accuracy-column", column] if column == "top1" else []
    done = CliRunner().invoke(cli, ["compare", "returns", str(path), *options])
    assert f"┃ {heading}" in " ".join(done.stdout.split())
    assert answer("returns", path, *options)["accuracy_name"] == heading


def test_energies_of_parts_are_no_headline(write: Write) -> None:
    rows = [{**row, "gpu_wh": row["cpu_wh"]} for row in renamed(sizes(), energy_wh="cpu_wh")]
    path = write(rows)
    assert refusal("returns", path).endswith(
        "name it with `--energy-column`: it may be 'cpu_wh' or 'gpu_wh'"
    )
    assert answer("returns", path, "--energy-column", "gpu_wh")


def test_several_columns_that_may_be_meant_are_asked_for(write: Write) -> None:
    rows = [
        {**row, "metrics.accuracy": row["accuracy"], "summary.accuracy": row["accuracy"] / 2}
        for row in sizes()
    ]
    rows = [{k: v for k, v in row.items() if k != "accuracy"} for row in rows]
    assert refusal("returns", write(rows)) == (
        "several columns may be meant for accuracy: metrics.accuracy, summary.accuracy; name one "
        "with `--accuracy-column`"
    )


# Order and status


def energy_to_target(found: dict[str, Any]) -> list[float | None]:
    return [each["energy_to_target_wh"] for each in found["strategies"]]


@pytest.mark.parametrize(("dropped", "order"), [("start_time", "number"), ("number", "start_time")])
def test_numbers_and_times_order_trials_whatever_the_rows_do(
    write: Write, dropped: str, order: str
) -> None:
    rows = [{k: v for k, v in row.items() if k != dropped} for row in trials()]
    shuffled = random.Random(0).sample(rows, len(rows))
    expected = answer("strategies", write(rows, "rising.csv"))
    assert energy_to_target(expected)[1] == pytest.approx(6.3, abs=0.1)
    for others in (rows[::-1], shuffled):
        found = ask("strategies", write(others))
        assert found["answers"] == [expected]
        assert found["notes"][-1].endswith(f"order {order}")


def test_equal_times_of_a_table_of_the_newest_first_are_in_the_order_of_time(write: Write) -> None:
    rows = [
        {k: v for k, v in row.items() if k != "number"}
        | {"start_time": row["start_time"][:14] + f"{row['number'] // 2:02}:00"}
        for row in trials()
    ]
    assert answer("strategies", write(rows[::-1])) == answer("strategies", write(rows, "up.csv"))


def test_a_time_that_orders_nothing_is_refused_or_left_out(write: Write) -> None:
    rows = [{k: v for k, v in row.items() if k != "number"} for row in trials()]
    rows = [{**row, "start_time": "03.04.2026 10:00"} for row in rows]
    assert "start_time is '03.04.2026 10:00'; expected a number or a time" in refusal(
        "strategies", write(rows)
    )
    assert ask("strategies", write(rows), "--order-column", "")["answers"]


@pytest.mark.parametrize("column", ["status", "state", "State", "tags.status"])
@pytest.mark.parametrize("good", ["FINISHED", "COMPLETE", "finished", "TERMINATED", "completed"])
def test_what_other_tools_call_completed_is_completed(write: Write, column: str, good: str) -> None:
    rows = [{**row, column: good} for row in trials()]
    assert answer("strategies", write(rows))["target"] == pytest.approx(0.945, abs=0.01)


@pytest.mark.parametrize(
    ("status", "counts"),
    [
        ("FAILED", (1, 0, 8)), ("FAIL", (1, 0, 8)), ("crashed", (1, 0, 8)), ("KILLED", (1, 0, 8)),
        ("PRUNED", (0, 1, 8)), ("RUNNING", (0, 0, 7)), ("WAITING", (0, 0, 7)),
    ],
)  # fmt: skip
def test_a_trial_that_did_not_complete_is_none_that_was_found(
    write: Write, status: str, counts: tuple[int, int, int]
) -> None:
    rows = [{**row, "state": "COMPLETE"} for row in trials()]
    rows[7] |= {"state": status, "val_accuracy": 0.999}
    found = ask("strategies", write(rows))
    tpe = found["answers"][0]["strategies"][1]
    assert tpe["best_accuracy"] < 0.99
    assert (tpe["failed_trials"], tpe["stopped_trials"], tpe["trials"] - 16) == counts
    said = "left out: 1 of 48 rows, which have not ended (state)" in found["notes"]
    assert said == (counts[2] == 7)


def test_results_that_did_not_complete_are_left_out_and_said(write: Write) -> None:
    rows = [{**row, "status": "FINISHED"} for row in sizes()]
    bad = [{**rows[0], "repeat": 7, "accuracy": 0.1, "status": s} for s in ("FAILED", "RUNNING")]
    found = ask("returns", write(rows + bad))
    assert found["answers"] == [answer("returns", write(sizes()))]
    assert {"left out: 1 failed"} <= set(found["notes"])


def test_an_unknown_status_is_named_with_those_that_are_known(write: Write) -> None:
    rows = [{**row, "state": "Bavaria"} for row in trials()]
    path = write(rows)
    shown = refusal("strategies", path)
    assert shown.startswith(f"{path}:2: state is 'Bavaria'; expected how the run ended: one of fin")


@pytest.mark.parametrize("status", ["RUNNING", "FAILED"])
def test_a_table_in_which_nothing_completed_is_refused(write: Write, status: str) -> None:
    rows = [{**row, "status": status} for row in sizes()]
    assert f"18 {status.lower()}" in refusal("returns", write(rows)).lower()


# Exports


def test_an_export_of_mlflow_is_read_without_options(write: Write) -> None:
    path = write(in_mlflow(trials()))
    named = ("--strategy-column", "params.strategy", "--seed-column", "params.seed")
    expected = answer("strategies", write(trials(), "plain.csv"))
    for options in ((), named):
        found = answer("strategies", path, *options)
        assert energy_to_target(found) == energy_to_target(expected)
        assert found["equal_trials"]["found"] == expected["equal_trials"]["found"]


def test_parents_of_nested_runs_are_left_out(write: Write) -> None:
    runs = in_mlflow(trials())
    parent = {**runs[0], "run_id": "p", "metrics.energy_wh": "", "metrics.val_accuracy": ""}
    nested = [{**run, "tags.mlflow.parentRunId": "p"} for run in runs]
    found = ask("strategies", write([*nested, {**parent, "tags.mlflow.parentRunId": ""}]))
    assert found["answers"] == [answer("strategies", write(runs, "flat.csv"))]
    assert "left out: 1 runs that are parents of others" in found["notes"]


def test_an_export_of_our_own_store_is_not_taken_for_another_tools(write: Write) -> None:
    rows = [{**run, "tags.kind": "case", "tags.case_hash": "a"} for run in in_mlflow(trials())]
    assert "an export of greenbench's own store" in refusal("strategies", write(rows))


def test_a_status_that_is_empty_is_unknown(write: Write) -> None:
    rows = [{**row, "status": "" if row["number"] % 2 else "FINISHED"} for row in trials()]
    assert answer("strategies", write(rows))["target"] == pytest.approx(0.945, abs=0.01)


def test_an_export_of_wandb_is_read_without_options(write: Write) -> None:
    found = answer("strategies", write(in_wandb(trials())))
    assert energy_to_target(found) == energy_to_target(
        answer("strategies", write(trials(), "plain.csv"))
    )


def codecarbon_row(number: int, size: str, accuracy: float) -> Record:
    return {
        "timestamp": f"2026-01-01T00:{number:02}:00", "project_name": "codecarbon",
        "run_id": f"run-{number}", "duration": 12.5, "emissions": 1e-5, "emissions_rate": 1e-6,
        "cpu_energy": 1e-4, "gpu_energy": 0.0, "ram_energy": 1e-5,
        "energy_consumed": (1 + number / 100) * {"s": 0.001, "m": 0.002}[size],
        "country_name": "Netherlands", "os": "Linux", "cpu_model": "a CPU", "gpu_model": "",
        "tracking_mode": "machine", "size": size, "accuracy": accuracy,
    }  # fmt: skip


def test_energy_of_codecarbon_is_in_kilowatt_hours(write: Write) -> None:
    rows = [codecarbon_row(n, "sm"[n % 2], 0.9 + n % 2 / 20) for n in range(6)]
    found = answer("returns", write(rows))
    assert [s["energy_wh"]["median"] for s in found["sizes"]] == pytest.approx([1.02, 2.06])
    bare = [{k: row[k] for k in ("size", "accuracy", "energy_consumed")} for row in rows]
    assert "say it with `--energy-unit`" in refusal("returns", write(bare))
    rows[0]["tracking_mode"] = "process"
    assert "differ in tracking_mode (machine, process)" in refusal("returns", write(rows))


@pytest.mark.integration
def test_what_optuna_writes_is_read_and_its_value_is_asked_for(tmp_path: Path) -> None:
    import optuna  # noqa: PLC0415

    frames = []
    for name, sampler in (
        ("tpe", optuna.samplers.TPESampler),
        ("r", optuna.samplers.RandomSampler),
    ):
        for seed in range(2):
            study = optuna.create_study(direction="maximize", sampler=sampler(seed=seed))

            def objective(trial: Any) -> float:
                x = trial.suggest_float("lr", 0, 1)
                trial.set_user_attr("energy_wh", 1.0 + x / 10)
                if trial.number == 2:
                    raise optuna.TrialPruned
                if trial.number == 3:
                    raise ValueError
                return 0.5 + x / 4

            study.optimize(objective, n_trials=6, catch=(ValueError,))
            study.enqueue_trial({"lr": 0.5})
            frames.append(study.trials_dataframe().assign(strategy=name, seed=seed))
    path = tmp_path / "optuna.csv"
    pd.concat(frames).iloc[::-1].to_csv(path)
    assert refusal("strategies", path).endswith("`--score-column`: it may be 'value'")
    found = answer("strategies", path, "--accuracy-column", "value")
    counts = [(s["trials"], s["stopped_trials"], s["failed_trials"]) for s in found["strategies"]]
    # A trial that was pruned before its first report has no accuracy, either.
    assert counts == [(12, 2, 4), (12, 2, 4)]


@pytest.mark.integration
def test_what_mlflow_writes_is_read(tmp_path: Path) -> None:
    import mlflow  # noqa: PLC0415

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'runs.db'}")
    mlflow.set_experiment("search")
    for row in trials(3):
        with mlflow.start_run():
            mlflow.log_params({"strategy": row["strategy"], "seed": row["seed"]})
            mlflow.log_metrics({n: row[n] for n in ("energy_wh", "val_accuracy")})
    path = tmp_path / "runs.csv"
    mlflow.search_runs().to_csv(path)
    (tmp_path / "plain.csv").write_text(as_csv(trials(3)))
    assert energy_to_target(answer("strategies", path)) == energy_to_target(
        answer("strategies", tmp_path / "plain.csv")
    )


@pytest.mark.integration
def test_what_codecarbon_writes_is_read(tmp_path: Path) -> None:
    from codecarbon import OfflineEmissionsTracker  # noqa: PLC0415

    for _ in range(2):
        tracker = OfflineEmissionsTracker(
            country_iso_code="NLD", output_dir=str(tmp_path), allow_multiple_runs=True
        )
        tracker.start()
        tracker.stop()
    table = pd.read_csv(tmp_path / "emissions.csv").assign(size=["s", "m"], accuracy=[0.9, 0.95])
    path = tmp_path / "results.csv"
    table.to_csv(path, index=False)
    found = {
        size["network"]: size["energy_wh"]["median"] for size in answer("returns", path)["sizes"]
    }
    assert found == pytest.approx(dict(zip("sm", 1000 * table["energy_consumed"], strict=True)))


# Results of greenbench


def own(session: str, **changed: Any) -> str:
    """Return a family of sizes as `pytest --benchmark-json` writes it; noise is of the energy."""
    noise = random.Random(session)
    repeats = [
        {
            **make_row(
                f"simple_cnn.{row['size']}",
                energy_wh=row["energy_wh"] * noise.uniform(0.99, 1.01),
                accuracy=row["accuracy"],
            ),
            "repeat": row["repeat"],
            "session": session,
            **changed,
        }
        for row in sizes()
    ]
    return json.dumps({"benchmarks": [{"extra_info": {"repeats": repeats, "trials": []}}]})


def test_sessions_of_equal_seeds_prove_no_more_than_one(write: Write) -> None:
    paths = [write(own(name), f"{name}.json") for name in ("first", "second", "third")]
    once, thrice = answer("returns", paths[0]), ask("returns", *paths)
    (found,) = thrice["answers"]
    for one, three in zip(once["sizes"], found["sizes"], strict=True):
        assert (one["accuracy"], one["p"]) == (three["accuracy"], three["p"])
        assert (one["energy_wh"]["n"], three["energy_wh"]["n"]) == (6, 18)
    assert (
        "36 of 54 results run a repeat again, with the same seeds: their energies count, their "
        "accuracies once (18 repeats)" in thrice["notes"]
    )


def test_a_copy_of_results_counts_once(write: Write) -> None:
    base, copy = write(own("first"), "base.json"), write(own("first"), "copy.json")
    found = ask("returns", base, copy)
    assert found["answers"] == [answer("returns", base)]
    assert found["notes"] == [
        f"18 of 18 rows of {copy} are in another file as well, and count once"
    ]


def test_results_of_two_networks_under_one_name_are_refused(write: Write) -> None:
    paths = [write(own("first"), "one.json"), write(own("second", parameters=99), "other.json")]
    for question in ("returns", "strategies"):
        assert "differ in number of parameters (1234, 99)" in refusal(question, *paths)


def test_a_gate_takes_equal_seeds_once(write: Write, tmp_path: Path) -> None:
    paths = [write(own(name), f"{name}.json") for name in ("first", "second")]
    budget = write('[[budget]]\ncase = "*"\naccuracy = { min = 0.94 }\n', "budgets.toml")
    done = CliRunner().invoke(cli, ["gate", *map(str, paths), "--budget", str(budget), "--json"])
    found = json.loads(done.stdout)
    assert [len(each["samples"]) for each in found["judgements"]] == [6, 6, 6]
