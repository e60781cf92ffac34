"""Which cluster is asked for, and how many of its workers may measure on this machine."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from greenbench.cases import Case
from greenbench.cli.clustered import cluster_of
from greenbench.cluster import devices
from greenbench.cluster.asked import Asked, asked
from greenbench.cluster.devices import surroundings
from greenbench.errors import ConfigurationError, GreenbenchError
from greenbench.results.gpus import Gpu

TRAINED = Case(strategy="grid", architecture="dense", size="xs", backend="torch", dataset="digits")
REPLAYED = replace(TRAINED, backend="tabular")


def test_a_scheduler_or_a_kind_with_its_workers_is_asked_for() -> None:
    assert asked(None, None) is None
    assert asked("tls://[::1]:8786", None) == Asked("tls://[::1]:8786", None, 0)
    assert asked(None, "local:4") == Asked(None, "local", 4)
    assert asked(None, "slurm") == Asked(None, "slurm", 1)
    found = asked(
        None, "slurm:8", ["queue=long", "queue=short", "extra=-C a", "extra=--gres=gpu:1"]
    )
    assert found is not None
    assert (found.kind, found.workers, found.option("queue")) == ("slurm", 8, "short")
    assert found.all_of("extra") == ["-C a", "--gres=gpu:1"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"scheduler": "tcp://a:1", "cluster": "slurm"}, "contradict each other"),
        ({"scheduler": "a:1"}, "expected tcp://HOST:PORT or tls://HOST:PORT"),
        ({"scheduler": "tcp://a"}, "is 'tcp://a'; expected tcp://HOST:PORT"),
        ({"scheduler": "http://a:1"}, "expected tcp://HOST:PORT"),
        ({"scheduler": "tcp://a:port"}, "expected tcp://HOST:PORT"),
        ({"scheduler": "tcp://a b:1"}, "expected tcp://HOST:PORT"),
        ({"cluster": "slrm"}, "unknown cluster 'slrm'; did you mean slurm?"),
        ({"cluster": "local"}, "expected local:N with the number of workers"),
        ({"cluster": "local:0"}, "expected local:N"),
        ({"cluster": "slurm:many"}, "is 'slurm:many'; expected slurm:N"),
        ({"cluster": "pbs:99999"}, "1 to 10000"),
        ({"options": ["queue=a"]}, "add --cluster"),
        ({"cluster": "slurm", "options": ["queue"]}, "is 'queue'; expected name=value"),
        ({"cluster": "slurm", "options": ["qeue=a"]}, "did you mean queue?"),
        ({"cluster": "slurm", "options": ["queue=a\n#SBATCH --x"]}, "the name of a queue"),
        ({"cluster": "lsf", "options": ["walltime=soon"]}, "walltime is 'soon'; expected hours"),
        ({"cluster": "pbs", "options": ["cores=0"]}, "a whole number above 0"),
        ({"cluster": "slurm", "options": ["memory=lots"]}, "such as 16GiB"),
        ({"cluster": "slurm", "options": ["extra=rm"]}, "a directive of the queue"),
        ({"cluster": "local:1", "options": ["queue=a"]}, "it has none"),
        ({"cluster": "kubernetes", "options": ["image=a b"]}, "the name of an image"),
        ({"cluster": "kubernetes", "options": ["wait=soon"]}, "wait is 'soon'; expected hours"),
    ],
)
def test_what_is_nothing_is_one_line(given: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        asked(given.get("scheduler"), given.get("cluster"), given.get("options", ()))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_password_in_an_address_is_not_shown() -> None:
    with pytest.raises(ConfigurationError) as refused:
        asked("tls://bob:hyena@host:8786", None)
    assert "hyena" not in str(refused.value)


def test_a_host_is_measured_by_one_worker() -> None:
    assert surroundings(1, [TRAINED], None, {}) == [{}]
    with pytest.raises(ConfigurationError, match=r"is 1 measured device.*use local:1"):
        surroundings(2, [REPLAYED, TRAINED], None, {})


def test_what_is_replayed_is_measured_by_nobody() -> None:
    assert surroundings(3, [REPLAYED], None, {}) == [{}] * 3


def test_each_gpu_is_measured_by_a_worker_that_sees_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cards = [Gpu(index, f"GPU-{index}", "H100", False) for index in range(2)]
    monkeypatch.setattr(devices, "visible_gpus", lambda environment: cards)
    found = surroundings(2, [TRAINED], "gpu", {})
    assert found == [{"CUDA_VISIBLE_DEVICES": "GPU-0"}, {"CUDA_VISIBLE_DEVICES": "GPU-1"}]
    with pytest.raises(ConfigurationError, match=r"finds 2 here; use local:2"):
        surroundings(3, [TRAINED], "gpu", {})


def test_without_a_gpu_its_counter_is_no_headline() -> None:
    with pytest.raises(ConfigurationError, match="finds 0 here; choose another headline"):
        surroundings(1, [TRAINED], "gpu", {"CUDA_VISIBLE_DEVICES": ""})


@pytest.mark.parametrize("name", ["scheduler", "cluster"])
def test_an_option_whose_value_is_empty_does_not_run_here(name: str) -> None:
    given = {"scheduler": None, "cluster": None, "cluster_option": (), name: ""}
    with pytest.raises(GreenbenchError, match=f"{name}.* ''"):
        cluster_of(given, goes_on=False)
