"""What a backend of one's own takes of a case: what it does not name is refused, not ignored."""

from collections.abc import Mapping

from greenbench import registry
from greenbench.backends.base import BuildRequest
from greenbench.cases import Case
from greenbench.datasets.augmentation import OPTIONS, Augmentation
from greenbench.errors import ConfigurationError

TAKES = ("optimizer", "schedule", "backend_options", "augmentation")
"""What a backend could ignore, and nobody would see it in its figures."""
_PLAIN = Case()


def check_case_taken(case: Case) -> None:
    """Refuse what a case asks for and its backend does not say that it takes.

    What only its data and its trials know is refused by `check_request_taken`.

    Raises
    ------
    ConfigurationError
        If the backend is one of the user's, and might ignore it.
    """
    if registry.backends.place(case.backend) is None:
        return
    data = {}
    if registry.datasets.place(case.dataset) is None:
        data = {name: value for name, value in case.dataset_options if name in OPTIONS and value}
    _check(
        case,
        registry.backends.get(case.backend),
        {
            "optimizer": case.optimizer if case.optimizer != _PLAIN.optimizer else "",
            "schedule": case.schedule if case.schedule != _PLAIN.schedule else "",
            "backend_options": _listed(dict(case.backend_options)),
            "augmentation": _listed(data),
        },
    )


def check_request_taken(
    case: Case, backend: object, request: BuildRequest, augmentation: Augmentation | None
) -> None:
    """Refuse what a model is to be trained with and its backend does not say that it takes.

    Parameters
    ----------
    case : Case
        The definition.
    backend : Backend
        Has loaded the data.
    request : BuildRequest
        What it is to build.
    augmentation : Augmentation or None
        How the training images of the data are to be varied.

    Raises
    ------
    ConfigurationError
        If the backend is one of the user's, and might ignore it.
    """
    if registry.backends.place(case.backend) is None:
        return
    optimizer, schedule = request.optimizer.name, request.schedule.name
    _check(
        case,
        backend,
        {
            "optimizer": optimizer if optimizer != _PLAIN.optimizer else "",
            "schedule": schedule if schedule != _PLAIN.schedule else "",
            "backend_options": _listed(request.options),
            "augmentation": repr(augmentation) if augmentation else "",
        },
    )


def _check(case: Case, backend: object, asked: Mapping[str, str]) -> None:
    takes = getattr(backend, "takes", ())
    if unknown := sorted(set(takes) - set(TAKES)):
        raise ConfigurationError(
            f"backend {case.backend!r} says that it takes {', '.join(unknown)}; expected some of "
            f"{', '.join(TAKES)}"
        )
    for name, value in asked.items():
        if value and name not in takes:
            raise ConfigurationError(
                f"{case.id}: backend {case.backend!r} does not say that it takes {name} ({value}), "
                f"and might ignore it; leave it out, or name {name!r} in the backend's `takes` "
                "once it obeys or refuses it"
            )


def _listed(values: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in values.items())
