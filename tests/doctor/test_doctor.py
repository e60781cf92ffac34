"""The doctor on machines that are folders: counters, devices and drivers as Linux has them."""

import os
import stat
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from greenbench import registry
from greenbench.doctor import doctor
from greenbench.doctor.doctor import Findings, examine
from greenbench.errors import ConfigurationError, UnknownNameError
from greenbench.machine.threads import available_cores
from greenbench.results.readings import Component, Provenance, Reading
from greenbench.settings import Settings

NVIDIA, OTHER = "0x10de\n", "0x8086\n"

AddMeter = Callable[..., None]


def component(provenance: Provenance, source: str = "a meter") -> Component:
    reason = "nobody knows" if provenance is Provenance.NONE else None
    return Component(None, provenance, source, reason)


class StandingMeter:
    """Reads 1 J a window of whatever it is said to have."""

    def __init__(self, name: str, components: dict[str, Component]) -> None:
        self.name = name
        self._components = components

    def begin_window(self) -> None:
        pass

    def end_window(self) -> Reading:
        return Reading(
            0.0,
            {
                name: part if part.reason else replace(part, energy_j=1.0)
                for name, part in self._components.items()
            },
        )

    def describe(self) -> dict[str, Component]:
        return self._components

    def close(self) -> None:
        pass


@pytest.fixture
def add_meter(monkeypatch: pytest.MonkeyPatch) -> AddMeter:
    """Register a meter with components of given provenance."""

    def add(name: str = "standing", **parts: Provenance) -> None:
        components = {part: component(each, f"{name} {part}") for part, each in parts.items()}
        meter = StandingMeter(name, components)
        monkeypatch.setitem(registry.meters._loaded, name, lambda: meter)

    return add


