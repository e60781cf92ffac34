"""Scripts that people know, as cases: they train as the loops do that they stand for."""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.integration

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = ("mnist_lenet", "cifar10_resnet", "text_gpt", "mnist_keras")
APART = {"accuracy": 0.35, "bits_per_token": 0.5}
"""Of two seeds on few samples; that more is equal, the benchmark tells."""


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """One repeat of each script whose data are here, by name."""
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(BENCHMARKS)
        patched.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
        patched.setenv("GREENBENCH_DATA_DIR", os.environ.get("GREENBENCH_DATA_DIR", "nowhere"))
        pair = importlib.import_module("bench_known_scripts").pair
        names = SCRIPTS if "GREENBENCH_DATA_DIR" in os.environ else ("text_gpt",)
        return {name: pair(name, 0, is_fast=True) for name in names}


@pytest.fixture(params=SCRIPTS)
def pair(request: pytest.FixtureRequest, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if request.param not in found:
        pytest.skip("GREENBENCH_DATA_DIR is not set: no image files")
    return found[request.param]


def test_case_trains_the_network_of_the_loop_for_as_many_steps(pair: dict[str, Any]) -> None:
    for each in ("steps", "parameters"):
        assert pair[each]["case"] == pair[each]["loop"] > 0


def test_case_has_the_learning_rates_of_the_loop(pair: dict[str, Any]) -> None:
    np.testing.assert_allclose(pair["rates"]["case"], pair["rates"]["loop"], rtol=1e-5, atol=1e-9)


def test_case_scores_about_as_the_loop(pair: dict[str, Any]) -> None:
    assert abs(pair["case"] - pair["loop"]) < APART[pair["about"]["score"]["name"]]
