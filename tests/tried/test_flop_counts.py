"""FLOPs that nobody can count are unknown, by name, wherever a figure of them would stand."""

import json
from collections.abc import Callable
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from greenbench import register_architecture
from greenbench.architectures import Native, native
from greenbench.backends.base import Backend, BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.compare.returns import compare_returns
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.synthetic import load_synthetic
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import UncountedFlopsError
from greenbench.gate.budgets import read_budgets
from greenbench.gate.judgement import Verdict
from greenbench.gate.judging import judge
from greenbench.results import CaseResult, Costs
from greenbench.results.journal import Journal
from greenbench.results.table import METRICS, TAGS, to_row
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.terminal import new_console, print_summary
from greenbench.testing import FakeClock, FakeMeter
from greenbench.tracking.store import Store
from tests.builders import make_result, make_row

SIDE, CLASSES, HIDDEN = 8, 4, 16
BATCH = 8
OPERATORS = ("aten._fft_r2c", "aten._trilinear")
UNKNOWN = Costs(1234, None, None, 100, 2, 1, OPERATORS)


class RowsByLSTM(nn.Module):
    """Reads an image row by row."""

    def __init__(self, classes: int = CLASSES) -> None:
        super().__init__()
        self.rows = nn.LSTM(SIDE, HIDDEN, batch_first=True)
        self.head = nn.Linear(HIDDEN, classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.rows(images.flatten(1, 2))[0][:, -1])
        return scores


class Waves(nn.Module):
    """Looks at the waves that an image is made of."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.head = nn.Linear(SIDE * (SIDE // 2 + 1), classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.fft.rfft2(images).abs().flatten(1))
        return scores


def keras_lstm() -> Any:
    from keras import Input, Sequential, layers  # noqa: PLC0415

    return Sequential(
        [
            Input((SIDE, SIDE, 1)),
            layers.Reshape((SIDE, SIDE)),
            layers.LSTM(HIDDEN),
            layers.Dense(CLASSES),
        ]
    )


@register_architecture("uncounted_waves")
@native("torch")
def uncounted_waves(image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    return Waves(classes)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    context = LoadContext(0, Path("unused"))
    return load_synthetic(context, samples=80, side=SIDE, classes=CLASSES)


def flops_of(backend: Backend, build: Callable[[], Any], dataset: Dataset) -> int:
    backend.load(dataset)
    native_network = Native("net", backend.name, build)
    return backend.build(BuildRequest(native_network, batch_size=BATCH)).count_train_flops()


def test_recurrent_networks_count_the_same_on_torch_and_keras(dataset: Dataset) -> None:
    """oneDNN's fused operator was in no formula, so that only the last layer was counted."""
    gates = 4 * HIDDEN
    of_input, of_state = 2 * SIDE * gates * SIDE, 2 * SIDE * gates * HIDDEN
    # No gradient of the data, nor of the first state, which is 0.
    expected = 2 * of_input + 3 * of_state - of_state // SIDE + 3 * 2 * HIDDEN * CLASSES
    assert flops_of(TorchBackend("torch", threads=1), RowsByLSTM, dataset) == expected
    # Keras before 3.14 computes one product of a step more, of input and state.
    more = (of_input + of_state) // SIDE if keras_release() < (3, 14) else 0
    of_keras = flops_of(KerasBackend("keras", threads=1), keras_lstm, dataset)
    assert of_keras == expected + more


def keras_release() -> tuple[int, int]:
    major, minor = version("keras").split(".")[:2]
    return int(major), int(minor)


def test_uncounted_operators_are_named(dataset: Dataset) -> None:
    with pytest.raises(UncountedFlopsError, match=r"aten\._fft_r2c"):
        flops_of(TorchBackend("torch", threads=1), lambda: Waves(CLASSES), dataset)


