"""What one network sets in the process does not reach the next one."""

import importlib
import os
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from greenbench.architectures import Native, build_architecture
from greenbench.backends.base import Backend, BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.backends.process_state import ProcessState, state_kept
from greenbench.backends.torch import TorchBackend
from greenbench.datasets import Dataset, LoadContext
from greenbench.datasets.digits import load_digits
from tests.conftest import Greenbench

Change = Callable[[], object]


def keras() -> Any:
    import keras as package  # noqa: PLC0415

    return package


CHANGES: dict[str, Change] = {
    "torch.set_num_threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "torch.set_default_dtype": lambda: torch.set_default_dtype(torch.float64),
    "torch.set_default_device": lambda: torch.set_default_device("meta"),
    "torch.use_deterministic_algorithms": lambda: torch.use_deterministic_algorithms(True),
    "torch.set_grad_enabled": lambda: torch.set_grad_enabled(False),
    "torch.set_float32_matmul_precision": lambda: torch.set_float32_matmul_precision("medium"),
    "torch.autograd.set_detect_anomaly": lambda: torch.autograd.set_detect_anomaly(True),
    "torch.set_flush_denormal": lambda: torch.set_flush_denormal(True),
    "torch.set_autocast_enabled('cpu')": lambda: torch.set_autocast_enabled("cpu", True),
    "torch.backends.cudnn.benchmark": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "torch.backends.cudnn.allow_tf32": lambda: setattr(torch.backends.cudnn, "allow_tf32", True),
    "torch.backends.mkldnn.enabled": lambda: setattr(torch.backends.mkldnn, "enabled", False),
    "torch.backends.cuda.matmul.allow_tf32": lambda: setattr(
        torch.backends.cuda.matmul, "allow_tf32", True
    ),
    "torch.backends.fp32_precision": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "torch.backends.cuda.enable_math_sdp": lambda: torch.backends.cuda.enable_math_sdp(False),
    "global hooks of torch.nn": lambda: nn.modules.module.register_module_forward_hook(
        lambda module, given, output: output * 0
    ),
    "os.environ": lambda: os.environ.update(OMP_NUM_THREADS="7", CUDA_VISIBLE_DEVICES=""),
    "numpy.seterr": lambda: np.seterr(all="raise"),
    "sys.setrecursionlimit": lambda: __import__("sys").setrecursionlimit(5000),
    "gc": lambda: __import__("gc").disable(),
    "keras.config.set_dtype_policy": lambda: keras().config.set_dtype_policy("mixed_bfloat16"),
    "keras.config.set_floatx": lambda: keras().config.set_floatx("float16"),
    "keras.config.set_epsilon": lambda: keras().config.set_epsilon(0.1),
    "keras.config.set_epsilon to NaN": lambda: keras().config.set_epsilon(float("nan")),
    "keras.config.set_image_data_format": lambda: keras().config.set_image_data_format(
        "channels_first"
    ),
    "keras.config.set_max_epochs": lambda: keras().config.set_max_epochs(0),
    "keras.config.set_max_steps_per_epoch": lambda: keras().config.set_max_steps_per_epoch(1),
}
"""By the name under which people are told of it."""

SILENT: dict[str, Change] = {
    "torch.manual_seed": lambda: torch.manual_seed(1),
    "numpy.random.seed": lambda: np.random.seed(1),
    "random.seed": lambda: random.seed(1),
    "keras.utils.set_random_seed": lambda: keras().utils.set_random_seed(1),
    "names of layers": lambda: keras().layers.Dense(1),
    "keras.utils.clear_session": lambda: keras().utils.clear_session(free_memory=False),
    "os.chdir": lambda: os.chdir("/"),
    "other os.environ": lambda: os.environ.update(MINE="1"),
    "warnings": lambda: warnings.simplefilter("error"),
}


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_digits(LoadContext(seed=0, data_dir=Path()))


@pytest.fixture(scope="module")
def torch_backend(digits: Dataset) -> TorchBackend:
    backend = TorchBackend("torch", threads=1)
    backend.load(digits)
    return backend


