"""Keras: a compiled model and its `fit`, as a case."""

import math
from collections.abc import Callable, Generator
from typing import Any

from greenbench.integrations.bookkeeper import Bookkeeper, size_of
from greenbench.integrations.hand_over import handed_over
from greenbench.trainings import Report, Run


def fit(
    run: Run, model: Any, *data: Any, monitor: str, **options: Any
) -> Generator[Report, None, Any]:
    """Yield a report an epoch of ``model.fit(*data, **options)``; return its history.

    Evaluations are booked to ``evaluate``, `model.save` to ``save``, and what comes before the
    first epoch to ``load``. It trains for as many epochs as the case has, whatever ``epochs`` says.

    Parameters
    ----------
    run : Run
        What the training was given.
    model : keras.Model
        Compiled.
    *data
        As `fit` takes them.
    monitor : str
        Which of the logged metrics is the score, such as ``"val_accuracy"``.
    **options
        As `fit` takes them, ``callbacks`` among them.

    Raises
    ------
    ProtocolError
        If `monitor` was never logged.
    """
    x = data[0] if data else options.get("x")
    samples = size_of(x) if hasattr(x, "shape") else None

    def work(tell: Callable[[Report], None]) -> Any:
        keeper = Bookkeeper(run, monitor, tell)
        ours = _callback(keeper, run, samples)
        callbacks = [*(options.pop("callbacks", None) or ()), ours]
        with keeper.booked(model, save="save", save_weights="save"):
            return model.fit(*data, **{**options, "epochs": run.max_epochs, "callbacks": callbacks})

    return handed_over(work)


def _callback(keeper: Bookkeeper, run: Run, samples: int | None) -> Any:
    import keras  # noqa: PLC0415

    class Books(keras.callbacks.Callback):  # type: ignore[misc]
        """Tells the bookkeeper; it is the last of the callbacks, so others have done their part."""

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if not keeper.begin_epoch():
                self.model.stop_training = True

        def on_test_begin(self, logs: Any = None) -> None:
            keeper.enter("evaluate")

        def on_test_end(self, logs: Any = None) -> None:
            keeper.leave()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if run.parameters is None:
                # Known once the model has seen a batch.
                weights = self.model.trainable_weights
                run.costs(sum(math.prod(each.shape) for each in weights))
            keeper.end_epoch(logs or {}, samples=samples, is_last=epoch + 1 == run.max_epochs)

    return Books()
