"""What TensorFlow keeps for the whole process, and how to put it back."""

import sys
from collections.abc import Iterator

from greenbench.backends.process_settings import Setting


def settings() -> Iterator[Setting]:
    """Yield what can be read; its generator's state cannot."""
    config = sys.modules["tensorflow"].config
    yield Setting(
        "tf.config.experimental.enable_tensor_float_32_execution",
        config.experimental.tensor_float_32_execution_enabled,
        config.experimental.enable_tensor_float_32_execution,
    )
    yield Setting(
        "tf.config.run_functions_eagerly",
        config.functions_run_eagerly,
        config.run_functions_eagerly,
    )
    yield Setting("tf.config.optimizer.set_jit", config.optimizer.get_jit, config.optimizer.set_jit)
    yield Setting(
        "tf.config.optimizer.set_experimental_options",
        config.optimizer.get_experimental_options,
        config.optimizer.set_experimental_options,
    )
    yield Setting(
        "tf.config.set_soft_device_placement",
        config.get_soft_device_placement,
        config.set_soft_device_placement,
    )
    threading = config.threading
    for scope in ("intra", "inter"):
        yield Setting(
            f"tf.config.threading.set_{scope}_op_parallelism_threads",
            getattr(threading, f"get_{scope}_op_parallelism_threads"),
            getattr(threading, f"set_{scope}_op_parallelism_threads"),
        )


def seed(number: int) -> None:
    """Seed its global generator."""
    sys.modules["tensorflow"].random.set_seed(number)