@pytest.fixture(scope="module")
def keras_backend(digits: Dataset) -> KerasBackend:
    backend = KerasBackend("keras", threads=1)
    backend.load(digits)
    return backend


@pytest.fixture(autouse=True)
def _put_back(torch_backend: TorchBackend, keras_backend: KerasBackend) -> Iterator[None]:
    """Keep the tests apart, should one fail."""
    state = ProcessState()
    yield
    state.put_back("a test")


def snapshot() -> dict[str, Any]:
    return {setting.name: value for setting, value in ProcessState()._before}


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(256, 10))


class Changing(nn.Module):
    """Changes a setting whenever it is called."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self._change = change
        self._layers = linear()

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self._layers(images)
        self._change()
        return outputs


@pytest.mark.parametrize("change", [*CHANGES.values(), *SILENT.values()], ids=[*CHANGES, *SILENT])
def test_builder_leaves_nothing_behind(torch_backend: TorchBackend, change: Change) -> None:
    def build() -> nn.Module:
        module = linear()
        change()
        return module

    before = snapshot()
    torch_backend.build(BuildRequest(Native("n", "torch", build)))
    assert snapshot() == before


@pytest.mark.parametrize("change", [*CHANGES.values(), *SILENT.values()], ids=[*CHANGES, *SILENT])
def test_forward_pass_leaves_nothing_behind(
    torch_backend: TorchBackend, digits: Dataset, change: Change
) -> None:
    module = Changing(lambda: None)
    model = torch_backend.build(BuildRequest(Native("n", "torch", lambda: module)))
    before = snapshot()
    module._change = change
    for use in (
        lambda: model.train_epoch(np.arange(64)),
        lambda: model.evaluate("validation"),
        lambda: model.predict(digits.test.images),
        model.count_train_flops,
    ):
        # A network that switches gradients off cannot be trained: that is its own affair.
        with suppress(Exception):
            use()
        assert snapshot() == before


@pytest.mark.parametrize("change", [*CHANGES.values(), *SILENT.values()], ids=[*CHANGES, *SILENT])
def test_keras_builder_leaves_nothing_behind(keras_backend: KerasBackend, change: Change) -> None:
    def build() -> Any:
        layers = keras().layers
        model = keras().Sequential([keras().Input((16, 16, 1)), layers.Flatten(), layers.Dense(10)])
        change()
        return model

    before = snapshot()
    # Keras itself may fail under what was set, such as tensors without memory.
    with suppress(Exception):
        keras_backend.build(BuildRequest(Native("n", "keras", build)))
    assert snapshot() == before


@pytest.mark.parametrize("kind", ["torch", "keras"])
def test_network_that_comes_after_trains_as_it_did_before(
    request: pytest.FixtureRequest, digits: Dataset, kind: str
) -> None:
    backend: Backend = request.getfixturevalue(f"{kind}_backend")
    spec = build_architecture("simple_cnn", digits.image_shape, digits.classes, size="xs")

    def loss() -> float:
        return backend.build(BuildRequest(spec)).train_epoch(np.arange(320))

    def change_all() -> Any:
        model = linear() if kind == "torch" else keras().Sequential([keras().layers.Flatten()])
        for change in CHANGES.values():
            change()
        return model

    before = loss()
    with suppress(Exception):
        backend.build(BuildRequest(Native("n", kind, change_all)))
    assert loss() == before


def test_user_is_told_what_was_put_back(
    torch_backend: TorchBackend, caplog: pytest.LogCaptureFixture
) -> None:
    def build() -> nn.Module:
        torch.set_num_threads(3)
        np.random.seed(0)
        return linear()

    torch_backend.build(BuildRequest(Native("greedy_net", "torch", build)))
    assert "architecture 'greedy_net' sets torch.set_num_threads, which was put back" in caplog.text
    assert "--threads" in caplog.text


def test_what_importing_scikit_learn_sets_is_nobodys_doing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sklearn  # noqa: PLC0415

    for name in ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"):
        monkeypatch.delenv(name, raising=False)
    with state_kept("dataset 'wine'"):
        importlib.reload(sklearn)
    assert caplog.text == ""


def test_where_torchs_compiler_keeps_its_files_is_nobodys_doing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Torchvision's import sets it, which networks do in the function that builds them.
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with state_kept("architecture 'mine'"):
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "somewhere")
    assert caplog.text == ""


def test_names_of_layers_do_not_depend_on_what_was_built_before(
    keras_backend: KerasBackend,
) -> None:
    found = []

    def build() -> Any:
        model = keras().Sequential([keras().layers.Flatten(), keras().layers.Dense(10)])
        found.append([layer.name for layer in model.layers])
        return model

    for _ in range(2):
        keras_backend.build(BuildRequest(Native("n", "keras", build)))
    assert found[0] == found[1]


def noisy(draw: Callable[[], float]) -> Callable[[], nn.Module]:
    class Noisy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._layers = linear()
            self._scale = draw()

        def forward(self, images: Tensor) -> Tensor:
            outputs: Tensor = self._layers(images * self._scale * (1 + draw()))
            return outputs

    return Noisy


@pytest.mark.parametrize(
    "draw",
    [random.random, lambda: float(np.random.rand()), lambda: float(torch.rand(()))],
    ids=["random", "numpy", "torch"],
)
def test_random_numbers_of_a_network_are_its_own(
    torch_backend: TorchBackend, draw: Callable[[], float]
) -> None:
    native = Native("n", "torch", noisy(draw))
    found = []
    for disturb in (0, 1):
        model = torch_backend.build(BuildRequest(native, seed=4))
        for _ in range(2):
            draws = [draw() for _ in range(disturb)]
            loss = model.train_epoch(np.arange(320))
            model.evaluate("validation")
        found.append((loss, model.evaluate("test"), model.evaluate("test")))
        assert len(draws) == disturb
    assert found[0] == found[1]
    assert found[0][1] == found[0][2]


PARTS = """
import importlib
import os
import torch
from greenbench import register_architecture
from greenbench.architectures import native

