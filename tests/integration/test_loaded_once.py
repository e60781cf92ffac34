"""How often the workers of a whole command load a data set."""

import numpy as np
import pytest

from tests.conftest import Greenbench

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("made_store")]

PARTS = '''
"""Images, and a note of each time that they are loaded."""
import numpy as np

from greenbench import register_dataset
from greenbench.datasets.base import RawImages, make_dataset


@register_dataset("noted")
def load(context):
    with (context.data_dir / "loads").open("a") as notes:
        print(context.seed, file=notes)
    pixels = np.load(context.data_dir / "images.npy")
    pool = RawImages(pixels, np.arange(len(pixels)) % 2)
    return make_dataset("noted", "a file", pool, seed=context.seed)
'''
RUN = ("run", "-p", "noted_parts.py", "-s", "random", "-s", "grid", "-a", "dense.xs", "-b", "torch")
RUN = (*RUN, "-d", "noted", "--trials", "1", "--epochs", "1", "--repeats", "2")


@pytest.mark.parametrize("where", [(), ("--cluster", "local:1")], ids=["here", "cluster"])
def test_each_round_loads_its_data_once(greenbench: Greenbench, where: tuple[str, ...]) -> None:
    (greenbench.folder / "noted_parts.py").write_text(PARTS)
    data = greenbench.folder / "data"
    data.mkdir()
    np.save(data / "images.npy", np.random.default_rng(0).integers(0, 200, (40, 1, 8, 8), np.uint8))
    greenbench.environment["GREENBENCH_DATA_DIR"] = str(data)
    done = greenbench(*RUN, *where)
    assert done.returncode == 0, done.stderr
    loads = (data / "loads").read_text().split()
    assert len(loads) == len(set(loads)) == 2
