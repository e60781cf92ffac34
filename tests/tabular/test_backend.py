"""The tabular backend: what it opens, trains, costs, and refuses."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenbench import registry
from greenbench.architectures import Native, build_architecture
from greenbench.backends import Backend, BuildRequest, ReplayingBackend, TrainableModel
from greenbench.backends.base import AdamOptions, sample_order
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.energy.meter import Meter
from greenbench.errors import ConfigurationError, EnergyError
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.results.marks import marks_of
from greenbench.results.readings import Provenance
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.strategies.spaces import ADAM, Dimension, SearchSpace
from greenbench.tabular import write_recording
from greenbench.tabular.backend import TabularBackend, TabularModel
from greenbench.tabular.odometer import Odometer, TabularMeter
from greenbench.tabular.recording import Cost
from tests.tabular.recordings import EPOCHS, EVALUATE_J, PARAMETERS, TRAIN_J, make_recording

CASE = Case("random", "dense", "tabular", size="xs", trials=3, epochs=EPOCHS)
ORDER = sample_order(1000, 64, seed=0, epoch=0)

registry.register_space("tabular_wide")(
    SearchSpace("tabular_wide", (Dimension("learning_rate", 1e-6, 1e-1, prior="log"),))
)
registry.register_space("tabular_narrow")(
    SearchSpace("tabular_narrow", (Dimension("learning_rate", 1e-4, 1e-2),))
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tabular")
    write_recording(make_recording(), folder)
    return folder


@pytest.fixture
def backend(folder: Path) -> TabularBackend:
    backend = TabularBackend("tabular", threads=1, folder=folder)
    backend.open(CASE)
    return backend


class Clocks:
    """CPU and wall clock that a test turns."""

    def __init__(self) -> None:
        self.cpu_s = self.wall_s = 0.0
        self.odometer = Odometer(lambda: self.cpu_s, lambda: self.wall_s)
        self.odometer.power_w = 2.0

    def compute(self, seconds: float) -> None:
        self.cpu_s += seconds
        self.wall_s += 2 * seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks of the backends that a test makes; they stand still unless it turns them."""
    clocks = Clocks()
    monkeypatch.setattr("greenbench.tabular.backend.Odometer", lambda: clocks.odometer)
    return clocks


@pytest.fixture
def request_() -> BuildRequest:
    return BuildRequest(build_architecture("dense", (1, 8, 8), 10, size="xs"), seed=7)


@pytest.fixture
def model(backend: TabularBackend, request_: BuildRequest) -> TabularModel:
    return backend.build(request_)


@pytest.fixture
def meter(backend: TabularBackend) -> Iterator[TabularMeter]:
    meter = backend.meter()
    meter.begin_window()
    yield meter
    meter.close()


def train(model: TabularModel, epochs: int) -> list[float]:
    return [model.train_epoch(ORDER) for _ in range(epochs)]


def curve(model: TabularModel) -> list[float]:
    """Train to the end; return losses and accuracies."""
    return [x for _ in range(EPOCHS) for x in (*train(model, 1), model.evaluate("validation"))]


def test_it_is_what_the_runner_takes(backend: TabularBackend, model: TabularModel) -> None:
    assert isinstance(backend, Backend)
    assert isinstance(backend, ReplayingBackend)
    assert isinstance(model, TrainableModel)
    assert isinstance(backend.meter(), Meter)
    assert registry.backends.get("tabular") is TabularBackend
    assert all(isinstance(value, str) and value for value in backend.describe().values())


def test_data_set_has_the_recorded_shape_and_takes_no_memory(backend: TabularBackend) -> None:
    dataset = backend.open(CASE)
    assert dataset.input_shape == (1, 8, 8)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [
        1000,
        200,
        200,
    ]
    assert dataset.train.images.strides == (0, 0, 0, 0)
    assert dataset.classes == 10
    assert "recorded on" in dataset.source


