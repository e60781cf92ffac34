"""Windows that are measured in steps, at a desk of each test's own."""

from collections.abc import Iterator

import pytest

from greenbench import registry
from greenbench.measuring import desk, process
from tests.step_meter import STEP_J, QuietWatch, StepMeter


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[StepMeter]]:
    """Measure with the step meter."""
    monkeypatch.setitem(registry.meters._loaded, "steps", StepMeter)
    monkeypatch.setenv("GREENBENCH_METER", "steps")
    monkeypatch.setattr(process, "HostWatch", QuietWatch)
    monkeypatch.setattr(StepMeter, "joules", STEP_J)
    monkeypatch.setattr(desk, "_desk", None)
    yield StepMeter
    desk.the_desk().close()
