"""What is found in a project, by reading it."""

from pathlib import Path

import pytest

from greenbench.starting import find

NETS = """
import torch.nn as nn
from torch.nn import Module as Base

raise RuntimeError("whoever imports this finds out")

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()

class Net(Base):
    def __init__(self, width=8):
        super().__init__()
        self.block = Block(width)

class Wide(Net):
    pass

class NoNet:
    pass
"""

KERAS = """
from tensorflow import keras as k
import keras

def build(classes=10):
    return keras.Sequential([keras.layers.Dense(classes)])

def helper():
    keras.Sequential([])

class Own(keras.Model):
    pass
"""

LIGHTNING = """
import lightning as L

class Task(L.LightningModule):
    pass

class Data(L.LightningDataModule):
    pass
"""

TRAIN = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", "-l", type=float)
if __name__ == "__main__":
    parser.parse_args()
"""


def project(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path = path.with_name(f"{path.name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def test_modules_of_torch_without_their_blocks(tmp_path: Path) -> None:
    found = find(project(tmp_path, nets=NETS))
    assert [(each.kind, each.name, each.needs) for each in found] == [
        ("torch", "Net", ()),
        ("torch", "Wide", ()),
    ]


def test_what_needs_arguments_comes_last(tmp_path: Path) -> None:
    needy = "import torch\nclass A(torch.nn.Module):\n    def __init__(self, a, *, b): pass\n"
    found = find(project(tmp_path, a=needy, nets=NETS))
    assert [(each.place, each.needs) for each in found][-1] == ("a.py:A", ("a", "b"))


def test_models_of_keras(tmp_path: Path) -> None:
    found = find(project(tmp_path, k=KERAS))
    assert {(each.name, each.engine) for each in found} == {("build", True), ("Own", True)}


def test_lightning_knows_its_data(tmp_path: Path) -> None:
    (one,) = find(project(tmp_path, tasks=LIGHTNING))
    assert (one.kind, one.name, one.data) == ("lightning", "Task", ("tasks", "Data"))


def test_programs_with_their_flags(tmp_path: Path) -> None:
    (one,) = find(project(tmp_path, train=TRAIN))
    assert (one.kind, one.place, one.flags) == ("script", "train.py", ("--lr",))


@pytest.mark.parametrize(
    "text",
    [
        "for epoch in range(3):\n    print(epoch)\n",
        f"{NETS}\nmodel = Wide()\nhistory = model.fit()\n",
        f"{NETS}\ndef main():\n    pass\nmain()\n",
    ],
)
def test_program_that_trains_as_it_is_imported_is_run_and_never_imported(
    tmp_path: Path, text: str
) -> None:
    (one,) = find(project(tmp_path, train=text))
    assert (one.kind, one.place) == ("script", "train.py")


def test_helpers_of_trainings_are_no_programs(tmp_path: Path) -> None:
    text = "import logging\nlogging.basicConfig()\n"
    assert find(project(tmp_path, train_helpers=text)) == []


@pytest.mark.parametrize(
    ("files", "module", "folder"),
    [
        ({"src__pkg____init__": "", "src__pkg__nets": NETS}, "pkg.nets", "src"),
        ({"pkg__nets": NETS}, "nets", "pkg"),
        ({"nets": NETS}, "nets", "."),
    ],
)
def test_how_it_is_imported(
    tmp_path: Path, files: dict[str, str], module: str, folder: str
) -> None:
    # A dunder in a name of these files is a folder, but in __init__.
    if "src__pkg____init__" in files:
        (tmp_path / "src/pkg").mkdir(parents=True)
        (tmp_path / "src/pkg/__init__.py").write_text("")
        files = {"src__pkg__nets": NETS}
    found = find(project(tmp_path, **files))
    assert {(each.module, each.folder) for each in found} == {(module, folder)}


@pytest.mark.parametrize("content", [b"class (", b"\xff\xfe\x00", b"x = " + b"(" * 5000])
def test_what_is_no_python_is_left_out(tmp_path: Path, content: bytes) -> None:
    project(tmp_path, nets=NETS)
    (tmp_path / "odd.py").write_bytes(content)
    assert [each.name for each in find(tmp_path)] == ["Net", "Wide"]


def test_environments_and_hidden_folders_are_left_out(tmp_path: Path) -> None:
    project(tmp_path, venv__nets=NETS, mine__nets=NETS)
    (tmp_path / "mine/pyvenv.cfg").write_text("")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden/nets.py").write_text(NETS)
    assert find(tmp_path) == []
