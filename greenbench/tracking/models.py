"""Models in MLflow's own format: saved by the worker that has one, uploaded by its parent."""

import inspect
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import greenbench
from greenbench.errors import TrackingError
from greenbench.machine.places import described

ARTIFACT = "model"
"""Under which path of a run it lies: ``mlflow.pytorch.load_model(f"runs:/{run_id}/model")``."""
FLAVOURS = ("torch", "keras")


def save_model(model: object, folder: Path) -> None:
    """Write a model of torch or keras as a folder in MLflow's format, as a whole or not at all.

    Parameters
    ----------
    model : torch.nn.Module or keras.Model
        After its training.
    folder : pathlib.Path
        Replaced, if it is there.

    Raises
    ------
    TrackingError
        If it is of neither, or cannot be written: a lambda inside cannot be pickled, for one.
    """
    half = folder.with_name(f"{folder.name}.tmp")
    for path in (half, folder):
        shutil.rmtree(path, ignore_errors=True)
    try:
        _save(model, half)
        half.rename(folder)
    except Exception as error:
        shutil.rmtree(half, ignore_errors=True)
        raise TrackingError(f"the model is not kept: {described(error)}") from error


def log_model(client: Any, run_id: str, folder: Path) -> None:
    """Upload a saved model as an artifact of a run; what is there already is replaced.

    Parameters
    ----------
    client : mlflow.MlflowClient
        Of the store.
    run_id : str
        Of the repeat.
    folder : pathlib.Path
        As of `save_model`.
    """
    # File by file: each has the time that a store may take for an answer.
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        parent = Path(ARTIFACT, path.parent.relative_to(folder)).as_posix()
        client.log_artifact(run_id, str(path), parent)


def _save(model: Any, folder: Path) -> None:
    roots = {kind.__module__.partition(".")[0] for kind in type(model).__mro__}
    framework = next((name for name in FLAVOURS if name in roots), None)
    if framework is None:
        raise TrackingError(f"{type(model).__name__} is none of {' or '.join(FLAVOURS)}")
    # MLflow would import the model once more to find out.
    needed = [f"{framework}=={version(framework)}", f"greenbench=={greenbench.__version__}"]
    if framework == "keras":
        import mlflow.keras  # noqa: PLC0415

        mlflow.keras.save_model(model, str(folder), pip_requirements=needed)
        return
    import mlflow.pytorch  # noqa: PLC0415

    save = mlflow.pytorch.save_model
    # Of two formats, the other one is a graph, which not every network can become.
    is_named = "serialization_format" in inspect.signature(save).parameters
    options = {"serialization_format": "pickle"} if is_named else {}
    save(model.to("cpu"), str(folder), pip_requirements=needed, **options)
