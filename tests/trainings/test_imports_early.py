"""What a training imports late is there before its first trial."""

import subprocess
import sys

PROGRAM = """
import sys
from greenbench.tasks import ACCURACY
from greenbench.trainings import Training
from greenbench.trainings.imports import import_early

def train(run):
    import colorsys
    if run:
        from xml.dom import minidom
        import no_such_module
    yield run.report(score=1.0)

import_early(Training("mine", train, ACCURACY))
print(*sorted({"colorsys", "xml.dom"} & set(sys.modules)))
"""


def test_imports_inside_the_function(tmp_path: object) -> None:
    file = f"{tmp_path}/program.py"
    with open(file, "w", encoding="utf-8") as out:  # noqa: PTH123
        out.write(PROGRAM)
    done = subprocess.run([sys.executable, file], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["colorsys", "xml.dom"]