torch.set_num_threads(3)
os.environ["OMP_NUM_THREADS"] = "3"
os.environ["MY_OWN"] = "kept"

def linear(image_shape, classes):
    channels, height, width = image_shape
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(channels * height * width, classes)
    )

@register_architecture("honest")
@native("torch")
def honest(image_shape, classes):
    with open("seen.txt", "a") as file:
        seen = torch.get_num_threads(), os.environ["OMP_NUM_THREADS"], os.environ["MY_OWN"]
        print(os.getpid(), torch.get_num_interop_threads(), *seen, file=file)
    return linear(image_shape, classes)

@register_architecture("lasting")
@native("torch")
def lasting(image_shape, classes):
    with open("spent.txt", "a") as file:
        print(os.getpid(), file=file)
    if torch.get_num_interop_threads() != 3:
        torch.set_num_interop_threads(3)
    torch.set_num_threads(5)
    return linear(image_shape, classes)
"""


@pytest.mark.integration
def test_case_that_leaves_something_for_good_has_its_worker_replaced(
    greenbench: Greenbench,
) -> None:
    folder = greenbench.folder
    (folder / "leaking.py").write_text(PARTS)
    entry = folder / "leaking-0.1.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: leaking\nVersion: 0.1\n")
    (entry / "entry_points.txt").write_text("[greenbench.plugins]\nleaking = leaking\n")
    greenbench.environment["PYTHONPATH"] = str(folder)
    done = greenbench(
        *("run", "-a", "honest", "-a", "lasting", "--epochs", "1", "--repeats", "2"), timeout_s=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    seen = [line.split() for line in (folder / "seen.txt").read_text().splitlines()]
    assert {tuple(line[2:]) for line in seen} == {("1", "1", "kept")}
    assert "3" not in {line[1] for line in seen}
    # Each of its two repeats spends a worker, in whatever order cases come.
    assert len(set((folder / "spent.txt").read_text().split())) == 2
    assert "could not be put back" in done.stderr
    assert "torch.set_num_threads" in done.stderr
