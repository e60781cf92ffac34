"""What Keras keeps for the whole process: how it starts, and how to put it back."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from greenbench.backends.process_settings import Setting

PREFIX = "KERAS_"

DEFAULTS = {
    "floatx": "float32",
    "epsilon": 1e-7,
    "image_data_format": "channels_last",
    "dtype_policy": "float32",
    "max_epochs": None,
    "max_steps_per_epoch": None,
}
"""What every network finds, by the name in ``keras.config``, on whatever machine."""

_GENERATOR = "global_seed_generator"
_SEED = "global_random_seed"
_NAMES = "object_name_uids"


def import_keras(engine: str, variables: Mapping[str, str]) -> None:
    """Import Keras on an engine, with our settings, and none of a file or a user's variable.

    It reads ``keras.json`` and its variables while it is imported; some change networks, some
    cut trainings short, and a file that it does not like stops it. Weights that were
    downloaded stay where they are.

    Parameters
    ----------
    engine : str
        What Keras calls it.
    variables : mapping of str to str
        What Keras finds in its own variables while it is imported.
    """
    given = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIX)}
    os.environ["KERAS_BACKEND"] = engine
    with tempfile.TemporaryDirectory() as empty:
        ours = {"KERAS_HOME": empty, **variables}
        os.environ.update(ours)
        try:
            import keras  # noqa: PLC0415
            from keras.src.backend import config  # noqa: PLC0415
        finally:
            for name in ours:
                del os.environ[name]
    home = given.get("KERAS_HOME")
    if home is not None:
        os.environ["KERAS_HOME"] = home
    if empty == config._KERAS_DIR:
        config._KERAS_DIR = home or str(Path(_base()) / ".keras")
    for name, value in DEFAULTS.items():
        if put := getattr(keras.config, f"set_{name}", None):
            put(value)


def _base() -> str:
    """Return what Keras takes for its base: the home folder, if there is one to write to."""
    home = os.path.expanduser("~")  # noqa: PTH111  Path's own raises where there is none.
    return home if os.access(home, os.W_OK) else tempfile.gettempdir()


def settings() -> Iterator[Setting]:
    """Yield everything; what this version of Keras lacks is left out."""
    import keras  # noqa: PLC0415

    for name in DEFAULTS:
        get = getattr(keras.config, name, None)
        put = getattr(keras.config, f"set_{name}", None)
        if get and put:
            yield Setting(f"keras.config.set_{name}", get, put)
    yield Setting("keras.utils.set_random_seed", _random_state, _set_random_state, is_random=True)
    yield Setting("state of keras", _others, _set_others, is_computing=False)


def seed(number: int) -> None:
    """Seed its global generator; those beneath are seeded by themselves."""
    _set_random_state((number, None))


def _tracker() -> Any:
    from keras.src.backend.common import global_state  # noqa: PLC0415

    # Anew at each call: ``clear_session`` replaces it.
    return global_state.GLOBAL_STATE_TRACKER


def _random_state() -> tuple[Any, Any]:
    tracker = _tracker()
    generator = getattr(tracker, _GENERATOR, None)
    place = None if generator is None else tuple(generator.state.numpy().tolist())
    return getattr(tracker, _SEED, None), place


def _set_random_state(kept: tuple[Any, Any]) -> None:
    import keras  # noqa: PLC0415

    tracker = _tracker()
    seed, place = kept
    setattr(tracker, _SEED, seed)
    if place is None:
        setattr(tracker, _GENERATOR, None)
        return
    if getattr(tracker, _GENERATOR, None) is None:
        setattr(tracker, _GENERATOR, keras.random.SeedGenerator(0))
    getattr(tracker, _GENERATOR).state.assign(place)


def _others() -> dict[str, Any]:
    """Return the rest: among others, how many layers of a kind were named so far."""
    listed = {_GENERATOR, _SEED, "dtype_policy"}
    found = {name: each for name, each in vars(_tracker()).items() if name not in listed}
    return {**found, _NAMES: dict(found.get(_NAMES, {}))}


def _set_others(kept: dict[str, Any]) -> None:
    tracker = _tracker()
    for name in set(_others()) - set(kept):
        delattr(tracker, name)
    for name, value in kept.items():
        if name != _NAMES:
            setattr(tracker, name, value)
    setattr(tracker, _NAMES, defaultdict(int, kept[_NAMES]))