def test_native_networks_on_an_engine_without_a_counter_train_with_unknown_flops(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = KerasBackend("keras", threads=1)
    monkeypatch.setattr(backend._engine, "count_flops", lambda *_: None)
    with pytest.raises(UncountedFlopsError, match="all operators of torch"):
        flops_of(backend, keras_lstm, dataset)


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> CaseResult:
    """Return the result of a case that nobody can count, as its journal has it."""
    folder = tmp_path_factory.mktemp("journal")
    case = Case(
        architecture="uncounted_waves",
        dataset="synthetic",
        dataset_options=(("classes", CLASSES), ("samples", 80), ("side", SIDE)),
        epochs=1,
        batch_size=BATCH,
    )
    bench = Bench(
        backend=TorchBackend("torch", threads=1),
        meter=FakeMeter(FakeClock()),
        control=FakeMeter(FakeClock()),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=folder,
        emit=lambda event, values: None,
    )
    journal = Journal.of(folder, case, 0)
    run_repeat(bench, case, 0, "tests", journal)
    found = journal.read().result
    assert found is not None
    return found


def test_result_of_a_case_says_what_was_not_counted(waves: CaseResult) -> None:
    assert (waves.costs.train_flops, waves.costs.train_flops_per_sample) == (None, None)
    assert "aten._fft_r2c" in waves.costs.uncounted
    assert waves.costs.samples_seen > 0
    row = to_row(waves)
    assert "incomplete" in row["marks"].split()
    assert "aten._fft_r2c" in row["uncounted"].split(", ")


def test_results_of_before_have_nothing_uncounted() -> None:
    values = json.loads(json.dumps(make_result().to_dict()))
    del values["costs"]["uncounted"]
    assert CaseResult.from_dict(values) == make_result()
    assert to_row(make_result())["marks"] is None


@pytest.mark.integration
def test_unknown_flops_come_back_from_mlflow_as_they_went_in(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'mlflow.db'}")
    result = make_result(suite="uncounted", costs=UNKNOWN)
    store.log_result(result, "session/case")
    (row,) = store.read_rows("uncounted")
    assert {name: row[name] for name in (*METRICS, *TAGS, "repeat")} == to_row(result)
    assert (row["train_flops"], row["uncounted"]) == (None, ", ".join(OPERATORS))


def uncounted_row(network: str = "simple_cnn.m", **options: Any) -> dict[str, Any]:
    row = make_row(network, **options)
    names = ("train_flops", "train_flops_per_sample", "marks", "uncounted")
    return {**row, **{name: to_row(make_result(costs=UNKNOWN))[name] for name in names}}


def test_table_shows_no_figure_and_names_the_operators_once() -> None:
    text = StringIO()
    print_summary([uncounted_row(), uncounted_row()], new_console(text))
    shown = " ".join(text.getvalue().split())
    assert "90.0% [90.0, 90.0] │ unknown │" in shown
    assert "incomplete: training FLOPs are unknown" in shown
    assert shown.count("aten._fft_r2c, aten._trilinear cannot be counted") == 1


def test_limit_on_unknown_flops_is_inconclusive(tmp_path: Path) -> None:
    path = tmp_path / "budgets.toml"
    path.write_text('[[budget]]\ncase = "*"\ntrain_flops = { max = 1e9 }\n', encoding="utf-8")
    rows = [{**uncounted_row(), "repeat": repeat} for repeat in range(5)]
    (found,) = judge(rows, read_budgets(path), None).all
    assert (found.verdict, found.value) == (Verdict.INCONCLUSIVE, None)
    assert found.reason == (
        "train_flops are unknown (aten._fft_r2c, aten._trilinear cannot be counted): limit "
        "parameters or energy"
    )


def test_sizes_of_unknown_flops_are_compared_by_energy() -> None:
    rows = [uncounted_row(f"dense.{size}", energy_wh=n + 1.0) for n, size in enumerate("sml")]
    (found,) = compare_returns(rows)
    assert [size.train_flops for size in found.sizes] == [None] * 3
