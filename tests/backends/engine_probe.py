"""Run as a program: train a step on one engine, and save what came of it.

Usage: engine_probe.py BACKEND INPUT.npz OUTPUT.npz
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from greenbench.architectures import build_architecture
from greenbench.backends.base import AdamOptions, BuildRequest
from greenbench.backends.keras import KerasBackend
from greenbench.datasets.base import Dataset, Split


def main(name: str, source: Path, target: Path) -> None:
    given = np.load(source)
    split = Split(given["images"], given["labels"])
    dataset = Dataset("probe", split, split, split, 4, "random", "")
    spec = build_architecture("simple_cnn", dataset.input_shape, dataset.classes)
    backend = KerasBackend(name, threads=1)
    backend.load(dataset)
    options = AdamOptions(**json.loads(str(given["options"])))
    model = backend.build(BuildRequest(spec, options, batch_size=16, seed=1))
    start = model.get_weights()
    results: dict[str, Any] = {f"start_{i}": values for i, values in enumerate(start)}
    model.set_weights([given[f"weight_{i}"] for i in range(len(start))])
    results["outputs"] = model.predict(split.images)
    results["accuracy"] = np.array(model.evaluate("test"))
    model.set_weights(start)
    results["loss"] = np.array(model.train_epoch(np.arange(16)))
    backend.synchronize()
    results |= {f"stepped_{i}": values for i, values in enumerate(model.get_weights())}
    results["flops"] = np.array(model.count_train_flops())
    results["parameters"] = np.array(model.parameters)
    results["description"] = np.array(json.dumps(dict(backend.describe())))
    model.train_epoch(np.arange(40))
    results["epoch_loss"] = np.array(model.train_epoch(np.arange(40)))
    np.savez(target, **results)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
