"""The whole chain, from the meter to the answer, against traces whose integral is known.

Time 0 of a replayed trace is the first window of the worker. Without an idle baseline that
is the one around the first repeat, which therefore uses what the trace holds from 0 s to the
repeat's wall time. A later repeat begins as much later as its first trial does.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

END_S = 600.0
STEP_S = 0.1
WRAPS_AT_J = 30.0
PERIOD_S = 0.5
BURST_S = 0.1
# Whatever else the machine is doing: what a trace holds is known.
COUNT_ALL = ("--include-disturbed",)
SMALL = ("-a", "dense.xs", "-d", "digits", "--epochs", "1", "--repeats", "1")

Cumulative = Callable[[float], float]


@dataclass(frozen=True)
class Scripted:
    """A trace, the joules of each component since 0 s, and the most power in a minute."""

    text: str
    joules: Mapping[str, Cumulative]
    peak_w: float
    idle_s: str = "0"


def constant_j(time_s: float) -> float:
    return 40.0 * time_s


def ramp_j(time_s: float) -> float:
    """20 W, and 15 W more with each second."""
    return 20.0 * time_s + 7.5 * time_s**2


def bursts_j(time_s: float) -> float:
    """10 W, and 80 W more in the last tenth of a second of each half."""
    periods, rest_s = divmod(time_s, PERIOD_S)
    return 10.0 * time_s + 80.0 * (periods * BURST_S + max(rest_s - PERIOD_S + BURST_S, 0.0))


def wave_j(time_s: float) -> float:
    """Between 20 W and 100 W."""
    return 60.0 * time_s + 20.0 * (1.0 - math.cos(2.0 * time_s))


def skipping_j(time_s: float) -> float:
    """20 W, and 70 J more that went by at the start while nobody read."""
    return 20.0 * time_s + (70.0 if time_s >= 3 * STEP_S else 0.0)


def power_trace() -> Scripted:
    """A GPU in bursts, and memory that is measured and so counts."""
    lines = ["# provenance: sampled", "time_s,gpu_w,ram_w"]
    for period in range(int(END_S / PERIOD_S)):
        low_s, high_s = period * PERIOD_S, (period + 1) * PERIOD_S - BURST_S
        lines += [f"{low_s},10,40", f"{high_s},10,40"]
        lines += [f"{high_s},90,40", f"{low_s + PERIOD_S},90,40"]
    return Scripted("\n".join(lines), {"gpu": bursts_j, "ram": constant_j}, peak_w=130.0)


def counter_trace() -> Scripted:
    """A CPU counter that wraps around twice a second, and a GPU counter that skips readings."""
    lines = ["# provenance: counter", f"# cpu_j wraps at: {WRAPS_AT_J}", "time_s,cpu_j,gpu_j"]
    for step in range(int(END_S / STEP_S)):
        time_s = step * STEP_S
        gpu_j = "" if step in (1, 2) else skipping_j(time_s)
        lines.append(f"{time_s},{wave_j(time_s) % WRAPS_AT_J},{gpu_j}")
    return Scripted("\n".join(lines), {"cpu": wave_j, "gpu": skipping_j}, peak_w=360.0)


def model_trace() -> Scripted:
    """Of no declared provenance: a ramp, and memory that does not count."""
    lines = ["time_s,cpu_w,ram_w", "0,20,500", f"{END_S},{20 + 15 * END_S},500"]
    return Scripted("\n".join(lines), {"cpu": ramp_j}, peak_w=920.0, idle_s="1")


def warming_up(rise_w: float) -> str:
    """Return a trace of 50 W, and so many more with each second."""
    return f"# provenance: counter\ntime_s,cpu_w\n0,50\n{END_S},{50 + rise_w * END_S}"


def write(greenbench: Greenbench, text: str, idle_s: str) -> str:
    """Return the name of a meter that replays the text."""
    path = greenbench.folder / "trace.csv"
    path.write_text(text + "\n", encoding="utf-8")
    greenbench.environment["GREENBENCH_IDLE_S"] = idle_s
    return f"replay:{path}"


def stored(greenbench: Greenbench) -> list[Run]:
    """Return the repeats that MLflow holds, in the order in which they ran."""
    client = MlflowClient(f"sqlite:///{greenbench.folder}/mlruns/mlflow.db")
    experiments = [each.experiment_id for each in client.search_experiments()]
    order = ["attributes.start_time ASC"]
    return list(client.search_runs(experiments, "tags.kind = 'case'", order_by=order))


def result_of(greenbench: Greenbench, run: Run) -> dict[str, Any]:
    """Return the journal's record of a repeat."""
    (path,) = (greenbench.folder / "mlruns" / "journal").glob(f"{run.data.tags['key']}.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    values: dict[str, Any] = next(x["values"] for x in lines if x["event"] == "result")
    return values


def unseen_s(run: Run) -> float:
    """Return the seconds that no phase has: the journal's, which a disk may keep waiting, and
    those between windows, where others may keep the worker waiting.
    """
    return run.data.metrics["time/wall_s"] - run.data.metrics["time/total_s"]


def printed(stdout: str, case_id: str) -> tuple[float, list[str]]:
    """Return the energy in Wh that the table of cases shows, and the row's cells."""
    lines = stdout.splitlines()
    heading = next(line for line in lines if "energy, " in line)
    cells = next(line for line in lines if line.startswith(f"│ {case_id} ")).split("│")
    scale = 1000.0 if "energy, mWh" in heading else 1.0
    return float(cells[3]) / scale, [cell.strip() for cell in cells]


@pytest.mark.parametrize(
    "make", [power_trace, counter_trace, model_trace], ids=["power", "counters", "model"]
)
def test_mlflow_the_summary_and_compare_hold_the_integral_of_the_trace(
    greenbench: Greenbench, make: Callable[[], Scripted]
) -> None:
    trace = make()
    meter = write(greenbench, trace.text, trace.idle_s)
    cases = ("-a", "simple_cnn.l", "-a", "simple_cnn.m", "--epochs", "24", "--repeats", "1")
    done = greenbench("run", *cases, "--meter", meter, *COUNT_ALL)
    compared = greenbench.here("compare", "--json", *COUNT_ALL)

    assert done.returncode == 0, done.stderr
    assert compared.returncode == 0, compared.stderr
    (answer,) = json.loads(compared.stdout)["answers"]
    sizes = {size["case_id"]: size["energy_wh"]["median"] for size in answer["sizes"]}
    runs = stored(greenbench)
    assert len(runs) == len(sizes) == 2
    started = [result_of(greenbench, run)["trials"][0]["started_at"] for run in runs]
    for run, start in zip(runs, started, strict=True):
        metrics, case_id = run.data.metrics, run.data.tags["case_id"]
        since_s = start - started[0]
        until_s = since_s + metrics["time/wall_s"]
        parts = {
            name: (joules(until_s) - joules(since_s)) / 3600
            for name, joules in trace.joules.items()
        }
        unseen_wh = unseen_s(run) * trace.peak_w / 3600
        for name, truth_wh in parts.items():
            found_wh = metrics[f"energy/{name}_wh"]
            assert abs(found_wh - truth_wh) <= 0.01 * truth_wh + unseen_wh, name
        truth_wh = sum(parts.values())
        assert abs(metrics["energy/total_wh"] - truth_wh) <= 0.01 * truth_wh + unseen_wh
        assert sizes[case_id] == metrics["energy/total_wh"]
        # Three digits are shown.
        shown_wh, _ = printed(done.stdout, case_id)
        assert shown_wh == pytest.approx(sizes[case_id], rel=0.0051)
        assert "replayed" in run.data.tags["marks"].split()
        # An idle baseline would have used up the trace's beginning, too.
        assert not {"energy/net_wh", "power/idle_w", "quality/idle_drift"} & set(metrics)
    assert "idle power" not in done.stderr


def test_power_that_is_missing_in_mid_run_makes_energy_unknown_and_leaves_accuracy(
    greenbench: Greenbench,
) -> None:
    text = f"# provenance: sampled\ntime_s,cpu_w\n0,40\n0.2,\n0.4,40\n{END_S},40"
    meter = write(greenbench, text, idle_s="0")
    case = ("-a", "simple_cnn.m", "--epochs", "6", "--repeats", "2")
    done = greenbench("run", *case, "--meter", meter, *COUNT_ALL)

    assert done.returncode == 0, done.stderr
    first, second = stored(greenbench)
    assert first.data.metrics["accuracy/test"] > 0.5
    for name in ("energy/total_wh", "energy/train_wh", "energy/cpu_wh", "emissions/g_co2e"):
        assert name not in first.data.metrics
        assert second.data.metrics[name] > 0
    assert first.data.tags["energy_provenance"] == "none"
    assert first.data.tags["energy_reason"].startswith("the trace has a gap between 0.")
    assert "The energy of 1 of 2 samples is unknown: the trace has a gap" in done.stdout
    energy_wh, cells = printed(done.stdout, first.data.tags["case_id"])
    assert cells[2] == "1 of 2"
    assert energy_wh == pytest.approx(second.data.metrics["energy/total_wh"], rel=0.0051)


@pytest.mark.parametrize("rise_w", [5.0, 0.0], ids=["warming_up", "steady"])
def test_net_energy_is_gross_less_idle_power_and_drift_marks_every_run(
    greenbench: Greenbench, rise_w: float
) -> None:
    meter = write(greenbench, warming_up(rise_w), idle_s="3")
    case = ("-a", "dense.xs", "--epochs", "2", "--repeats", "2", "--idle", "1")
    done = greenbench("run", *case, "--meter", meter, *COUNT_ALL)

    assert done.returncode == 0, done.stderr
    runs = stored(greenbench)
    assert len(runs) == 2
    for run in runs:
        metrics = run.data.metrics
        idle_w, duration_s = metrics["power/idle_w"], metrics["time/total_s"]
        # The mean over a second before the suite; after five more where power does not settle.
        assert idle_w >= 0.999 * (50 + rise_w / 2)
        net_wh = metrics["energy/total_wh"] - idle_w * duration_s / 3600
        assert metrics["energy/net_wh"] == pytest.approx(net_wh, rel=1e-6, abs=1e-12)
        assert metrics["energy/cpu_net_wh"] == metrics["energy/net_wh"]
        drift = metrics["quality/idle_drift"]
        assert drift > 0.05 if rise_w else drift < 0.01
        assert ("drifted" in run.data.tags["marks"].split()) == bool(rise_w)
    assert len({run.data.metrics["quality/idle_drift"] for run in runs}) == 1
    assert f"idle power before the suite: cpu {idle_w:.4g} W" in done.stderr
    assert "idle power after the suite: cpu" in done.stderr
    assert done.stderr.count("measuring idle power for 1 s (--idle 0 leaves it out)") == 2
    # Later, the same rise is a small share of the power.
    assert ("(cpu not steady yet)" in done.stderr) == bool(rise_w)
    assert ("idle power changed by" in done.stderr) == bool(rise_w)
    shared = next(line for line in done.stdout.splitlines() if line.startswith("Every case:"))
    assert ("drifted" in shared) == bool(rise_w)


def test_drift_reaches_the_summary_and_the_json_of_a_pytest_run(
    greenbench: Greenbench, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = write(greenbench, warming_up(5.0), idle_s="1")
    monkeypatch.setenv("GREENBENCH_IDLE_S", "1")
    pytester.makepyfile(
        "def test_cost(greenbench_case, greenbench_run): greenbench_run(greenbench_case)"
    )
    case = ("--greenbench-suite", "scaling", "--greenbench-backend", "torch")
    case += ("--greenbench-architecture", "dense.xs", "--greenbench-epochs", "2")
    options = ("--greenbench-repeats", "2", "--greenbench-meter", meter)
    done = pytester.runpytest_subprocess(
        *case, *options, "--greenbench-include-disturbed", "--benchmark-json", "out.json"
    )

    assert done.ret == 0
    done.stdout.fnmatch_lines(["Every case:*replayed*drifted*", "drifted: *(2 of 2 samples)"])
    (benchmark,) = json.loads((pytester.path / "out.json").read_text())["benchmarks"]
    info = benchmark["extra_info"]
    runs = stored(greenbench)
    assert len(runs) == len(info["repeats"]) == 2
    for found in (info, *info["repeats"], *(run.data.tags for run in runs)):
        assert "drifted" in found["marks"].split()
        assert found["energy_provenance"] == "counter"
    (drift,) = {run.data.metrics["quality/idle_drift"] for run in runs}
    assert drift > 0.05
    assert {each["idle_drift"] for each in (info, *info["repeats"])} == {drift}
    assert info["passes"] == 1
    assert info["idle_w"] >= 0.999 * 52.5


def test_headline_that_is_asked_for_is_all_that_counts_and_the_rest_stands_beside(
    greenbench: Greenbench,
) -> None:
    meter = write(greenbench, counter_trace().text, idle_s="0")
    done = greenbench("run", *SMALL, "--meter", meter, "--headline", "gpu")
    assert done.returncode == 0, done.stderr
    (run,) = stored(greenbench)
    tags, figures = run.data.tags, run.data.metrics
    assert (tags["energy_scope"], tags["energy_provenance"]) == ("gpu", "counter")
    assert figures["energy/total_wh"] == figures["energy/gpu_wh"]
    assert figures["energy/cpu_wh"] > 0
    assert "It covers GPU alone" in done.stdout


def test_headline_without_anything_to_count_is_refused_before_anything_runs(
    greenbench: Greenbench,
) -> None:
    meter = write(greenbench, model_trace().text, idle_s="0")
    done = greenbench("run", *SMALL, "--meter", meter, "--headline", "gpu")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert "headline is 'gpu', but the meter finds no GPU (here: cpu estimated" in line
    assert not greenbench.journals
