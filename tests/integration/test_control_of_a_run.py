"""The control workload of real workers: measured once each, before trials, and kept."""

import json

import pytest

from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

COMMAND = ("run", "-s", "default", "-a", "dense.s", "-d", "digits", "--epochs", "1")


def results(greenbench: Greenbench) -> list[dict[str, object]]:
    lines = [line for path in greenbench.journals for line in path.read_text().splitlines()]
    events = map(json.loads, lines)
    return [event["values"] for event in events if event["event"] == "result"]


def test_repeats_of_a_session_share_its_control(greenbench: Greenbench) -> None:
    greenbench.environment |= {"GREENBENCH_CONTROL": "1", "GREENBENCH_METER": "process"}

    assert greenbench(*COMMAND, "--repeats", "2").returncode == 0

    first, second = results(greenbench)
    assert first["control_j"] == second["control_j"] > 0
    assert first["control_s"] == second["control_s"] > 0


def test_control_can_be_left_out(greenbench: Greenbench) -> None:
    greenbench.environment |= {"GREENBENCH_CONTROL": "0", "GREENBENCH_METER": "process"}

    assert greenbench(*COMMAND, "--repeats", "1").returncode == 0

    (only,) = results(greenbench)
    assert (only["control_j"], only["control_s"]) == (None, None)
