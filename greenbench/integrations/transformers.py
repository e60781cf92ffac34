"""Hugging Face: what its `Trainer` trains, as a case."""

from collections.abc import Generator
from typing import Any

from greenbench.errors import ProtocolError
from greenbench.integrations.bookkeeper import Bookkeeper, size_of
from greenbench.integrations.hand_over import handed_over
from greenbench.trainings import Report, Run

_PHASES = {"evaluate": "evaluate", "predict": "evaluate", "_save_checkpoint": "save"}
"""What a trainer does besides, by its methods."""


def train(run: Run, trainer: Any, *, monitor: str, **options: Any) -> Generator[Report, None, Any]:
    """Yield a report at the end of each epoch of ``trainer.train(**options)``; return what it does.

    Evaluations are booked to ``evaluate``, checkpoints to ``save``, and what comes before the
    first epoch to ``load``. It trains for as many epochs as the case has.

    Parameters
    ----------
    run : Run
        What the training was given.
    trainer : transformers.Trainer
        Trains, in this process alone.
    monitor : str
        Which of the logged metrics is the score, such as ``"eval_accuracy"``.
    **options
        As `train` of the trainer takes them.

    Raises
    ------
    ProtocolError
        If `monitor` was never logged, or steps end the training.
    """
    if trainer.args.max_steps > 0:
        raise ProtocolError(
            f"the trainer has max_steps={trainer.args.max_steps}; expected -1, since the epochs of "
            "the case say how far it trains"
        )
    trainer.args.num_train_epochs = run.max_epochs
    if run.parameters is None:
        run.costs(trainer.model.num_parameters(only_trainable=True))
    return handed_over(lambda tell: _train(Bookkeeper(run, monitor, tell), trainer, options))


def _train(keeper: Bookkeeper, trainer: Any, options: dict[str, Any]) -> Any:
    callback = _callback(keeper, size_of(trainer.train_dataset))
    trainer.add_callback(callback)
    try:
        with keeper.booked(trainer, **_PHASES):
            return trainer.train(**options)
    finally:
        trainer.remove_callback(callback)


def _callback(keeper: Bookkeeper, samples: int | None) -> Any:
    import transformers  # noqa: PLC0415

    class Books(transformers.TrainerCallback):
        """Tells the bookkeeper; an epoch is over when the next begins, or training ends.

        Until then it is evaluated and saved.
        """

        def on_epoch_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self._end_epoch(state, is_last=False)
            if not keeper.begin_epoch():
                control.should_training_stop = True

        def on_train_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
            self._end_epoch(state, is_last=True)

        def _end_epoch(self, state: Any, is_last: bool) -> None:
            logged = {name: value for each in state.log_history for name, value in each.items()}
            keeper.end_epoch(logged, samples=samples, is_last=is_last)

    return Books()
