"""A run turns from phase to phase: each window more costs CPU time, which is its user's."""

from greenbench.trainings import Run


class Turns(list[str | None]):
    """Keeps the phases that are turned to."""

    def turn(self, phase: str | None) -> None:
        self.append(phase)

    def rename(self, phase: str) -> None:
        self[-1] = phase


def test_an_epoch_with_an_evaluation_and_a_checkpoint_opens_no_window_in_between() -> None:
    turns = Turns()
    run = Run("training 'it'", {}, 0, 1, turns)
    with run.running():
        for _ in run.epochs():
            with run.phase("evaluate"):
                pass
            run.save({})
    assert turns == ["load", "train", "evaluate", "train", "save", "train", None]
