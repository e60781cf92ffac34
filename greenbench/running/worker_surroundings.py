"""What a worker process finds around it: its variables, and the file that it logs to."""

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from greenbench.errors import WorkerError
from greenbench.machine.files import reason, remedy

# Whichever of them a library reads, it reads once, when it is loaded.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def surroundings(environment: Mapping[str, str], python_path: str, threads: int) -> dict[str, str]:
    """Return the environment of a worker.

    Parameters
    ----------
    environment : mapping of str to str
        That of its parent.
    python_path : str
        What it finds as ``PYTHONPATH``.
    threads : int
        How many its libraries compute on.
    """
    return {
        # Of a user's own code that logs to the server, whose address may have a password.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        # Workers of other backends wait beside it, and need some of the GPU's memory.
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **environment,
        "PYTHONPATH": python_path,
        **dict.fromkeys(THREAD_VARIABLES, str(threads)),
        # Threads that spin for long while they wait burn the energy we measure, and were
        # seen to take 40 times as long when something else ran on one of the cores. To
        # wake one that sleeps, for each operation of a small network, costs more than
        # half a millisecond of spinning, which is what PyTorch's OpenMP may do.
        "OMP_WAIT_POLICY": "PASSIVE",
        "GOMP_SPINCOUNT": "10000",
        # Its log: whatever somebody's code prints must not end a training.
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }


def open_log(log: Path) -> BinaryIO:
    """Open what a worker's own output is added to; it may have run before.

    Raises
    ------
    WorkerError
        If it cannot be written.
    """
    try:
        return log.open("ab")
    except OSError as error:
        raise WorkerError(
            f"{log} cannot be written ({reason(error)}); {remedy(error)}, then run the same "
            "command again"
        ) from error
