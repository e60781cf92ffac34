"""What the metrics of tasks say of values that are easy to get wrong."""

import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn import metrics

from greenbench.tasks import find_task

TWO = np.array([0, 0, 1, 1, 1])
MARGINS = np.array([-2.0, 0.5, 0.1, 1.0, 3.0], np.float32)
LOGITS = np.stack([-MARGINS, MARGINS], axis=1)


def measure(task: str, values: NDArray[Any] | float, targets: Any, reads: str = "outputs") -> Any:
    return find_task(task).measure(reads, values, np.asarray(targets))


def test_accuracy_is_the_share_of_right_classes_to_the_bit() -> None:
    generator = np.random.default_rng(0)
    given, right = generator.integers(0, 3, (2, 359))
    found = measure("classification", given, right, "classes")
    assert found == {"accuracy": int((given == right).sum()) / 359}


def test_binary_is_judged_whatever_the_threshold() -> None:
    assert measure("binary", LOGITS, TWO)["auroc"] == pytest.approx(5 / 6)
    assert measure("binary", LOGITS + np.array([0.0, 9.0]), TWO)["auroc"] == pytest.approx(5 / 6)
    assert measure("binary", LOGITS[:, ::-1], TWO)["auroc"] == pytest.approx(1 / 6)


@pytest.mark.parametrize("classes", [3, 5, 6, 12])
@pytest.mark.parametrize("spread", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("digits", [0, 7])
def test_metrics_of_classes_are_scikit_learns_to_the_bit(
    classes: int, spread: float, digits: int
) -> None:
    generator = np.random.default_rng(classes)
    for samples in (1, 2, 7, 150):
        # Few samples leave classes out; those of no digits tie.
        outputs = generator.normal(scale=spread, size=(samples, classes)).round(digits)
        right = generator.integers(0, classes, samples)
        shares, labels = softmax(outputs, axis=1), np.arange(classes)
        expected = {
            "f1_macro": metrics.f1_score(
                right, outputs.argmax(axis=1), average="macro", zero_division=0.0
            ),
            "log_loss": metrics.log_loss(right, shares, labels=labels),
        }
        if classes > 5:
            expected["top_5"] = metrics.top_k_accuracy_score(right, outputs, k=5, labels=labels)
        assert measure("classification", outputs, right) == expected


def test_classes_are_judged_without_the_imports_of_scikit_learn() -> None:
    code = (
        "import sys, numpy as np; from greenbench.tasks import find_task\n"
        "assert find_task('classification').measure('outputs', np.eye(9), np.arange(9))\n"
        "sys.exit(bool({'sklearn', 'scipy.stats'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_the_data_leave_undefined_is_left_out() -> None:
    assert set(measure("classification", LOGITS, TWO)) == {"f1_macro", "auroc", "log_loss"}
    eight = np.eye(8, dtype=np.float32)
    assert set(measure("classification", eight, range(8))) == {"top_5", "f1_macro", "log_loss"}
    never = np.zeros((4, 2), np.float32)
    assert set(measure("multilabel", never - 1, never)) == {"f1_micro"}


def test_log_loss_is_of_the_softmax() -> None:
    assert measure("binary", 0 * LOGITS, TWO)["log_loss"] == pytest.approx(math.log(2))


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_numbers_are_not_broadcast(shape: tuple[int, ...]) -> None:
    targets = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    found = measure("regression", targets[:, None] + 1, targets.reshape(shape))
    assert found == pytest.approx({"r2": 1 - 4 / 5, "mae": 1.0, "rmse": 1.0})


def test_r2_may_lie_far_below_0_and_squares_have_room() -> None:
    found = measure("regression", np.full((3, 1), 1e25, np.float32), [[1.0], [2.0], [3.0]])
    assert found["r2"] == pytest.approx(-1.5e50)
    assert found["rmse"] == pytest.approx(1e25)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_outputs_that_are_not_finite_have_no_score(wrong: float) -> None:
    outputs = np.array([[wrong], [0.0]], np.float32)
    assert all(map(math.isnan, measure("regression", outputs, [[1.0], [2.0]]).values()))


def test_tokens_are_counted_in_bits() -> None:
    found = measure("language_modelling", math.log(8), [0], "loss")
    assert found == pytest.approx({"bits_per_token": 3.0, "perplexity": 8.0})
    assert measure("language_modelling", 1e4, [0], "loss")["perplexity"] == math.inf


def test_pixels_of_a_rare_class_count_as_much_as_others() -> None:
    targets = np.zeros((1, 10, 10), int)
    targets[0, 0, 0] = 1
    found = measure("segmentation", np.zeros_like(targets), targets, "classes")
    assert found == pytest.approx({"miou": 0.99 / 2, "pixel_accuracy": 0.99})


def test_labels_above_the_threshold_are_taken() -> None:
    targets = np.array([[1, 0], [1, 1], [0, 1]], np.float32)
    outputs = np.array([[2.0, -1.0], [1.0, -1.0], [-3.0, 1.0]], np.float32)
    found = measure("multilabel", outputs, targets)
    assert found["f1_micro"] == pytest.approx(6 / 7)
    assert found["auroc_macro"] == pytest.approx((1.0 + 0.75) / 2)
