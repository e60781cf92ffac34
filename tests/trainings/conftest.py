"""What tests of trainings share."""

from pathlib import Path

import pytest

from tests.trainings.own_search import OwnSearch


@pytest.fixture
def search(tmp_path: Path) -> OwnSearch:
    return OwnSearch(tmp_path)