def test_recordings_are_found_where_the_settings_say(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENBENCH_TABULAR_DIR", str(folder))
    assert TabularBackend("tabular", threads=1).open(CASE).name == "digits"


def test_recording_that_was_replaced_is_read_again(folder: Path, tmp_path: Path) -> None:
    backend = TabularBackend("tabular", threads=1, folder=tmp_path)
    recording = make_recording()
    for classes in (10, 100):
        write_recording(
            replace(recording, dataset={**recording.dataset, "classes": classes}), tmp_path
        )
        assert backend.open(CASE).classes == classes


def test_missing_recording_is_named_with_those_that_there_are(backend: TabularBackend) -> None:
    with pytest.raises(ConfigurationError, match=r"dense.m-digits.*available: dense.xs-digits"):
        backend.open(replace(CASE, size="m"))


def test_empty_folder_has_none(tmp_path: Path) -> None:
    backend = TabularBackend("tabular", threads=1, folder=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="available: none; record it with"):
        backend.open(CASE)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": EPOCHS + 1}, r"epochs is 5; .* was recorded for 4: use `--epochs 4`"),
        ({"batch_size": 32}, r"batch size is 32; .* was recorded with 64"),
        ({"space": "paper5"}, r"'paper5' searches epsilon, which .* recorded without"),
        ({"space": "tabular_wide"}, r"learning_rate from 1e-06 to 0.1; .* from 1e-05 to 0.1"),
        ({"dataset_options": {"limit": 100}}, r"\{'limit': 100\} change nothing"),
    ],
    ids=["epochs", "batch", "dimension", "bounds", "data"],
)
def test_case_that_was_not_recorded_is_refused(
    backend: TabularBackend, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        backend.open(replace(CASE, **changed))


@pytest.mark.parametrize(
    "changed", [{"space": "paper3"}, {"space": "tabular_narrow"}, {"epochs": 1}], ids=str
)
def test_case_inside_the_recording_is_replayed(
    backend: TabularBackend, changed: dict[str, Any]
) -> None:
    assert backend.open(replace(CASE, **changed)).name == "digits"


@pytest.mark.parametrize(
    "options",
    [AdamOptions(learning_rate=0.5), AdamOptions(beta1=1.0), AdamOptions(weight_decay=0.1)],
    ids=["above", "excluded", "not searched"],
)
def test_hyperparameters_that_were_not_recorded_are_refused(
    backend: TabularBackend, request_: BuildRequest, options: AdamOptions
) -> None:
    with pytest.raises(ConfigurationError, match="was not recorded there"):
        backend.build(replace(request_, optimizer=options))


def test_architecture_that_has_changed_is_refused(backend: TabularBackend) -> None:
    changed = build_architecture("dense", (1, 8, 8), 10, size="m")
    with pytest.raises(ConfigurationError, match=f"was recorded with {PARAMETERS}: the archit"):
        backend.build(BuildRequest(changed))


def test_native_architecture_can_be_replayed(backend: TabularBackend) -> None:
    native = Native("dense", "torch", lambda: None)
    assert backend.build(BuildRequest(native)).parameters == PARAMETERS


def test_nothing_is_built_before_a_recording_is_open(folder: Path, request_: BuildRequest) -> None:
    with pytest.raises(ConfigurationError, match="no recording is open"):
        TabularBackend("tabular", threads=1, folder=folder).build(request_)


def test_training_learns_and_is_the_same_for_the_same_seed(
    backend: TabularBackend, request_: BuildRequest
) -> None:
    first, again, other = (curve(backend.build(replace(request_, seed=seed))) for seed in (7, 7, 8))
    assert first == again != other
    assert first[-1] > 0.75


def test_untrained_model_guesses(model: TabularModel) -> None:
    assert model.evaluate("validation") == 0.1


def test_training_goes_no_further_than_recorded(model: TabularModel) -> None:
    train(model, EPOCHS)
    with pytest.raises(ConfigurationError, match="recorded for 4 epochs"):
        model.train_epoch(ORDER)


def test_model_cannot_predict(model: TabularModel) -> None:
    with pytest.raises(ConfigurationError, match="no weights"):
        model.predict(np.zeros((1, 1, 8, 8), np.float32))


def test_deterministic_costs_are_the_recorded_ones(model: TabularModel) -> None:
    recording = make_recording()
    assert model.parameters == recording.parameters
    assert model.count_train_flops() == recording.train_flops_per_sample


@given(pauses=st.lists(st.integers(0, 1), min_size=EPOCHS, max_size=EPOCHS))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pausing_changes_nothing(
    backend: TabularBackend, request_: BuildRequest, pauses: list[int]
) -> None:
    paused, straight = backend.build(request_), curve(backend.build(request_))
    seen: list[float] = []
    for pause in pauses:
        if pause:
            curve(backend.build(replace(request_, seed=99)))
        seen += [*train(paused, 1), paused.evaluate("validation")]
    assert seen == straight


def test_checkpoint_restores_another_model_of_another_seed(
    backend: TabularBackend, request_: BuildRequest, tmp_path: Path
) -> None:
    model = backend.build(request_)
    train(model, 2)
    saved, seen = model.get_weights(), [model.evaluate(split) for split in ("validation", "test")]
    journal = Journal(tmp_path / "journal.jsonl")
    journal.save_checkpoint(0, saved)
    fresh = backend.build(replace(request_, seed=8))
    fresh.set_weights(journal.load_checkpoint(0))
    assert [fresh.evaluate(split) for split in ("validation", "test")] == seen
    assert train(fresh, EPOCHS - 2) == train(model, EPOCHS - 2)


def test_diverged_training_says_so(tmp_path: Path, request_: BuildRequest) -> None:
    recording = make_recording()
    wild = tuple(
        replace(
            each,
            status=type(each.status)("diverged"),
            train_loss=(1.0, *(None,) * (EPOCHS - 1)),
        )
        if each.hyperparameters["learning_rate"] > 0.01
        else each
        for each in recording.trainings
    )
    write_recording(replace(recording, trainings=wild), tmp_path)
    backend = TabularBackend("tabular", threads=1, folder=tmp_path)
    backend.open(CASE)
    model = backend.build(replace(request_, optimizer=AdamOptions(learning_rate=0.09)))
    assert np.isfinite(train(model, EPOCHS)).tolist() == [True, False, False, False]


def test_training_costs_what_was_recorded(model: TabularModel, meter: TabularMeter) -> None:
    train(model, 3)
    reading = meter.end_window()
    assert reading.energy_j == pytest.approx(3 * TRAIN_J)
    assert reading.duration_s == pytest.approx(3.0)


def test_part_of_an_epoch_costs_its_part(model: TabularModel, meter: TabularMeter) -> None:
    model.train_epoch(ORDER[: len(ORDER) // 3])
    assert meter.end_window().energy_j == pytest.approx(TRAIN_J / 3)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_costs_what_was_recorded(
    model: TabularModel, meter: TabularMeter, split: str
) -> None:
    model.evaluate(split)
    assert meter.end_window().energy_j == pytest.approx(EVALUATE_J)


@pytest.mark.parametrize("step", ["_check_case", "_hyperparameters"])
def test_building_and_opening_cost_nothing(
    clocks: Clocks,
    folder: Path,
    request_: BuildRequest,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    module = sys.modules[TabularBackend.__module__]
    real = getattr(module, step)

    def slow(*arguments: Any) -> Any:
        clocks.compute(3.0)
        return real(*arguments)

    monkeypatch.setattr(module, step, slow)
    backend = TabularBackend("tabular", threads=1, folder=folder)
    meter = backend.meter()
    meter.begin_window()
    backend.open(CASE)
    backend.build(request_)
    assert clocks.cpu_s == 3.0
    assert meter.end_window().energy_j == 0.0


def test_replayed_energy_is_never_measured_here(meter: TabularMeter, backend: Backend) -> None:
    reading = meter.end_window()
    assert reading.provenance is Provenance.MODEL
    assert reading.components["cpu"].source == "tabular: recorded by made up"
    assert set(meter.describe()) == {"cpu"}


def test_windows_neither_nest_nor_end_twice(meter: TabularMeter) -> None:
    with pytest.raises(EnergyError):
        meter.begin_window()
    meter.end_window()
    with pytest.raises(EnergyError):
        meter.end_window()
    meter.close()
    meter.close()


def test_clock_advances_by_recorded_time_and_never_goes_back(
    clocks: Clocks, backend: TabularBackend, request_: BuildRequest
) -> None:
    before = backend.now_s()
    assert before > 1.6e9
    train(backend.build(request_), 2)
    assert backend.now_s() - before == pytest.approx(2.0)


@pytest.mark.usefixtures("clocks")
def test_recording_that_is_opened_starts_now_whatever_was_replayed_before(
    backend: TabularBackend, request_: BuildRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Runs are put in order by when their repeats started, and another one may come in between.
    monkeypatch.setattr("greenbench.tabular.backend.time.time", lambda: 2e9)
    train(backend.build(request_), EPOCHS)
    backend.open(CASE)
    assert backend.now_s() == 2e9


def test_proposals_cost_what_they_really_take() -> None:
    clocks = Clocks()
    meter = TabularMeter(clocks.odometer, lambda: "made up")
    meter.begin_window()
    clocks.compute(3.0)
    reading = meter.end_window()
    assert (reading.energy_j, reading.duration_s) == (6.0, 6.0)


def test_replaying_costs_no_more_than_was_recorded() -> None:
    clocks = Clocks()
    before = clocks.odometer.edge()
    clocks.compute(3.0)
    clocks.odometer.advance(Cost(5.0, 1.0, 0.5))
    clocks.compute(4.0)
    assert clocks.odometer.read() - before == Cost(5.0, 1.0, 0.5)
    assert clocks.odometer.edge() - before == Cost(5.0, 1.0, 0.5)
    clocks.compute(1.0)
    assert clocks.odometer.edge() - before == Cost(7.0, 3.0, 1.5)


def test_uncounted_work_costs_nothing_and_what_is_around_it_does() -> None:
    clocks = Clocks()
    clocks.compute(1.0)
    with clocks.odometer.uncounted():
        clocks.compute(10.0)
    clocks.compute(1.0)
    assert clocks.odometer.edge() == Cost(4.0, 4.0, 2.0)


def run(backend: TabularBackend, folder: Path, case: Case = CASE, repeat: int = 0) -> CaseResult:
    bench = Bench(
        backend=backend,
        meter=backend.meter(),
        control=backend.meter(),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here", "meter": "tabular"},
        data_dir=folder,
        emit=lambda event, values: None,
        clock=backend.now_s,
    )
    return run_repeat(bench, case, repeat, "tests", Journal.of(folder, case, repeat))


def test_whole_search_costs_what_its_trainings_cost(
    clocks: Clocks, backend: TabularBackend, tmp_path: Path
) -> None:
    result = run(backend, tmp_path)
    phases = result.account.phases
    assert phases["train"].energy_j == pytest.approx(3 * EPOCHS * TRAIN_J)
    assert phases["train"].cpu_s == pytest.approx(3 * EPOCHS * 1.0)
    assert phases["evaluate"].energy_j == pytest.approx((3 + 1) * EVALUATE_J)
    assert phases["train"].other_cpu_s == 0.0
    assert result.account.total.energy_j == pytest.approx(
        sum(reading.energy_j or 0.0 for reading in phases.values())
    )
    assert result.reconciliation is not None
    assert result.reconciliation.deviation == pytest.approx(0, abs=1e-9)
    assert result.wall_s == pytest.approx(result.account.total.duration_s, abs=1e-3)
    assert marks_of(result) == ("replayed",)


def test_seed_repeats_a_whole_search(backend: TabularBackend, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    one, two = (run(backend, folder) for folder in folders)
    assert [t.epochs for t in one.trials] == [t.epochs for t in two.trials]
    assert one.test_score == two.test_score


def test_space_of_the_recording_is_the_published_one() -> None:
    assert make_recording().space == ADAM
