"""The table of the page on frameworks, from what `bench_own_scripts.py` wrote."""

import statistics
from typing import Any

TITLES = {
    "mnist_adadelta": "MNIST with Adadelta, StepLR and NLL",
    "cifar_resnet": "CIFAR-10, a ResNet with SGD, a cosine and augmentation",
    "char_gpt": "a GPT on characters with its own loop",
    "keras_fit": "Keras' `fit` with callbacks",
}


def figures(found: dict[str, Any]) -> dict[str, str]:
    """Return the substitutions of the page.

    Parameters
    ----------
    found : dict
        The contents of ``own_scripts.json``.
    """
    rows = [
        ("script", "lines that differ", "pairs", "script, J", "case, J", "case / script"),
        ("---",) * 6,
        *(_row(each) for each in found["scripts"]),
    ]
    table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return {"own_scripts": table, "own_scripts_date": f"{found['date']}, {versions}"}


def _row(script: dict[str, Any]) -> tuple[str, ...]:
    pairs, ratio = script["pairs"], script["ratio"]
    bare, case = (statistics.median(each[name] for each in pairs) for name in ("bare_j", "case_j"))
    return (
        TITLES[script["script"]],
        str(script["lines"]),
        str(len(pairs)),
        f"{bare:.1f}",
        f"{case:.1f}",
        f"{ratio['median']:.3f} [{ratio['low']:.3f}, {ratio['high']:.3f}]",
    )
