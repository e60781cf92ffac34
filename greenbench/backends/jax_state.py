"""What JAX keeps for the whole process, and how to put it back."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from greenbench.backends.process_settings import Setting


def settings() -> Iterator[Setting]:
    """Yield all of its configuration, such as ``jax_enable_x64``."""
    yield Setting("jax.config.update", _values, _set_values)


def _values() -> dict[str, Any]:
    return dict(sys.modules["jax"].config.values)


def _set_values(kept: Mapping[str, Any]) -> None:
    config = sys.modules["jax"].config
    for name, value in config.values.items():
        if name in kept and value != kept[name]:
            config.update(name, kept[name])
