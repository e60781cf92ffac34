"""What is known of backends of ours without their frameworks: options, optimisers, networks."""

from collections.abc import Mapping

from greenbench import registry
from greenbench.builtin import MADE_OPTIMIZERS, OPTIMIZERS
from greenbench.cases import Scalar
from greenbench.cases.case import AUTO
from greenbench.errors import ArchitectureError, ConfigurationError

_OPTIONS: Mapping[str, Mapping[str, tuple[Scalar, ...]]] = {
    "torch": {
        "precision": ("float32", "tf32", "bfloat16", "float16"),
        "channels_last": (True, False),
        "cuda_graphs": (AUTO, True, False),
    },
}
_BUILDERS = {"torch": "build_torch(parameters)", "keras": "build_keras()"}
"""Method of an optimiser's options that builds one of a framework's own."""


def check_options(backend: str, options: Mapping[str, Scalar]) -> None:
    """Refuse options that a backend of ours does not have, and values that they never have.

    Raises
    ------
    ConfigurationError
        If a name or a value is unknown; what a device lacks, only the backend knows.
    """
    known = _OPTIONS.get(backend, {})
    for name, value in options.items():
        if name not in known:
            others = ", ".join(known) or "none: leave it out, or choose `--backend torch`"
            raise ConfigurationError(
                f"backend {backend!r} has no option {name!r} (given: {value!r}); expected "
                f"{'one of: ' if known else ''}{others}"
            )
        # 1 is equal to True, but is not what was asked for.
        if not any(type(value) is type(each) and value == each for each in known[name]):
            raise option_error(backend, name, value, " or ".join(map(_shown, known[name])))


def option_error(backend: str, name: str, value: Scalar, expected: str) -> ConfigurationError:
    """Return what is raised for a value that an option cannot have."""
    return ConfigurationError(
        f"backend {backend!r}: {name} is {_shown(value)}; expected {expected}"
    )


def check_optimizer(backend: str, name: str) -> None:
    """Refuse an optimiser that a backend of ours cannot build; no other framework is imported.

    Raises
    ------
    ConfigurationError
        If it is neither one of ours, nor one that the framework has, nor builds itself.
    """
    framework = backend.partition("_")[0]
    made_for = next((each for each in MADE_OPTIMIZERS if name.startswith(each)), None)
    if made_for and registry.optimizers.place(name) is None:
        if made_for != f"{framework}_":
            raise optimizer_error(framework, name)
        return
    kind, ours = registry.optimizers.get(name), tuple(map(registry.optimizers.get, OPTIMIZERS))
    is_known = not isinstance(kind, type) or issubclass(kind, ours)
    if not is_known and not hasattr(kind, _BUILDERS[framework].partition("(")[0]):
        raise optimizer_error(framework, name)


def optimizer_error(framework: str, name: str) -> ConfigurationError:
    """Return what is raised for an optimiser that a framework has not."""
    return ConfigurationError(
        f"optimizer {name!r} is none of {framework}'s; give its class a method "
        f"`{_BUILDERS[framework]}`, or choose another one or another backend"
    )


def check_native(backend: str, architecture: str, written_for: str) -> None:
    """Raise `ArchitectureError` if a native architecture was written for another backend."""
    if written_for != backend:
        raise ArchitectureError(
            f"architecture {architecture!r} is written for the backend {written_for!r} and "
            f"cannot run on {backend!r}; choose `--backend {written_for}`"
        )


def _shown(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
