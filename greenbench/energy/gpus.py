"""Which GPUs train, as NVML and CUDA's rules tell.

CUDA numbers cards its own way: by ``CUDA_VISIBLE_DEVICES``, and fastest first unless
``CUDA_DEVICE_ORDER`` says otherwise. NVML knows all cards, by their place on the bus.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from greenbench.energy.gpu_states import read_states as read_states  # noqa: PLC0414
from greenbench.energy.nvml import answer, nvml, text
from greenbench.results.gpus import Gpu as Gpu  # noqa: PLC0414
from greenbench.results.gpus import GpuState as GpuState  # noqa: PLC0414
from greenbench.results.readings import Component, Provenance

OF_WHOLE_CARD = "of the whole card, of which a slice (MIG) trains"


@dataclass(frozen=True)
class _Card:
    index: int
    uuid: str
    name: str
    pci: tuple[int, ...]
    speed: int
    is_sliced: bool
    slices: tuple[str, ...]

    def as_gpu(self) -> Gpu:
        return Gpu(self.index, self.uuid, self.name, self.is_sliced)


def training_gpus(
    environment: Mapping[str, str], told: Sequence[str] | None = None, count: int = 1
) -> list[Gpu]:
    """Return the cards that a worker trains on; none if it trains on the CPU, or NVML is absent.

    Parameters
    ----------
    environment : mapping of str to str
        The worker's.
    told : sequence of str, optional
        UUIDs or PCI addresses of its devices, as its backend tells; none if it trains on the
        CPU. Without, it is taken to train on the first ones that CUDA shows it.
    count : int
        How many those are.
    """
    if told is not None and not told:
        return []
    with nvml() as library:
        cards = _cards(library) if library is not None else []
    named = [card for name in told or () for card in _named(cards, name)]
    if told is None or not named:
        named = _visible(cards, environment)[:count]
    return [card.as_gpu() for card in dict.fromkeys(named)]


def gpus_to_read(
    environment: Mapping[str, str], told: Sequence[str] | None = None, count: int = 1
) -> list[Gpu] | None:
    """Return the cards that a meter should read: `training_gpus`.

    None where NVML is absent and the backend may train on a device of another maker: then meters
    read what they find.
    """
    found = training_gpus(environment, told, count)
    if found or (told is not None and not told):
        return found
    with nvml() as library:
        return None if library is None else found


def described(found: Component | None, gpus: Sequence[Gpu], reader: str) -> Component:
    """Return what a meter reads of the cards that train.

    Parameters
    ----------
    found : Component or None
        What it found.
    gpus : sequence of Gpu
        At least one.
    reader : str
        The meter, for sources.
    """
    if found is None or found.provenance is Provenance.NONE:
        reason = f"{reader} does not find the {gpus[0].name} that trains"
        return Component(None, Provenance.NONE, f"{reader}: GPU", reason)
    if any(gpu.is_slice for gpu in gpus):
        return replace(found, source=f"{found.source} {OF_WHOLE_CARD}")
    return found


def visible_gpus(environment: Mapping[str, str]) -> list[Gpu]:
    """Return the cards that CUDA shows to a process with that environment, in CUDA's order."""
    with nvml() as library:
        cards = _cards(library) if library is not None else []
    return [card.as_gpu() for card in dict.fromkeys(_visible(cards, environment))]


def _cards(library: Any) -> list[_Card]:
    count = answer(library, "nvmlDeviceGetCount") or 0
    found = (_card(library, index) for index in range(count))
    return [card for card in found if card is not None]


def _card(library: Any, index: int) -> _Card | None:
    handle = answer(library, "nvmlDeviceGetHandleByIndex", index)
    uuid = text(answer(library, "nvmlDeviceGetUUID", handle)) if handle is not None else None
    if uuid is None:  # It has fallen off the bus, or is not ours to see.
        return None
    mode = answer(library, "nvmlDeviceGetMigMode", handle)
    is_sliced = bool(mode and mode[0])
    cores = answer(library, "nvmlDeviceGetNumGpuCores", handle) or 0
    clock = answer(library, "nvmlDeviceGetMaxClockInfo", handle, 1) or 0
    bus = answer(library, "nvmlDeviceGetPciInfo", handle)
    return _Card(
        index=index,
        uuid=uuid,
        name=text(answer(library, "nvmlDeviceGetName", handle)) or "unknown GPU",
        pci=_pci(text(getattr(bus, "busId", None)) or ""),
        speed=cores * clock,
        is_sliced=is_sliced,
        slices=tuple(_slices(library, handle)) if is_sliced else (),
    )


def _slices(library: Any, handle: Any) -> Iterator[str]:
    for index in range(answer(library, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = answer(library, "nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
        uuid = text(answer(library, "nvmlDeviceGetUUID", part)) if part is not None else None
        if uuid is not None:
            yield uuid


def _pci(address: str) -> tuple[int, ...]:
    """Return domain, bus and device of an address, whose domain has four digits or eight."""
    found = re.fullmatch(r"([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)(?:\.\d)?", address.strip().lower())
    return tuple(int(part, 16) for part in found.groups()) if found else ()


def _visible(cards: Sequence[_Card], environment: Mapping[str, str]) -> list[_Card]:
    """Return the cards in CUDA's order, of those that ``CUDA_VISIBLE_DEVICES`` names.

    https://docs.nvidia.com/cuda/cuda-c-programming-guide/#cuda-environment-variables, and what
    ``torch.cuda`` has found out: the list ends before the first name of no card, and a list with
    a name twice is empty.
    """
    ordered = sorted(cards, key=lambda card: card.pci or (card.index,))
    if environment.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        # CUDA's heuristic is a secret; cores × clock tells models apart, and leaves equal ones.
        ordered = sorted(ordered, key=lambda card: -card.speed)
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return ordered
    names = [name.strip() for name in listed.split(",")]
    by_uuid = next((p for p in ("GPU-", "MIG-") if listed.strip().startswith(p)), None)
    seen: list[object] = []
    found: list[_Card] = []
    for name in names:
        key = name if by_uuid else _number(name)
        if key in seen:
            return []
        matches = _matching(ordered, key, by_uuid)
        if len(matches) != 1:
            break
        seen.append(key)
        found += matches
    return found


def _number(name: str) -> int:
    """Return the number that a text begins with, as C's ``strtoul`` reads it; -1 without."""
    digits = re.match(r"[+-]?\d+", name)
    return int(digits[0]) if digits else -1


def _matching(ordered: Sequence[_Card], key: object, by_uuid: str | None) -> list[_Card]:
    if isinstance(key, int):
        return [ordered[key]] if 0 <= key < len(ordered) else []
    return _named(ordered, str(key)) if by_uuid and str(key).startswith(by_uuid) else []


def _named(cards: Sequence[_Card], name: str) -> list[_Card]:
    """Return the cards that a UUID, its beginning or a PCI address names."""
    if pci := _pci(name):
        return [card for card in cards if card.pci == pci]
    # Before driver 470, a slice was MIG-GPU-UUID/GPU instance/compute instance.
    whole = name.removeprefix("MIG-").partition("/")[0] if name.startswith("MIG-GPU-") else name
    bare = whole.removeprefix("GPU-").removeprefix("MIG-").lower()
    if not bare:
        return []
    uuids = {card: (card.uuid, *card.slices) for card in cards}
    kinds = "GPU-" if whole.startswith("GPU-") else "MIG-" if whole.startswith("MIG-") else ""
    return [
        card
        for card, names in uuids.items()
        if any(
            each.startswith(kinds) and each[len("GPU-") :].lower().startswith(bare)
            for each in names
        )
    ]
