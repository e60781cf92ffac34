"""What torch keeps for the whole process, and how to put it back."""

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn, opt_einsum
from torch.nn.modules import module as nn_module

from greenbench.backends.process_settings import Setting

_DEVICES = ("cpu", "cuda")


def settings() -> Iterator[Setting]:
    """Yield everything; what this version of torch lacks is left out."""
    yield Setting("torch.manual_seed", _random_state, _set_random_state, is_random=True)
    yield Setting("torch.cuda.manual_seed", _cuda_state, _set_cuda_state, is_random=True)
    if torch.backends.mps.is_available():
        yield Setting("torch.mps.manual_seed", _mps_state, _set_mps_state, is_random=True)
    yield Setting("torch.set_num_threads", torch.get_num_threads, torch.set_num_threads)
    get, put = torch.get_num_interop_threads, torch.set_num_interop_threads
    yield Setting("torch.set_num_interop_threads", get, put)
    yield Setting("torch.set_default_dtype", torch.get_default_dtype, torch.set_default_dtype)
    yield Setting("torch.set_default_device", _default_device, _set_default_device)
    yield Setting(
        "torch.use_deterministic_algorithms",
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda kept: torch.use_deterministic_algorithms(kept[0], warn_only=kept[1]),
    )
    yield Setting("torch.set_grad_enabled", torch.is_grad_enabled, torch.set_grad_enabled)
    yield Setting("torch.inference_mode", torch.is_inference_mode_enabled, _cannot)
    yield Setting(
        "torch.autograd.set_detect_anomaly",
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda kept: torch.autograd.set_detect_anomaly(*kept),
    )
    yield Setting("torch.set_flush_denormal", _flushes_denormals, torch.set_flush_denormal)
    yield Setting("global hooks of torch.nn", _global_hooks, _set_global_hooks)
    yield from _autocast()
    yield from _precision()
    yield from _algorithms()
    yield from _of_gpus()


def seed(number: int) -> None:
    """Seed its generators, those of GPUs too."""
    torch.manual_seed(number)


def _autocast() -> Iterator[Setting]:
    for device in (*_DEVICES, *(["mps"] if torch.backends.mps.is_available() else [])):
        yield Setting(
            f"torch.set_autocast_enabled({device!r})",
            partial(torch.is_autocast_enabled, device),
            partial(torch.set_autocast_enabled, device),
        )
        yield Setting(
            f"torch.set_autocast_dtype({device!r})",
            partial(torch.get_autocast_dtype, device),
            partial(torch.set_autocast_dtype, device),
        )
    yield Setting(
        "torch.set_autocast_cache_enabled",
        torch.is_autocast_cache_enabled,
        torch.set_autocast_cache_enabled,
    )


def _precision() -> Iterator[Setting]:
    # The old flags first: to set one changes several of the new ones.
    yield Setting(
        "torch.set_float32_matmul_precision",
        torch.get_float32_matmul_precision,
        torch.set_float32_matmul_precision,
    )
    yield from _flags("torch.backends.cuda.matmul", cuda.matmul, "allow_tf32")
    yield from _flags("torch.backends.cudnn", cudnn, "allow_tf32")
    yield from _flags("torch.backends", torch.backends, "fp32_precision")
    for name, owner in (("cuda", cuda), ("cudnn", cudnn), ("mkldnn", mkldnn)):
        yield from _flags(f"torch.backends.{name}", owner, "fp32_precision")
        for part in ("matmul", "conv", "rnn"):
            each = getattr(owner, part, None)
            yield from _flags(f"torch.backends.{name}.{part}", each, "fp32_precision")
    yield from _flags(
        "torch.backends.cuda.matmul",
        cuda.matmul,
        "allow_fp16_reduced_precision_reduction",
        "allow_bf16_reduced_precision_reduction",
        "allow_fp16_accumulation",
    )


