"""The control workload: the same work in every session, whose cost tells the machine's state.

What it computes must never change, or sessions from before and after could not be compared: a
matrix product and a small training, in plain NumPy, from fixed seeds.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from greenbench.energy.host import HostWatch
from greenbench.energy.meter import Meter

PRODUCTS, SIDE = 80, 512
STEPS, SAMPLES, INPUTS, HIDDEN, OUTPUTS = 2000, 64, 256, 128, 10
LEARNING_RATE = np.float32(1e-3)


@dataclass(frozen=True)
class Control:
    """What the control workload cost.

    Attributes
    ----------
    energy_j : float or None
        Joules of the headline; None where that covers a GPU, on which nothing of it runs, and
        where nothing reads energy.
    cpu_s : float
        CPU seconds.
    """

    energy_j: float | None
    cpu_s: float


def measure_control(meter: Meter, threads: int = 1) -> Control:
    """Return what the work costs here and now: half a second of CPU time, in a window of its own.

    Parameters
    ----------
    meter : Meter
        Without an open window.
    threads : int
        That share the products.
    """
    # What is loaded and claimed once is so before the window.
    work(threads, products=threads, steps=10)
    watch = HostWatch()
    watch.lap()
    meter.begin_window()
    work(threads)
    reading = meter.end_window()
    cpu_s, _ = watch.lap()
    energy_j = None if "gpu" in reading.counting else reading.energy_j
    return Control(energy_j or None, cpu_s)


def work(threads: int = 1, products: int = PRODUCTS, steps: int = STEPS) -> tuple[float, float]:
    """Compute it all, and return what shows that: the mean square of the product, and the loss.

    Parameters
    ----------
    threads : int
        Each multiplies alone. Threads of one product wait for each other, and burn more than they
        compute where a core is busy: with two of them 20 s of CPU time were seen instead of 0.5.
    products : int
        How often two matrices of `SIDE` × `SIDE` are multiplied.
    steps : int
        Of gradient descent, on one batch of `SAMPLES`.
    """
    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        shares = [len(range(first, products, threads)) for first in range(threads)]
        return next(pool.map(_multiply, shares)), _train(steps)


def _multiply(products: int) -> float:
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, SIDE, SIDE), dtype=np.float32)
    product = np.zeros_like(left)
    for _ in range(products):
        np.matmul(left, right, out=product)
    return float(np.mean(product**2)) / SIDE


def _train(steps: int) -> float:
    """Train two dense layers by hand: mean squared error, ReLU, plain gradient descent."""
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((SAMPLES, INPUTS), dtype=np.float32)
    targets = rng.standard_normal((SAMPLES, OUTPUTS), dtype=np.float32)
    first = rng.standard_normal((INPUTS, HIDDEN), dtype=np.float32) / np.float32(INPUTS**0.5)
    last = rng.standard_normal((HIDDEN, OUTPUTS), dtype=np.float32) / np.float32(HIDDEN**0.5)
    errors = targets
    for _ in range(steps):
        hidden = np.maximum(inputs @ first, 0)
        errors = hidden @ last - targets
        gradients = errors / SAMPLES
        back = (gradients @ last.T) * (hidden > 0)
        last -= LEARNING_RATE * (hidden.T @ gradients)
        first -= LEARNING_RATE * (inputs.T @ back)
    return float(np.mean(errors**2))
