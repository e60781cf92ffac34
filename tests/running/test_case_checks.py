"""What the driver refuses before a worker starts: what it knows of data that nobody has loaded."""

import math
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

from greenbench import register_dataset, register_optimizer, registry
from greenbench.builtin import DATASETS
from greenbench.cases import Case
from greenbench.cli import cli
from greenbench.datasets import LoadContext
from greenbench.datasets.loaders import held_by, holds
from greenbench.errors import ConfigurationError, DatasetError
from greenbench.running.case_checks import check_cases, check_loading
from greenbench.strategies import Dimension, SearchSpace


@register_dataset("checked_currents")
@holds("token ids", task="language_modelling")
def load_currents(context: LoadContext, path: str, hours: int = 24) -> None:
    """Load nothing: it is looked at only."""
    raise AssertionError(f"{context}, {path} and {hours}: no check loads data")


@register_dataset("checked_several")
@holds("several inputs")
def load_several(context: LoadContext, **options: Any) -> None:
    """Load nothing, with whatever options."""
    raise AssertionError(f"{context} and {options}: no check loads data")


def look_for(context: LoadContext, hours: int) -> None:
    """Refuse a file that is not there."""
    if not (context.data_dir / f"{hours}.ecg").exists():
        raise DatasetError(f"dataset 'checked_files' has no {hours}.ecg; give other hours")


@register_dataset("checked_files")
@holds("numbers", check=look_for)
def load_files(context: LoadContext, hours: int = 24, lead: str = "II") -> None:
    """Load nothing: what it would read is looked for only."""
    raise AssertionError(f"{context}, {hours} and {lead}: no check loads data")


@register_optimizer("checked_torchs")
@dataclass(frozen=True)
class Torchs:
    """Options of an optimiser that torch alone builds."""

    name: ClassVar[str] = "checked_torchs"
    learning_rate: float = 0.1

    def build_torch(self, parameters: object) -> None:
        """Build nothing: it is looked at only."""
        raise AssertionError(f"{parameters}: no check builds")


OWN = {"dataset": "checked_currents", "dataset_options": {"path": "x"}}


@pytest.mark.parametrize("backend", ["torch", "keras"])
@pytest.mark.parametrize(
    ("network", "asked", "words"),
    [
        (
            "mlp",
            {"dataset": "tabular"},
            "dataset 'tabular' needs path and target; add --data path=… --data target=…",
        ),
        (
            "mlp",
            {"dataset": "tabular", "dataset_options": {"path": "x"}},
            "dataset 'tabular' needs path and target; add --data target=…",
        ),
        (
            "simple_cnn",
            {"dataset": "digits", "dataset_options": {"flop": 1}},
            "unknown option of dataset 'digits': 'flop'; did you mean flip or crop?",
        ),
        (
            "mlp",
            {"dataset": "wine", "dataset_options": {"path": "x"}},
            "unknown option of dataset 'wine': 'path'; there is none",
        ),
        (
            "mlp",
            {"dataset": "text"},
            "architecture 'mlp' computes with numbers, but data set 'text' has token ids; choose "
            "another, such as gpt_small",
        ),
        (
            "mlp",
            {"dataset": "wine", "task": "regression"},
            "task 'regression' does not fit dataset 'wine', whose targets are for classification; "
            "expected classification or binary: choose one, leave the task out, or choose other "
            "data",
        ),
        (
            "resnet_small",
            {"dataset": "shapes"},
            "architecture 'resnet_small' has outputs for each sample, but task 'segmentation' "
            "wants them for each pixel; choose another, such as unet",
        ),
        (
            "mlp",
            OWN,
            "architecture 'mlp' computes with numbers, but data set 'checked_currents' has token "
            "ids; choose another, such as gpt_small",
        ),
        (
            "mlp",
            {"dataset": "checked_several"},
            "architecture 'mlp' takes one input, but data set 'checked_several' has several "
            "inputs; expected a network of a backend's own, declared with @native",
        ),
        (
            "gpt_small",
            {**OWN, "task": "binary"},
            "task 'binary' does not fit dataset 'checked_currents', whose targets are for "
            "language_modelling; leave the task out, or choose other data",
        ),
    ],
)
def test_what_is_known_not_to_work_is_refused(
    network: str, asked: dict[str, Any], words: str, backend: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(words)}$"):
        check_cases([Case("default", architecture=network, backend=backend, **asked)])


