"""What a worker imports before its first trial: time, memory and energy that each run pays."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np

from greenbench.datasets.torchvision_sets import IDX_SHAPES

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
from greenbench import registry
from greenbench.backends import torch_capture
from greenbench.running import worker
from greenbench.architectures import build_architecture
from greenbench.backends import BuildRequest
from greenbench.cases import Case
from greenbench.datasets import LoadContext
from greenbench.search.warming import warm_up

registry.datasets.get("mnist")(LoadContext(seed=0, data_dir=Path(sys.argv[1])), limit=100)
backend = registry.backends.get("torch")("torch", threads=1)
data = registry.datasets.get("digits")(LoadContext(seed=0, data_dir=Path(sys.argv[1])))
backend.load(data)
network = build_architecture("dense_poly", data.image_shape, data.classes)
warm_up(backend, BuildRequest(network), Case(architecture="dense_poly"), data)
# As on a GPU, where a step is tried before it is captured.
with torch_capture.RefusedCopies():
    backend.build(BuildRequest(network)).train_epoch(np.arange(64))
print(*sorted(sys.modules))
"""


def write_mnist(folder: Path) -> None:
    """Write files of black images, which take no room, in the published format."""
    folder.mkdir(parents=True)
    for name, shape in IDX_SHAPES.items():
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        labels = (np.arange(shape[0]) % 10).astype(np.uint8).tobytes() if len(shape) == 1 else b""
        (folder / name).write_bytes(header + labels)
        with (folder / name).open("r+b") as file:
            file.truncate(len(header) + int(np.prod(shape)))


def test_torch_worker_imports_nothing_that_it_does_not_train_with(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    needless = {"mlflow", "keras", "matplotlib", "sklearn", "skopt", "rich", "sqlalchemy"}
    # torchvision imports PyTorch's compiler and what it needs: four seconds of CPU time.
    needless |= {"torchvision", "torch._dynamo", "sympy"}
    assert not needless & loaded
