from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from greenbench.compare.front import knee, pareto_front

Points = list[tuple[int, int]]

# A coarse grid, so that equal energies, equal accuracies and equal points come up.
points = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 12)), min_size=1, max_size=12)
units = st.floats(1e-6, 1e6)


def columns(grid: Points) -> tuple[list[int], list[int]]:
    return [energy for energy, _ in grid], [accuracy for _, accuracy in grid]


def saturating(energies: Sequence[float]) -> list[float]:
    return [0.98 - 0.3 / energy for energy in energies]


def dominates(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@given(points)
def test_point_is_on_the_front_unless_another_dominates_it(grid: Points) -> None:
    expected = [not any(dominates(other, point) for other in grid) for point in grid]
    assert pareto_front(*columns(grid)) == expected


@given(points)
def test_front_of_the_front_is_all_of_it(grid: Points) -> None:
    front = [p for p, is_on in zip(grid, pareto_front(*columns(grid)), strict=True) if is_on]
    assert all(pareto_front(*columns(front)))


def test_no_points_have_no_front() -> None:
    assert pareto_front([], []) == []
    assert knee([], []) is None


def test_front_of_very_many_points_is_found_at_once() -> None:
    # All on the front: comparing all pairs would take hours.
    energies = list(range(200_000))
    assert all(pareto_front(energies, energies))


@pytest.mark.parametrize(
    ("energies", "accuracies", "expected"),
    [
        ([1, 2, 4, 8, 16], [0.50, 0.75, 0.90, 0.95, 0.96], 2),
        ([1, 2, 20], [0.1, 0.9, 0.91], 1),
        ([20, 1, 2], [0.91, 0.1, 0.9], 2),
    ],
)
def test_knee_is_where_accuracy_gets_expensive(
    energies: list[float], accuracies: list[float], expected: int
) -> None:
    assert knee(energies, accuracies) == expected


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("energies", "accuracies"),
    [
        pytest.param([1, 20], [0.1, 0.9], id="two points"),
        pytest.param([1, 2, 3, 20], [0.1, 0.9, 0.8, 0.7], id="two on the front"),
        pytest.param([1, 2, 2, 2], [0.1, 0.9, 0.9, 0.9], id="two that differ"),
        pytest.param([1, 2, 3, 4, 5], [0.1, 0.3, 0.5, 0.7, 0.9], id="straight"),
        pytest.param([1, 2, 4, 8, 16], [0.10, 0.11, 0.13, 0.2, 0.9], id="ever cheaper"),
        pytest.param([1, 8, 9, 16], [0.0, 0.01, 0.02, 1.0], id="a step at the end"),
    ],
)
def test_there_is_no_knee(energies: list[float], accuracies: list[float]) -> None:
    assert knee(energies, accuracies) is None


def test_sizes_too_small_to_learn_do_not_hide_the_knee() -> None:
    assert knee([1, 6, 7, 8, 14, 21], [0.10, 0.101, 0.85, 0.95, 0.96, 0.97]) == 3


@settings(deadline=None)
@given(points)
def test_knee_is_on_the_front_and_above_the_line_between_its_ends(grid: Points) -> None:
    found = knee(*columns(grid))
    if found is None:
        return
    front = sorted(p for p, is_on in zip(grid, pareto_front(*columns(grid)), strict=True) if is_on)
    assert grid[found] in front
    (least, lowest), (most, highest) = front[0], front[-1]
    energy, accuracy = grid[found]
    assert (accuracy - lowest) * (most - least) > (energy - least) * (highest - lowest)


@settings(deadline=None)
@given(points, units, units, st.integers(-100, 100), st.integers(-100, 100))
# Kneedle's threshold is met exactly here, and rounding would decide.
@example([(3, 3), (4, 5), (5, 6), (9, 7), (11, 11)], 0.001, 1 / 360, 0, 0)
def test_knee_is_invariant_to_units(
    grid: Points, energy_unit: float, accuracy_unit: float, energy_shift: int, accuracy_shift: int
) -> None:
    energies, accuracies = columns(grid)
    found = knee(
        [(energy + energy_shift) * energy_unit for energy in energies],
        [(accuracy + accuracy_shift) * accuracy_unit for accuracy in accuracies],
    )
    assert found == knee(energies, accuracies)


@settings(deadline=None)
@given(points, st.randoms(use_true_random=False))
def test_knee_is_invariant_to_order(grid: Points, random: Random) -> None:
    shuffled = random.sample(grid, len(grid))
    one, other = knee(*columns(grid)), knee(*columns(shuffled))
    assert (one is None) == (other is None)
    assert one is None or other is None or grid[one] == shuffled[other]


@settings(deadline=None)
@given(points)
def test_dominated_points_do_not_move_the_knee(grid: Points) -> None:
    front = [p for p, is_on in zip(grid, pareto_front(*columns(grid)), strict=True) if is_on]
    one, other = knee(*columns(grid)), knee(*columns(front))
    assert (one is None) == (other is None)
    assert one is None or other is None or grid[one] == front[other]


@settings(deadline=None)
@given(st.floats(1.5, 8.0))
def test_saturating_sizes_have_a_knee_before_the_largest(step: float) -> None:
    energies = [step**size for size in range(6)]
    found = knee(energies, saturating(energies))
    assert found is not None
    assert 0 < found < 5