def test_options_of_a_loader_of_ones_own_are_refused_with_its_place() -> None:
    for options, words in (
        ({}, "needs path; add --data path=…"),
        ({"path": "x", "hour": 1}, "did you mean hours?"),
    ):
        case = Case(
            "default",
            architecture="gpt_small",
            dataset="checked_currents",
            dataset_options=options,
        )
        with pytest.raises(ConfigurationError, match=rf"test_case_checks\.py:\d+.*{words}"):
            check_cases([case])


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"backend": "keras", "architecture": "unet", "dataset": "shapes"},
            "architecture 'unet' is written for the backend 'torch' and cannot run on 'keras'; "
            "choose `--backend torch`",
        ),
        (
            {"backend_options": {"precison": "tf32"}},
            "backend 'torch' has no option 'precison' (given: 'tf32'); expected one of: "
            "precision, channels_last, cuda_graphs",
        ),
        (
            {"backend_options": {"channels_last": 1}},
            "backend 'torch': channels_last is 1; expected true or false",
        ),
        (
            {"backend": "keras_jax", "backend_options": {"precision": "tf32"}},
            "backend 'keras_jax' has no option 'precision' (given: 'tf32'); expected none: leave "
            "it out, or choose `--backend torch`",
        ),
        (
            {"optimizer": "keras_nadam"},
            "optimizer 'keras_nadam' is none of torch's; give its class a method "
            "`build_torch(parameters)`, or choose another one or another backend",
        ),
        (
            {"optimizer": "checked_torchs", "backend": "keras"},
            "optimizer 'checked_torchs' is none of keras's; give its class a method "
            "`build_keras()`, or choose another one or another backend",
        ),
    ],
)
def test_what_a_backend_is_known_not_to_train_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{re.escape(words)}$"):
        check_cases([Case("default", **asked)])


def test_what_may_work_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    space = SearchSpace("checked_hours", (Dimension("dataset.hours", 1, 9, type="int"),))
    monkeypatch.setitem(registry.spaces._loaded, "checked_hours", space)
    check_cases(
        [
            Case("default", architecture="gpt_small", **OWN),
            Case("random", architecture="gpt_small", space="checked_hours", **OWN),
            Case("default", architecture="mlp", dataset="breast_cancer", task="binary"),
            Case("default", architecture="mlp", dataset="digits"),
            Case("default", architecture="unet", dataset="shapes"),
            # A recording is replayed, and no table loaded.
            Case("default", architecture="mlp", dataset="tabular", backend="tabular"),
        ]
    )


def test_declaration_of_samples_that_there_are_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="to hold 'pictures'; expected images, numbers, "):
        holds("pictures")


def test_checks_import_no_framework() -> None:
    code = (
        "import sys; from greenbench.cases import Case;"
        "from greenbench.running.case_checks import check_cases;"
        "check_cases([Case('default', architecture='unet', dataset='shapes'),"
        "Case('default', architecture='resnet_small', dataset='cifar10', backend='keras')]);"
        "from greenbench.backends.known import check_optimizer;"
        "check_optimizer('keras', 'keras_nadam');"
        "assert not {'torch', 'keras', 'torchvision', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_something_is_declared_of_all_data_that_we_have() -> None:
    assert all(held_by(name).samples for name in DATASETS)


@pytest.mark.parametrize(
    ("network", "dataset", "options", "words"),
    [
        ("mlp", "tabular", {"path": "no.csv", "target": "y"}, "no.csv does not exist; give the"),
        ("mlp", "tabular", {"path": ".", "target": "y"}, "is not a file; give the path of a CSV"),
        ("mlp", "tabular", {"path": "t.csv", "target": "y", "categories": 0}, "categories is 0;"),
        ("gpt_small", "text", {"path": "no.txt"}, "no.txt cannot be read (No such file or dir"),
        ("gpt_small", "text", {"path": ""}, "cannot be read (Is a directory); give the path of a"),
        ("gpt_small", "text", {"context": -1}, "context is -1; expected a whole number above 0"),
        ("simple_cnn", "image_folder", {"path": "no"}, "no does not exist; give the path of a fo"),
        ("simple_cnn", "synthetic", {"side": math.nan}, "side is nan; expected a whole number of"),
        ("unet", "shapes", {"samples": 3}, "samples is 3; expected a whole number of at least 10"),
        ("mlp", "friedman", {"features": "x"}, "features is 'x'; expected a whole number of at"),
        ("resnet_small", "cifar10", {"limit": 10**6}, "limit is 1000000; expected a whole number"),
        ("mlp", "checked_files", {}, "dataset 'checked_files' has no 24.ecg"),
    ],
)
def test_files_and_values_of_options_are_refused_where_they_will_be_read(
    network: str, dataset: str, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    case = Case("default", architecture=network, dataset=dataset, dataset_options=options)
    check_cases([case])
    with pytest.raises(DatasetError, match=re.escape(words)):
        check_loading([case], tmp_path)


def test_session_starts_nothing_where_data_cannot_be_loaded(tmp_path: Path) -> None:
    asked = ["run", "-s", "default", "-a", "mlp", "-d", "tabular", "--data", "path=no.csv"]
    folder = {"GREENBENCH_DATA_DIR": str(tmp_path)}
    done = CliRunner().invoke(cli, [*asked, "--data", "target=y"], env=folder)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        f"Error: table {tmp_path / 'no.csv'} does not exist; give the path of a CSV or Parquet "
        "file\n"
    )
