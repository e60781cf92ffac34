"""Whether this machine has the devices that a training is to be shared out among."""

from collections.abc import Mapping

from greenbench.cases import Case
from greenbench.cases.case import OWN
from greenbench.energy.gpus import visible_gpus
from greenbench.errors import ConfigurationError
from greenbench.machine.threads import available_cores


def check_devices(case: Case, threads: int, environment: Mapping[str, str]) -> None:
    """Check that there are as many devices as a case asks for, before a worker is started.

    Where CUDA shows GPUs that NVML knows, those count; else the cores, of which each process has
    its own `threads`. GPUs of another maker are the backend's to count.

    Parameters
    ----------
    case : Case
        With any number of devices.
    threads : int
        CPU threads of each of its processes.
    environment : mapping of str to str
        The worker's.

    Raises
    ------
    ConfigurationError
        If there are fewer.
    """
    count = case.devices
    if count == 1:
        return
    if gpus := len(visible_gpus(environment)):
        if count > gpus:
            raise ConfigurationError(
                f"devices is {count}, but CUDA shows {_counted(gpus, 'GPU')}; choose at most "
                f"--devices {gpus}"
            )
        return
    cores = available_cores()
    # How many threads a program of one's own has is its own affair.
    needed = count if case.backend == OWN else count * threads
    if needed > cores:
        of_each = "" if case.backend == OWN else f" of {_counted(threads, 'thread')} each"
        raise ConfigurationError(
            f"devices is {count}{of_each}, but there is no GPU and this process may use "
            f"{_counted(cores, 'core')}; choose fewer --devices or --threads"
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
