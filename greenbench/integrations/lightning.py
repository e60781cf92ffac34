"""Lightning: a module and its data module, trained by their `Trainer`, as a case."""

from collections.abc import Generator
from typing import Any

from greenbench.integrations.bookkeeper import Bookkeeper, size_of
from greenbench.integrations.hand_over import handed_over
from greenbench.trainings import Report, Run


def fit(
    run: Run,
    trainer: Any,
    module: Any,
    *data: Any,
    monitor: str,
    loss: str = "train_loss",
    **options: Any,
) -> Generator[Report, None, None]:
    """Yield a report at the end of each epoch of ``trainer.fit(module, *data, **options)``.

    Evaluations are booked to ``evaluate``, checkpoints to ``save``, and what comes before the
    first epoch to ``load``. It trains for as many epochs as the case has.

    Parameters
    ----------
    run : Run
        What the training was given.
    trainer : lightning.pytorch.Trainer
        Trains, in this process alone.
    module, *data, **options
        As its `fit` takes them.
    monitor : str
        Which of the logged metrics is the score, such as ``"val_accuracy"``; one that was never
        logged is a `ProtocolError`.
    loss : str
        Which of them is the training loss, if it is logged.
    """
    trainer.fit_loop.max_epochs = run.max_epochs
    if run.parameters is None:
        run.costs(sum(each.numel() for each in module.parameters() if each.requires_grad))
    return handed_over(
        lambda tell: _fit(Bookkeeper(run, monitor, tell), trainer, loss, module, *data, **options)
    )


def _fit(keeper: Bookkeeper, trainer: Any, loss: str, *args: Any, **options: Any) -> None:
    callback = _callback(keeper, trainer, loss)
    trainer.callbacks.append(callback)
    try:
        with keeper.booked(trainer, save_checkpoint="save"):
            trainer.fit(*args, **options)
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            # Lightning has tidied up, and would end the process.
            raise error.__context__ from None
        raise
    finally:
        trainer.callbacks.remove(callback)


def _callback(keeper: Bookkeeper, trainer: Any, loss: str) -> Any:
    class Books(_base(trainer)):  # type: ignore[misc]
        """Tells the bookkeeper; an epoch is over when the next begins, or training ends.

        Modules and callbacks may log until then.
        """

        def on_train_epoch_start(self, trainer: Any, *args: Any) -> None:
            self._end_epoch(trainer, is_last=False)
            if not keeper.begin_epoch():
                trainer.should_stop = True

        def on_train_end(self, trainer: Any, *args: Any) -> None:
            self._end_epoch(trainer, is_last=True)

        def on_validation_start(self, *args: Any) -> None:
            keeper.enter("evaluate")

        def on_validation_end(self, *args: Any) -> None:
            keeper.leave()

        def _end_epoch(self, trainer: Any, is_last: bool) -> None:
            loader = trainer.train_dataloader if trainer.limit_train_batches == 1.0 else None
            samples = size_of(getattr(loader, "dataset", None))
            keeper.end_epoch(trainer.callback_metrics, loss=loss, samples=samples, is_last=is_last)

    return Books()


def _base(trainer: Any) -> Any:
    """Return what callbacks of a trainer derive from, by the package that it comes from."""
    if any(each.__module__.startswith("pytorch_lightning.") for each in type(trainer).__mro__):
        import pytorch_lightning  # noqa: PLC0415

        return pytorch_lightning.Callback
    import lightning.pytorch  # noqa: PLC0415

    return lightning.pytorch.Callback
