"""What every task must do, as tests to subclass."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from greenbench.backends.base import measured
from greenbench.datasets import Dataset
from greenbench.errors import TaskError
from greenbench.tasks import Score, Task, check_loss, find_task

READS = ("classes", "outputs", "loss")


class TaskConformance:
    """What every task must do; subclass it in a test module, and say what it learns.

    Attributes
    ----------
    task : str
        Name in the registry.
    backends : tuple of str
        For which of them it has a loss.

    Examples
    --------
    >>> class TestRegression(TaskConformance):
    ...     task = "regression"
    ...     def make_dataset(self):
    ...         return numbers()
    ...     def make_misfit(self):
    ...         return digits()
    ...     def right(self, dataset):
    ...         return dataset.test.targets
    """

    task: str
    backends: tuple[str, ...] = ("torch", "keras")

    def make_dataset(self) -> Dataset:
        """Return a small data set that the task fits, of at least four test samples."""
        pytest.fail("override make_dataset so that it returns what the task can learn")

    def make_misfit(self) -> Dataset:
        """Return a small data set that it does not fit."""
        pytest.fail("override make_misfit so that it returns what the task cannot learn")

    def right(self, dataset: Dataset) -> NDArray[Any] | float:
        """Return what the score reads of a model that makes no mistake on the test split."""
        pytest.fail("override right so that it returns classes, outputs or a loss")

    @pytest.fixture
    def found(self) -> Task:
        """Return the task as cases get it."""
        return find_task(self.task)

    @pytest.fixture
    def dataset(self) -> Dataset:
        """Return what it fits."""
        return self.make_dataset()

    def test_its_figures_say_what_they_are(self, found: Task) -> None:
        """A unit, a direction and a range are what comparers and budgets go by."""
        figures = [found.score, *found.metrics]
        assert found.name == self.task
        assert len({each.name for each in figures}) == len(figures)
        for each in figures:
            assert each.low < each.high
            assert each.reads in READS
            assert each.chance is None or each.chance in each
            assert Score.from_dict(each.to_dict()) == each

    def test_it_has_a_loss_for_its_backends(self, found: Task) -> None:
        """Training needs one."""
        for backend in self.backends:
            check_loss(found, backend)

    def test_it_takes_what_it_fits(self, found: Task, dataset: Dataset) -> None:
        """And says what a network gives for one sample."""
        found.check(dataset)
        shape = found.outputs(dataset)
        assert shape
        assert all(isinstance(axis, int) and axis > 0 for axis in shape)

    def test_it_refuses_what_it_does_not_fit_in_one_line(self, found: Task) -> None:
        """The line names the task and the data set."""
        dataset = self.make_misfit()
        with pytest.raises(TaskError) as raised:
            found.check(dataset)
        message = str(raised.value)
        assert "\n" not in message
        assert repr(self.task) in message
        assert repr(dataset.name) in message

    def test_it_computes_what_it_declares_and_nothing_else(
        self, found: Task, dataset: Dataset
    ) -> None:
        """Each figure from what it reads, within its range."""
        declared = {each.name: each for each in (found.score, *found.metrics)}
        for reads, values in self._guesses(found, dataset).items():
            for name, value in found.measure(reads, values, dataset.test.targets).items():
                assert declared[name].reads == reads
                assert type(value) is float
                assert value in declared[name], name

    def test_no_mistake_scores_at_least_as_well_as_a_guess(
        self, found: Task, dataset: Dataset
    ) -> None:
        """The score points the way that it says."""
        targets = dataset.test.targets
        guess = self._guesses(found, dataset)[found.score.reads]
        reads, name = found.score.reads, found.score.name
        best, guessed = (
            measured(found, {reads: values}, targets)[name]
            for values in (self.right(dataset), guess)
        )
        assert found.score.gain(best) >= found.score.gain(guessed)

    def _guesses(self, found: Task, dataset: Dataset) -> Mapping[str, NDArray[Any] | float]:
        targets, generator = dataset.test.targets, np.random.default_rng(1)
        shape = (len(targets), *found.outputs(dataset))
        return {
            "classes": generator.integers(0, max(dataset.classes, 1), targets.shape),
            "outputs": generator.standard_normal(shape).astype(np.float32),
            "loss": 3.0,
        }