def _algorithms() -> Iterator[Setting]:
    yield from _flags(
        "torch.backends.cudnn", cudnn, "enabled", "benchmark", "deterministic", "benchmark_limit"
    )
    yield from _flags("torch.backends.mkldnn", mkldnn, "enabled", "deterministic")
    yield from _flags("torch.backends.opt_einsum", opt_einsum, "enabled", "strategy")
    for kind in ("flash", "mem_efficient", "math", "cudnn"):
        get = getattr(cuda, f"{kind}_sdp_enabled", None)
        put = getattr(cuda, f"enable_{kind}_sdp", None)
        if get and put:
            yield Setting(f"torch.backends.cuda.enable_{kind}_sdp", get, put)
    for name in ("preferred_linalg_library", "preferred_blas_library"):
        if either := getattr(cuda, name, None):
            yield Setting(f"torch.backends.cuda.{name}", either, either)


def _of_gpus() -> Iterator[Setting]:
    gpu = torch.cuda
    yield Setting("torch.cuda.set_device", _if_started(gpu.current_device), gpu.set_device)
    yield Setting("torch.cuda.set_stream", _if_started(gpu.current_stream), gpu.set_stream)
    if share := getattr(gpu, "get_per_process_memory_fraction", None):
        name = "torch.cuda.set_per_process_memory_fraction"
        yield Setting(name, _if_started(share), gpu.set_per_process_memory_fraction)


def _flags(path: str, owner: Any, *names: str) -> Iterator[Setting]:
    for name in names:
        try:
            getattr(owner, name)
        except AttributeError:
            continue
        except RuntimeError:
            # There, but cannot be read just now.
            pass
        get, put = partial(getattr, owner, name), partial(setattr, owner, name)
        yield Setting(f"{path}.{name}", get, put)


def _if_started(get: Callable[[], Any]) -> Callable[[], Any]:
    """Return `get` for a GPU in use: to ask one that is not would start it."""
    return lambda: get() if _has_started() else None


def _has_started() -> bool:
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _random_state() -> bytes:
    return torch.get_rng_state().numpy().tobytes()


def _set_random_state(kept: bytes) -> None:
    torch.set_rng_state(torch.frombuffer(bytearray(kept), dtype=torch.uint8))


def _cuda_state() -> bytes | None:
    if not _has_started():
        return None
    return torch.cuda.get_rng_state().numpy().tobytes()


def _set_cuda_state(kept: bytes | None) -> None:
    if kept is not None:
        torch.cuda.set_rng_state(torch.frombuffer(bytearray(kept), dtype=torch.uint8))


def _mps_state() -> bytes:
    return torch.mps.get_rng_state().numpy().tobytes()


def _set_mps_state(kept: bytes) -> None:
    torch.mps.set_rng_state(torch.frombuffer(bytearray(kept), dtype=torch.uint8))


def _default_device() -> torch.device:
    try:
        return torch.get_default_device()
    except AttributeError:
        # Older releases do not expect that it was set to none.
        return torch.device("cpu")


def _set_default_device(kept: torch.device) -> None:
    # The CPU by name would be a mode that slows every call down.
    torch.set_default_device(None if kept == torch.device("cpu") else kept)


def _flushes_denormals() -> bool:
    # Torch does not tell; the processor does.
    return sys.float_info.min * torch.finfo(torch.float32).eps == 0.0


def _global_hooks() -> dict[str, dict[Any, Any]]:
    return {
        name: dict(hooks)
        for name, hooks in vars(nn_module).items()
        if name.startswith("_global_") and isinstance(hooks, dict)
    }


def _set_global_hooks(kept: dict[str, dict[Any, Any]]) -> None:
    for name, hooks in kept.items():
        registered = getattr(nn_module, name)
        registered.clear()
        registered.update(hooks)


def _cannot(kept: Any) -> None:
    raise RuntimeError(f"cannot be set to {kept!r} from here")
