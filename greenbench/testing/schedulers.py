"""What every scheduler must do, as tests to subclass."""

import random
from collections.abc import Sequence
from typing import ClassVar

from greenbench.schedulers import Scheduler

EPOCHS = 16
TRIALS = 20
FAILING_SHARE = 0.2

Step = tuple[int, int]


class SchedulerConformance:
    """What every scheduler must do; subclass it in a test module and name the scheduler.

    Attributes
    ----------
    scheduler : type of Scheduler
        What is tested.

    Examples
    --------
    >>> from greenbench.schedulers.halving import AshaScheduler
    >>> class TestAsha(SchedulerConformance):
    ...     scheduler = AshaScheduler
    """

    scheduler: ClassVar[type[Scheduler]]

    def make_scheduler(self) -> Scheduler:
        """Return a new scheduler."""
        return type(self).scheduler(epochs=EPOCHS)

    def test_every_trial_is_trained_further_each_time(self) -> None:
        """From memory, never from scratch, and not beyond its end."""
        steps = run_schedule(self.make_scheduler(), _scores())
        for index in range(TRIALS):
            targets = [target for each, target in steps if each == index]
            assert targets == sorted(set(targets))
            assert targets[0] >= 1
            assert targets[-1] <= EPOCHS

    def test_all_trials_are_started_in_order(self) -> None:
        """The strategy's proposals are all tried."""
        steps = run_schedule(self.make_scheduler(), _scores())
        assert list(dict.fromkeys(index for index, _ in steps)) == list(range(TRIALS))

    def test_failed_trials_never_go_on(self) -> None:
        """Their models are of no use."""
        scores = _scores()
        steps = run_schedule(self.make_scheduler(), scores)
        failed = [index for index, score in enumerate(scores) if score is None]
        assert all(sum(each == index for each, _ in steps) == 1 for index in failed)

    def test_some_trial_gets_to_its_end(self) -> None:
        """However short the search is, it finds a model that is fully trained."""
        for trials in range(1, TRIALS):
            steps = run_schedule(self.make_scheduler(), [0.5] * trials)
            assert EPOCHS in {target for _, target in steps}

    def test_nothing_breaks_if_all_fail(self) -> None:
        """A search in which nothing works ends like any other."""
        steps = run_schedule(self.make_scheduler(), [None] * TRIALS)
        assert len(steps) == TRIALS

    def test_replayed_reports_lead_to_the_same_decisions(self) -> None:
        """An interrupted search is taken up from its journal, which holds the reports alone."""
        scores = _scores()
        whole = run_schedule(self.make_scheduler(), scores)
        for cut in range(len(whole)):
            replayed = self.make_scheduler()
            for index, _ in whole[:cut]:
                replayed.report(index, scores[index])
            assert run_schedule(replayed, scores, whole[:cut]) == whole

    def test_scores_may_be_of_any_range(self) -> None:
        """What is negated because lower is better decides as the same order above 0 does."""
        scores = _scores()
        below = [None if score is None else 1e6 * (score - 2.0) for score in scores]
        expected = run_schedule(self.make_scheduler(), scores)
        assert run_schedule(self.make_scheduler(), below) == expected

    def test_dropped_trials_never_go_on(self) -> None:
        """Their models went with the process that had them."""
        scheduler = self.make_scheduler()
        target = scheduler.target(0)
        scheduler.report(0, 1.0)
        scheduler.drop(0)
        scores = [1.0] + [0.5] * (TRIALS - 1)
        later = run_schedule(scheduler, scores, [(0, target)])[1:]
        assert 0 not in {index for index, _ in later}


def run_schedule(
    scheduler: Scheduler, scores: Sequence[float | None], done: Sequence[Step] = ()
) -> list[Step]:
    """Return trial and target of each segment of a search.

    Parameters
    ----------
    scheduler : Scheduler
        What decides.
    scores : sequence of float or None
        What each trial has whenever it is judged.
    done : sequence of (int, int)
        What the scheduler was told before.
    """
    steps = list(done)
    started = len({index for index, _ in done})
    while True:
        index = scheduler.promote(is_last=started == len(scores))
        if index is None:
            if started == len(scores):
                return steps
            index = started
            started += 1
        steps.append((index, scheduler.target(index)))
        scheduler.report(index, scores[index])


def _scores() -> list[float | None]:
    numbers = random.Random(1)
    drawn = [numbers.random() for _ in range(TRIALS)]
    return [None if score < FAILING_SHARE else score for score in drawn]
