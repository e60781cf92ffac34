"""What the driver refuses before a worker starts: what it knows of data that nobody has loaded."""

import re
import subprocess
import sys
from typing import Any

import pytest

from greenbench import register_dataset, registry
from greenbench.builtin import DATASETS
from greenbench.cases import Case
from greenbench.datasets import LoadContext
from greenbench.datasets.loaders import held_by, holds
from greenbench.errors import ConfigurationError
from greenbench.running.case_checks import check_cases
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


def test_network_of_another_framework_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'unet' is written for the backend 'torch' and"):
        check_cases([Case("default", architecture="unet", dataset="shapes", backend="keras")])


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
        "assert not {'torch', 'keras', 'torchvision', 'sklearn'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""


def test_something_is_declared_of_all_data_that_we_have() -> None:
    assert all(held_by(name).samples for name in DATASETS)