class Machine:
    """What the doctor sees of a machine: a folder for /sys, a /proc/cpuinfo and programs."""

    def __init__(self, folder: Path) -> None:
        self.sys, self.cpuinfo, self.programs = (
            folder / name for name in ("sys", "cpuinfo", "programs")
        )
        self.programs.mkdir()
        self.cpuinfo.write_text("flags\t\t: fpu vme sse2\n")

    def add_counter(self, name: str = "intel-rapl:0") -> Path:
        counter = self.sys / "class" / "powercap" / name / "energy_uj"
        counter.parent.mkdir(parents=True)
        counter.write_text("12345\n")
        return counter

    def add_device(self, vendor: str, place: str = "0000:01:00.0") -> None:
        device = self.sys / "bus" / "pci" / "devices" / place
        device.mkdir(parents=True)
        (device / "vendor").write_text(vendor)

    def add_program(self, name: str) -> None:
        program = self.programs / name
        program.write_text("#!/bin/sh\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def become_virtual(self) -> None:
        self.cpuinfo.write_text("flags\t\t: fpu vme hypervisor sse2\n")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A bare machine: no counter, no device, no driver."""
    machine = Machine(tmp_path)
    monkeypatch.setattr(doctor, "SYS", machine.sys)
    monkeypatch.setattr(doctor, "CPUINFO", machine.cpuinfo)
    monkeypatch.setattr(doctor, "LISTENING_S", 0.01)
    monkeypatch.setenv("PATH", str(machine.programs))
    return machine


def found(meter: str = "standing", **settings: Any) -> Findings:
    return examine(Settings.from_environment(os.environ, meter=meter, **settings))


def advice() -> Sequence[str]:
    return found()["to measure more"]


@pytest.fixture
def model(add_meter: AddMeter, machine: Machine) -> Machine:
    """A machine on which the CPU is modelled, and no GPU is read."""
    add_meter(cpu=Provenance.MODEL)
    return machine


def test_counter_that_may_not_be_read_comes_with_the_commands(
    model: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter = model.add_counter()
    counter.chmod(0o400)
    # The administrator may read what others may not.
    monkeypatch.setattr(os, "access", lambda path, _: bool(path.stat().st_mode & stat.S_IROTH))
    reason, until_restart, _, for_good, *_ = advice()
    files = f"{model.sys}/class/powercap/*/energy_uj"
    assert "may not read" in reason
    assert until_restart == f"$ sudo chmod a+r {files}"
    assert for_good.startswith(f"$ echo 'z {files} 0444' | sudo tee /etc/tmpfiles.d/")


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read everything")
def test_unreadable_counter_is_noticed_by_its_own_rights(model: Machine) -> None:
    model.add_counter().chmod(0o000)
    assert "may not read" in advice()[0]


def test_one_unreadable_counter_of_several_is_enough(
    model: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.add_counter()
    closed = model.add_counter("intel-rapl:1")
    monkeypatch.setattr(os, "access", lambda path, _: path != closed)
    assert "may not read" in advice()[0]


def test_counter_that_can_be_read_is_the_meters_to_use(model: Machine) -> None:
    model.add_counter()
    assert advice()[0] == (
        "the CPU's energy counter (RAPL) can be read, but the meter does not use it"
    )


def test_virtual_machine_is_told_that_no_command_helps(model: Machine) -> None:
    model.become_virtual()
    first = advice()[0]
    assert "virtual machine" in first
    assert "bare-metal" in first
    assert not any(line.startswith("$") for line in advice())


def test_counter_of_a_virtual_machine_is_a_counter(model: Machine) -> None:
    model.become_virtual()
    model.add_counter()
    assert "can be read" in advice()[0]


def test_bare_metal_without_a_counter_is_told_to_load_its_driver(model: Machine) -> None:
    reason, command, *_ = advice()
    assert "no energy counter (RAPL)" in reason
    assert command.startswith("$ sudo modprobe")


def test_unknown_system_is_not_taken_for_a_virtual_machine(model: Machine) -> None:
    model.cpuinfo.unlink()
    assert "no energy counter (RAPL)" in advice()[0]


def test_nvidia_device_without_a_driver_is_told_to_install_it(model: Machine) -> None:
    model.add_device(OTHER, "0000:00:02.0")
    model.add_device(NVIDIA)
    *_, reason, command = advice()
    assert "driver" in reason
    assert command.startswith("$ sudo ubuntu-drivers install")


def test_nvidia_device_whose_driver_does_not_answer_is_asked_by_hand(model: Machine) -> None:
    model.add_device(NVIDIA)
    model.add_program("nvidia-smi")
    *_, reason, command = advice()
    assert "does not answer" in reason
    assert command == "$ nvidia-smi"


@pytest.mark.parametrize("vendors", [[], [OTHER]], ids=["no device", "another vendor's"])
def test_without_an_nvidia_device_there_is_no_gpu_to_measure(
    model: Machine, vendors: list[str]
) -> None:
    for vendor in vendors:
        model.add_device(vendor)
    assert "none by NVIDIA on the PCI bus" in advice()[-1]


def test_driver_without_a_device_is_no_gpu(model: Machine) -> None:
    model.add_program("nvidia-smi")
    assert "none by NVIDIA on the PCI bus" in advice()[-1]


def test_nothing_is_advised_where_all_is_measured(add_meter: AddMeter, machine: Machine) -> None:
    add_meter(cpu=Provenance.COUNTER, gpu=Provenance.SAMPLED, ram=Provenance.MODEL)
    assert advice() == ["nothing: all that counts is measured"]


@pytest.mark.parametrize("part", ["cpu", "gpu"])
def test_advice_is_about_what_is_not_measured(
    part: str, add_meter: AddMeter, machine: Machine
) -> None:
    add_meter(**{"cpu": Provenance.COUNTER, "gpu": Provenance.COUNTER, part: Provenance.MODEL})
    machine.add_counter()
    machine.add_device(NVIDIA)
    assert ("CPU" in advice()[0], "GPU" in advice()[0]) == (part == "cpu", part == "gpu")


MEASURED = ["absolute figures, ratios, and deterministic costs (FLOPs, parameters, samples)"]
DETERMINISTIC = ["deterministic costs only (FLOPs, parameters, samples)"]
RATIOS = (
    "ratios of paired runs on this machine, and deterministic costs (FLOPs, parameters, "
    "samples); not absolute figures, since part of the total is estimated"
)


@pytest.mark.parametrize(
    ("parts", "uses"),
    [
        ({"cpu": Provenance.COUNTER}, MEASURED),
        ({"cpu": Provenance.SAMPLED, "gpu": Provenance.COUNTER}, MEASURED),
        # Modelled RAM is in no total, so it spoils none.
        ({"cpu": Provenance.COUNTER, "ram": Provenance.MODEL}, MEASURED),
        ({"cpu": Provenance.MODEL}, [RATIOS]),
        (
            {"cpu": Provenance.MODEL, "gpu": Provenance.COUNTER},
            [MEASURED[0].replace("figures", "figures of gpu")],
        ),
        ({"cpu": Provenance.CONSTANT}, DETERMINISTIC),
        ({"cpu": Provenance.NONE}, DETERMINISTIC),
        ({"cpu": Provenance.COUNTER, "gpu": Provenance.NONE}, DETERMINISTIC),
        ({"ram": Provenance.MODEL}, DETERMINISTIC),
        ({}, DETERMINISTIC),
    ],
    ids=[
        "counter", "power readings", "with modelled RAM", "model", "GPU counter, CPU model",
        "constant", "none", "GPU unknown", "RAM alone", "nothing",
    ],
)  # fmt: skip
def test_figures_are_for_what_their_worst_part_allows(
    parts: dict[str, Provenance], uses: list[str], add_meter: AddMeter, machine: Machine
) -> None:
    add_meter(**parts)
    assert found()["figures are for"] == uses


@pytest.mark.parametrize(
    ("parts", "asked", "lines"),
    [
        (
            {"cpu": Provenance.MODEL, "ram": Provenance.MODEL},
            None,
            [
                "cpu: all but modelled RAM, since the CPU has no energy counter that is read "
                "(total); beside it: ram estimated"
            ],
        ),
        (
            {"cpu": Provenance.MODEL, "gpu": Provenance.COUNTER},
            None,
            [
                "of training on the GPU: gpu: what is measured, since the GPU has an energy "
                "counter (measured); beside it: cpu estimated",
                "of training on the CPU: cpu+gpu: all but modelled RAM, since the CPU has no "
                "energy counter that is read (total)",
            ],
        ),
        (
            {"cpu": Provenance.MODEL},
            "cpu",
            ["cpu: as GREENBENCH_HEADLINE=cpu asks"],
        ),
        (
            {"cpu": Provenance.MODEL},
            "gpu",
            [
                "refused: headline is 'gpu', but the meter finds no GPU (here: cpu estimated); "
                "choose another one with --headline or GREENBENCH_HEADLINE, or leave it out; see "
                "`greenbench doctor`"
            ],
        ),
    ],
    ids=["nothing measured", "GPU counter", "asked for", "refused"],
)
def test_headline_is_told_with_its_reason(
    parts: dict[str, Provenance],
    asked: str | None,
    lines: list[str],
    add_meter: AddMeter,
    machine: Machine,
) -> None:
    add_meter(**parts)
    assert found(headline=asked)["headline"] == lines


def test_replayed_energy_is_for_no_figure_of_this_machine(machine: Machine, tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("# provenance: counter\ntime_s,cpu_w\n0,10\n1000,10\n")
    (use,) = found(f"replay:{trace}")["figures are for"]
    assert use.startswith("tests and simulation only")


def test_energy_is_told_by_part_with_how_it_comes_about(
    add_meter: AddMeter, machine: Machine
) -> None:
    add_meter(
        cpu=Provenance.CONSTANT, gpu=Provenance.NONE, ram=Provenance.MODEL, dram=Provenance.SAMPLED
    )
    assert found()["energy"] == [
        "cpu: estimated (constant) by standing cpu",
        "dram: measured (sampled) by standing dram",
        "gpu: none, nobody knows (standing gpu)",
        "ram: estimated (model) by standing ram; beside the headline",
    ]


@pytest.mark.parametrize(
    ("parts", "gpu"),
    [
        ({}, "none found"),
        ({"gpu": Provenance.COUNTER}, "standing gpu"),
        ({"gpu": Provenance.NONE}, "nobody knows"),
    ],
    ids=["none", "there", "unknown"],
)
def test_gpu_is_named_only_where_there_is_one(
    parts: dict[str, Provenance], gpu: str, add_meter: AddMeter, machine: Machine
) -> None:
    add_meter(cpu=Provenance.MODEL, **parts)
    assert found()["gpu"] == gpu


def test_witnesses_are_shown_beside_the_meter_that_counts(
    add_meter: AddMeter, machine: Machine
) -> None:
    add_meter(cpu=Provenance.MODEL)
    add_meter("second", cpu=Provenance.COUNTER, gpu=Provenance.NONE)
    shown = found("standing,second")
    assert shown["energy"] == ["cpu: estimated (model) by standing cpu"]
    assert shown["second, a witness"] == [
        "cpu: measured (counter) by second cpu",
        "gpu: none, nobody knows (second gpu)",
    ]
    # A witness makes no figure better than it is.
    assert shown["figures are for"] == [RATIOS]


def test_one_meter_has_no_witness(model: Machine) -> None:
    assert not any("witness" in name for name in found())


@pytest.mark.parametrize(
    ("busy_share", "quiet"),
    [
        (0.0, "others use 0.0% of the CPU time now; quiet enough (limit 5%)"),
        (0.04, "others use 4.0% of the CPU time now; quiet enough (limit 5%)"),
        (
            0.25,
            "others use 25.0% of the CPU time now; samples would be marked as disturbed (limit 5%)",
        ),
    ],
)
def test_quietness_is_what_others_use(
    busy_share: float, quiet: str, model: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So many cores that what this very process uses is nothing beside them.
    cores = 100_000
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    Times = namedtuple("Times", ["user", "idle"])
    readings = iter([Times(0.0, 0.0), Times(busy_share * cores * doctor.LISTENING_S, 0.0)])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(readings))
    assert found()["quiet"] == quiet


def test_others_work_that_is_not_in_the_energy_delays(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_listen", lambda: 0.9)
    shown = found("process", cpu_tdp_w=8.0)
    assert "marked as delayed: it is not in their energy" in shown["quiet"]
    assert "by GREENBENCH_CPU_TDP_W" in shown["energy"][0]
    assert not any("GREENBENCH_CPU_TDP_W" in line for line in shown["to measure more"])


def test_tdp_is_asked_for_where_a_model_rests_on_it(model: Machine) -> None:
    assert any("all CPUs of this machine together" in line for line in advice())
    model.become_virtual()
    assert any("this virtual machine has of its host's CPU" in line for line in advice())


def test_system_that_says_nothing_of_others_is_of_unknown_quietness(
    model: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "LISTENING_S", 0.0)
    assert found()["quiet"].startswith("unknown")


def test_settings_are_shown_with_the_variables_that_set_them(
    model: Machine, tmp_path: Path
) -> None:
    shown = found(threads=3, data_dir=tmp_path / "images", country="NLD")
    cores = available_cores()
    assert shown["threads"] == f"3 a worker (GREENBENCH_THREADS) of {cores} cores; see --threads"
    assert shown["data"] == f"{tmp_path / 'images'} (GREENBENCH_DATA_DIR)"
    assert shown["host lock"] == f"{tmp_path / 'host.lock'} (GREENBENCH_HOST_LOCK)"
    assert "Netherlands" in shown["carbon intensity"]


def test_store_that_is_not_there_yet_is_no_error_and_is_not_made(
    model: Machine, tmp_path: Path
) -> None:
    assert "there is no store" in found()["mlflow store"]
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize(
    ("settings", "error"),
    [({"meter": "no_such"}, UnknownNameError), ({"carbon_g_per_kwh": -1.0}, ConfigurationError)],
    ids=["meter", "intensity"],
)
def test_what_a_run_would_refuse_is_refused(
    settings: dict[str, Any], error: type[Exception], model: Machine
) -> None:
    with pytest.raises(error):
        found(**settings)
