"""What one backend would refuse and another train, and what nothing reads, all refuse alike."""

import math
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from greenbench import register_space, register_strategy, registry
from greenbench.architectures import (
    BatchNorm,
    Conv,
    Flatten,
    Linear,
    MaxPool,
    ReLU,
    Spec,
)
from greenbench.backends.base import Backend, BuildRequest, sample_order
from greenbench.backends.keras import KerasBackend
from greenbench.backends.torch import TorchBackend
from greenbench.cases import Case
from greenbench.datasets.base import Dataset, Split
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ArchitectureError, HyperparameterError, SearchSpaceError
from greenbench.optimizers.options import ALLOWED, optimizer_options
from greenbench.results.journal import Journal
from greenbench.running.case_checks import check_cases
from greenbench.search import subject as subjects
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.strategies import Dimension, SearchSpace
from greenbench.strategies.spaces import Hyperparameters, find_space
from greenbench.testing import FakeClock, FakeMeter

RATE = "learning_rate"


def register(name: str, *dimensions: Dimension) -> str:
    registry.spaces._loaded.pop(name, None)
    register_space(name)(SearchSpace(name, dimensions))
    return name


OUTSIDE = {
    "below": (Dimension(RATE, -1e-1, -1e-4), "a number above 0"),
    "across": (Dimension(RATE, -1.0, 1.0), "a number above 0"),
    "from 0": (Dimension(RATE, 0.0, 1.0), "a number above 0"),
    "0 in 32 bits": (Dimension(RATE, 1e-50, 1.0, prior="log"), "a number above 0"),
    "infinite in 32 bits": (Dimension(RATE, 1.0, 1e39), "a number above 0"),
    "whole from 0": (Dimension(RATE, 0, 3, type="int"), "a number above 0"),
    "beta above 1": (Dimension("beta1", 0.5, 1.5), "a number of at least 0 and below 1"),
    "beta to 1": (Dimension("beta2", 0.5, 1.0), "a number of at least 0 and below 1"),
    "beta below 0": (Dimension("beta2", -0.5, 0.5), "a number of at least 0 and below 1"),
    "epsilon": (Dimension("epsilon", 0.0, 1e-8), "a number above 0"),
    "decay": (Dimension("weight_decay", -0.1, 0.1), "a number of at least 0"),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_space_that_leaves_what_backends_take_is_refused_before_anything_runs(name: str) -> None:
    dimension, words = OUTSIDE[name]
    space = register("tried_outside", dimension)
    with pytest.raises(SearchSpaceError) as caught:
        check_cases([Case("random", space=space)])
    message = str(caught.value)
    assert "'tried_outside'" in message
    assert f"{Path(__file__).name}) has {dimension.name} from {dimension.low:g}" in message
    assert f"expected {words}" in message


@pytest.mark.parametrize("name", ["batch_sizes", "lr", "momentum", "dropout"])
def test_dimension_that_nothing_reads_is_refused_before_anything_runs(name: str) -> None:
    space = register("tried_unread", Dimension(RATE, 1e-4, 1e-2), Dimension(name, 8, 64))
    with pytest.raises(SearchSpaceError, match=f"dimension '{name}', which nothing reads"):
        check_cases([Case("random", space=space)])


@pytest.mark.parametrize(
    "dimension",
    [
        Dimension(RATE, 1, 2, type="int"),
        Dimension(RATE, 1e-30, 1e30, prior="log"),
        Dimension("beta1", 0.0, 1.0, excludes_high=True),
        Dimension("epsilon", 1e-30, 1.0, prior="log"),
        Dimension("weight_decay", 0, 3),
    ],
)
def test_space_within_what_backends_take_is_searched(dimension: Dimension) -> None:
    space = register("tried_within", dimension)
    check_cases([Case("random", space=space)])
    for end in (dimension.low, dimension.high):
        optimizer_options("adam", {dimension.name: dimension.clip(end)})


def test_spaces_of_greenbench_itself_are_within() -> None:
    assert [find_space(name).name for name in ("adam", "paper3", "paper5")]


@pytest.mark.parametrize("part", [lambda: None, SearchSpace, {RATE: (0, 1)}, None])
def test_part_that_is_no_space_is_refused_with_its_type(part: Any) -> None:
    registry.spaces._loaded.pop("tried_no_space", None)
    register_space("tried_no_space")(part)
    with pytest.raises(SearchSpaceError, match=f"is of type {type(part).__name__}; expected a Sea"):
        check_cases([Case("random", space="tried_no_space")])


WRONG: list[tuple[str, Any]] = [
    (RATE, -0.1), (RATE, 0.0), (RATE, math.inf), (RATE, math.nan), (RATE, True), (RATE, "0.1"),
    (RATE, None), (RATE, 1j), (RATE, [0.1]), (RATE, np.array(0.1)), (RATE, np.bool_(True)),
    (RATE, 1e-50), (RATE, 1e39), ("beta1", 1.5), ("beta1", 1), ("beta1", -0.1),
    ("beta2", 1 - 1e-12), ("beta2", np.float32(1)), ("epsilon", 0.0), ("epsilon", -1e-8),
    ("weight_decay", -0.1), ("weight_decay", math.inf), ("batch_size", 8), ("lr", 0.1),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_wrong_value_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(HyperparameterError, match=name) as caught:
        optimizer_options("adam", {name: value})
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.parametrize("value", [1, np.int64(1), np.float32(1), np.float64(1), np.float16(1)])
def test_numbers_of_any_kind_are_floats_for_the_backends(value: Any) -> None:
    found = optimizer_options("adam", {RATE: value}).learning_rate
    assert (type(found), found) == (float, 1.0)


class ScriptedStrategy:
    """Proposes what a test says."""

    proposal: ClassVar[Any] = None

    def __init__(self, space: SearchSpace, *, trials: int, seed: int) -> None:
        pass

    def ask(self) -> Hyperparameters:
        proposal: Hyperparameters = type(self).proposal
        return proposal

    def tell(self, hyperparameters: Hyperparameters, score: float | None) -> None:
        pass


register_strategy("tried_scripted")(ScriptedStrategy)

Run = Callable[[Case], Any]


def silent(event: str, values: Any) -> None:
    pass


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(case: Case) -> Any:
        bench = Bench(
            backend=TorchBackend("torch", threads=1),
            meter=FakeMeter(FakeClock()),
            control=FakeMeter(FakeClock()),
            intensity=CarbonIntensity(100.0, "a test"),
            environment={"host": "here"},
            data_dir=tmp_path,
            emit=silent,
        )
        return run_repeat(bench, case, 0, "tests", Journal.of(tmp_path, case, 0))

    return run


def proposing(monkeypatch: pytest.MonkeyPatch, proposal: Any) -> Case:
    monkeypatch.setattr(ScriptedStrategy, "proposal", proposal)
    space = register("tried_rate", Dimension(RATE, 1e-4, 1e-2))
    return Case("tried_scripted", "dense", size="xs", space=space, trials=1, epochs=1)


@pytest.mark.parametrize(
    "proposal",
    [
        {RATE: -0.1},
        {RATE: math.nan},
        {RATE: "0.1"},
        {RATE: True},
        {"lr": 0.1},
        {},
        None,
        [0.1],
        {RATE: 0.001, "beta1": 0.5},
    ],
)
def test_wrong_proposal_is_refused_by_the_name_of_its_strategy(
    run: Run, monkeypatch: pytest.MonkeyPatch, proposal: Any
) -> None:
    case = proposing(monkeypatch, proposal)
    with pytest.raises(HyperparameterError, match="strategy 'tried_scripted' proposed") as caught:
        run(case)
    assert repr(proposal) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_proposal_in_numpys_numbers_is_recorded_in_plain_ones(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trial,) = run(proposing(monkeypatch, {RATE: np.float32(0.5)})).trials
    assert trial.hyperparameters == {RATE: 0.5}
    assert type(trial.hyperparameters[RATE]) is float


def test_strategy_that_refuses_its_space_does_so_before_anything_is_trained(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subjects, "warm_up", lambda *_: pytest.fail("something was trained"))
    space = register("tried_far", Dimension(RATE, 1, 2, type="int"))
    with pytest.raises(SearchSpaceError, match=r"default learning_rate 0\.001 is no legal value"):
        run(Case("default", "dense", size="xs", space=space, epochs=1))


@pytest.mark.integration
def test_command_refuses_a_space_in_one_line_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(
        "from greenbench import register_space\n"
        "from greenbench.strategies import Dimension, SearchSpace\n"
        "rate = Dimension('learning_rate', -1e-1, -1e-4)\n"
        "register_space('negative')(SearchSpace('negative', (rate,)))\n",
        encoding="utf-8",
    )
    folder = tmp_path / "parts-0.1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: parts\nVersion: 0.1\n")
    (folder / "entry_points.txt").write_text("[greenbench.plugins]\nparts = parts\n")
    command = [sys.executable, "-m", "greenbench", "run", "-s", "random", "--space", "negative"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path),
        "GREENBENCH_RUNS_DIR": str(tmp_path / "runs"),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "parts.py) has learning_rate from -0.1 to -0.0001; expected a number" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").rglob("*.jsonl"))


LAYERS: list[tuple[Any, str]] = [
    (Conv(0), "channels of Conv is 0"),
    (Conv(8.0), "channels of Conv is 8.0"),  # type: ignore[arg-type]
    (Conv(True), "channels of Conv is True"),
    (Conv(4, kernel=-1), "kernel of Conv is -1"),
    (MaxPool(0), "window of MaxPool is 0"),
    (BatchNorm(momentum=1.5), "momentum of BatchNorm is 1.5"),
    (BatchNorm(momentum=None), "momentum of BatchNorm is None"),  # type: ignore[arg-type]
    (BatchNorm(epsilon=0.0), "epsilon of BatchNorm is 0.0"),
    (Flatten, "is no layer"),
    ("relu", "'relu' is no layer"),
]


@pytest.mark.parametrize(("layer", "message"), LAYERS)
def test_layer_that_a_backend_may_refuse_is_refused_by_the_spec(layer: Any, message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Spec("net", (1, 8, 8), [layer, Flatten(), Linear(4)])


@pytest.mark.parametrize("shape", [(8, 8, 8, 8), (0, 8, 8), (1, 8.0, 8), (1, 8, -8), ()])
def test_shape_that_no_data_has_is_refused(shape: Any) -> None:
    with pytest.raises(ArchitectureError, match="inputs have the shape"):
        Spec("net", shape, [Flatten(), Linear(4)])


def make_dataset(shape: tuple[int, int, int], classes: int, samples: int) -> Dataset:
    generator = np.random.default_rng(0)

    def split(size: int) -> Split:
        images = generator.random((size, *shape), dtype=np.float32)
        return Split(images, np.arange(size) % classes)

    parts = [split(size) for size in (samples, 3, 3)]
    return Dataset("small", *parts, classes=classes, source="a test", digest="d")


@pytest.fixture(scope="module")
def backends() -> Iterator[tuple[Backend, Backend]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield TorchBackend("torch", threads=1), KerasBackend("keras", threads=1)


def outcome(backend: Backend, spec: Spec, batch_size: int, samples: int) -> Any:
    """Return loss and FLOPs of an epoch, or how the network was refused."""
    backend.load(make_dataset(spec.image_shape, spec.classes, samples))
    try:
        model = backend.build(BuildRequest(spec, batch_size=batch_size))
    except ArchitectureError as error:
        return str(error)
    loss = model.train_epoch(sample_order(samples, batch_size, seed=0, epoch=0))
    return pytest.approx(loss, rel=1e-3, abs=1e-4), model.count_train_flops()


NORMALISED = [Conv(4), MaxPool(8), BatchNorm(), Flatten(), Linear(4)]


@pytest.mark.parametrize(("batch_size", "samples"), [(1, 3), (8, 1)])
def test_normalisation_of_one_value_a_channel_is_refused_by_both_backends(
    backends: tuple[Backend, Backend], batch_size: int, samples: int
) -> None:
    spec = Spec("net", (1, 8, 8), NORMALISED)
    refused = [outcome(backend, spec, batch_size, samples) for backend in backends]
    assert refused[0] == refused[1]
    assert "net: BatchNorm sees one value a channel" in refused[0]


def test_normalisation_of_two_values_a_channel_is_trained(
    backends: tuple[Backend, Backend],
) -> None:
    spec = Spec("net", (1, 8, 8), NORMALISED)
    trained = [outcome(backend, spec, batch_size=2, samples=4) for backend in backends]
    assert not any(isinstance(each, str) for each in trained)


def test_network_without_weights_is_refused_by_both_backends(
    backends: tuple[Backend, Backend],
) -> None:
    spec = Spec("net", (1, 2, 2), [ReLU(), Flatten()])
    for backend in backends:
        assert "net has nothing to train" in outcome(backend, spec, batch_size=2, samples=4)


BODY = st.one_of(
    st.builds(Conv, st.integers(1, 4), st.integers(1, 7)),
    st.just(BatchNorm()),
    st.just(ReLU()),
    st.builds(MaxPool, st.integers(1, 4)),
)
TAIL = st.one_of(st.builds(Linear, st.integers(1, 5)), st.just(ReLU()))


@pytest.mark.integration
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    body=st.lists(BODY, max_size=4),
    tail=st.lists(TAIL, max_size=2),
    batch_size=st.integers(1, 3),
    samples=st.integers(1, 4),
)
def test_any_network_is_trained_by_both_backends_or_refused_by_both(
    backends: tuple[Backend, Backend],
    *,
    shape: tuple[int, int, int],
    body: list[Any],
    tail: list[Any],
    batch_size: int,
    samples: int,
) -> None:
    try:
        spec = Spec("net", shape, [*body, Flatten(), *tail, Linear(2)])
    except ArchitectureError:
        return
    by_torch, by_keras = (outcome(each, spec, batch_size, samples) for each in backends)
    if isinstance(by_torch, str) or isinstance(by_keras, str):
        assert by_torch == by_keras
    else:
        assert by_keras[1] == by_torch[1] == spec.train_flops
        assert by_keras[0] == by_torch[0].expected


def test_documented_ranges_are_those_of_all_optimisers() -> None:
    numbers = {
        name
        for optimizer in registry.optimizers._lazy
        for name, value in vars(optimizer_options(optimizer, {})).items()
        if not isinstance(value, bool)
    }
    assert set(ALLOWED) == numbers
