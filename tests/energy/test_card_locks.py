"""Who may measure at once: cards that are held one by one, and hosts as a whole."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from greenbench.energy import hostlock
from greenbench.energy.cards import Neighbours, card_lock
from greenbench.energy.gpu_states import GpuWatch
from greenbench.energy.gpus import training_gpus
from greenbench.energy.hostlock import host_lock, measuring_lock
from greenbench.errors import ConfigurationError
from greenbench.machine.locks import Lock
from greenbench.results.gpus import Gpu, TrainedGpu
from greenbench.results.marks import marks_of
from tests.builders import make_result
from tests.lock_holders import CARDS, Start, end, lock_holders, said
from tests.made_up_nvml import Card, install

FIRST, SECOND = Gpu(0, "GPU-a", "H200"), Gpu(1, "GPU-b", "H200")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "host.lock"


@pytest.fixture
def start(lock: Path) -> Iterator[Start]:
    with lock_holders(lock) as start_one:
        yield start_one


def is_free(path: Path, **how: bool) -> bool:
    lock = Lock(path)
    try:
        return lock.acquire(**how)
    finally:
        lock.release()


def nobody(_: str) -> None:
    pytest.fail("there is nobody to wait for")


def test_cards_are_measured_at_once_one_card_in_turn_and_the_host_alone(start: Start) -> None:
    first, second = start("GPU-a", program=CARDS), start("GPU-b", program=CARDS)
    assert [said(first), said(second)] == ["held", "held"]
    same = start("GPU-b", "GPU-c", program=CARDS)
    assert said(same) == "waiting"
    host = start()
    assert said(host) == "waiting"
    # Killed holders free all that they had.
    os.kill(second.pid, signal.SIGKILL)
    assert said(same) == "held"
    os.kill(same.pid, signal.SIGKILL)
    os.kill(first.pid, signal.SIGKILL)
    assert said(host) == "held"
    later = start("GPU-a", program=CARDS)
    assert said(later) == "waiting"
    os.kill(host.pid, signal.SIGKILL)
    assert said(later) == "held"


def test_who_waits_for_the_host_is_not_kept_away_by_cards_that_come_and_go(start: Start) -> None:
    first = start("GPU-a", program=CARDS)
    assert said(first) == "held"
    host = start()
    assert said(host) == "waiting"
    later = start("GPU-b", program=CARDS)
    assert said(later) == "waiting"  # though its card is free
    end(first)
    assert said(host) == "held"
    end(host)
    assert said(later) == "held"


@pytest.mark.parametrize("headline", [None, "measured", "total", "cpu"])
def test_what_is_not_a_cards_own_counter_alone_takes_the_host(
    lock: Path, start: Start, headline: str | None
) -> None:
    with measuring_lock(lock, [FIRST], headline, nobody) as held:
        assert not held.is_shared
        assert not is_free(lock, is_shared=True)


def test_without_a_card_that_nvml_knows_the_host_is_taken(lock: Path) -> None:
    with measuring_lock(lock, [], "gpu", nobody):
        assert not is_free(lock, is_shared=True)


def test_other_users_may_hold_a_card_too_and_what_is_planted_is_refused(lock: Path) -> None:
    before = os.umask(0o077)
    try:
        with measuring_lock(lock, [FIRST], "gpu", nobody):
            assert card_lock(lock, FIRST.uuid).stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)
    card_lock(lock, SECOND.uuid).symlink_to(lock.with_name("precious"))
    planted = pytest.raises(ConfigurationError, match="plain file")
    with planted, measuring_lock(lock, [SECOND], "gpu", nobody):
        pass
    assert not lock.with_name("precious").exists()
    # What was held until then is free again.
    assert is_free(lock)


def test_turn_that_is_no_file_makes_waiting_unfair_and_nothing_else(lock: Path) -> None:
    os.mkfifo(lock.with_name(f"{lock.name}.turn"))
    with host_lock(lock, nobody):
        pass


def test_name_of_a_card_leaves_the_folder_of_the_lock_in_no_way(lock: Path) -> None:
    assert card_lock(lock, "../../etc/GPU").parent == lock.parent


def test_card_that_workers_train_on_is_held_too_or_refused(lock: Path, start: Start) -> None:
    with measuring_lock(lock, [FIRST], "gpu", nobody) as held:
        held.take([FIRST, SECOND])
        other = start("GPU-b", program=CARDS)
        assert said(other) == "waiting"
    assert said(other) == "held"
    busy = pytest.raises(ConfigurationError, match=r"GPU-b trains, on which another greenbench")
    with measuring_lock(lock, [FIRST], "gpu", nobody) as held, busy:
        held.take([SECOND])


def test_neighbour_that_only_looks_whether_a_card_is_held_makes_nobody_give_up(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = Lock(card_lock(lock, "GPU-b"))
    # On a busy machine a look takes more than a moment.
    moments = iter([lambda: None, lambda: None, looking.release])
    with measuring_lock(lock, [FIRST], "gpu", nobody) as held:
        assert looking.acquire(is_shared=True)
        monkeypatch.setattr(hostlock.time, "sleep", lambda _: next(moments)())
        held.take([SECOND])
        assert not is_free(looking.path)


def test_what_a_card_measurement_has_started_waits_for_nobody(lock: Path, start: Start) -> None:
    with measuring_lock(lock, [FIRST], "gpu", nobody):
        host = start()
        assert said(host) == "waiting"
        # The one who waits for us would have us wait behind it.
        with host_lock(lock, nobody), measuring_lock(lock, [FIRST], "gpu", nobody):
            pass
        assert host.poll() is None
    assert said(host) == "held"


@pytest.mark.parametrize("who", ["nobody", "itself", "before", "between", "at the end"])
def test_others_on_other_cards_are_noticed_whenever_they_were_there(lock: Path, who: str) -> None:
    other = Lock(card_lock(lock, "GPU-a" if who == "itself" else "GPU-b"), is_for_everybody=True)

    def come() -> None:
        assert other.acquire()
        other.stamp()

    with ExitStack() as stack:
        stack.callback(other.release)
        come()
        if who not in ("before", "itself"):
            other.release()
        neighbours = Neighbours(lock, ["GPU-a"])
        other.release()
        if who in ("between", "at the end"):
            come()
        if who == "between":
            other.release()
        assert neighbours.were_there() == (who not in ("nobody", "itself"))


def test_what_is_planted_beside_is_no_neighbour(lock: Path) -> None:
    os.mkfifo(card_lock(lock, "GPU-b"))
    assert not Neighbours(lock, ["GPU-a"]).were_there()


@pytest.mark.parametrize("is_beside", [False, True])
def test_samples_beside_others_are_marked_and_energy_of_its_own_card_is_theirs(
    monkeypatch: pytest.MonkeyPatch, lock: Path, start: Start, is_beside: bool
) -> None:
    """A neighbour that draws 600 W changes nothing of the card's own counter."""
    own, other = Card("GPU-a", energy_mj=0), Card("GPU-b", energy_mj=0)
    install(monkeypatch, own, other)
    if is_beside:
        assert said(start("GPU-b", program=CARDS)) == "held"
    watch = GpuWatch(training_gpus({}), host_lock=lock)
    own.energy_mj, other.energy_mj = 5_000, 600_000
    [found] = watch.end()
    assert found.gpu.uuid == "GPU-a"
    assert TrainedGpu.from_dict({"gpu": vars(found.gpu), "before": {}, "after": {}}) is not None
    result = make_result(gpus=(found,))
    assert ("shared-host" in marks_of(result)) == is_beside
    assert ("shared-host" in marks_of(type(result).from_dict(result.to_dict()))) == is_beside
