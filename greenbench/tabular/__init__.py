"""The tabular benchmark: recorded trainings, and a backend that replays them."""

from greenbench.tabular.files import read_recording, write_recording
from greenbench.tabular.lookup import Lookup
from greenbench.tabular.recording import Cost, RecordedTraining, Recording, from_result

__all__ = [
    "Cost",
    "Lookup",
    "RecordedTraining",
    "Recording",
    "from_result",
    "read_recording",
    "write_recording",
]
