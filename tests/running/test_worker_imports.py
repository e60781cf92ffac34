"""What a worker imports before its first trial: time, memory and energy that each run pays."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from greenbench import registry
from greenbench.running import worker
from greenbench.architectures import build_architecture
from greenbench.cases import Case
from greenbench.datasets import LoadContext
from greenbench.search.training import warm_up

backend = registry.backends.get("torch")("torch", threads=1)
data = registry.datasets.get("digits")(LoadContext(seed=0, data_dir=Path(sys.argv[1])))
backend.load(data)
network = build_architecture("dense_poly", data.image_shape, data.classes)
warm_up(backend, network, Case(architecture="dense_poly"), data)
print(*sorted(sys.modules))
"""


def test_torch_worker_imports_nothing_that_it_does_not_train_with(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    needless = {"mlflow", "keras", "matplotlib", "sklearn", "skopt", "rich", "sqlalchemy"}
    # PyTorch's compiler and what it needs: four seconds of CPU time.
    needless |= {"torch._dynamo", "sympy"}
    assert not needless & loaded
