"""What is written for each kind of find; each runs as it stands."""

from collections.abc import Mapping, Sequence

from greenbench.starting.finds import Find

EPOCHS = 3
REPEATS = 5

_HEAD = '''"""What a training of {what} costs.

pytest {path} --greenbench-suite {name} --greenbench-budget {budgets}
"""
'''

_SUITE = """

@greenbench.register_suite("{name}")
def suite():
    return [Case(architecture="{name}", epochs={epochs}, repeats={repeats})]


def test_{name}(greenbench_case, greenbench_run):
    greenbench_run(greenbench_case)
"""

_IMPORTS = """
{engine_lines}import sys
from pathlib import Path

import greenbench
from greenbench.cases import Case

sys.path.insert(0, str(Path(__file__).resolve().parents[1]{folder}))
{engine}

"""

_TORCH = """\
@greenbench.register_training("{name}", score="loss")
def train(run):
    import torch
    from torch.nn.functional import cross_entropy, mse_loss
    from greenbench.datasets.stand_in import stand_in
    {import_line}

    model = {call}
    # Random data of the shape that the model takes: put your own here.
    inputs, targets = map(torch.as_tensor, stand_in(model))
    loss_of = mse_loss if targets.is_floating_point() else cross_entropy
    optimizer = torch.optim.Adam(model.parameters(), lr=run["learning_rate"])
    run.costs(parameters=sum(each.numel() for each in model.parameters()))
    for epoch in run.epochs():
        model.train()
        total = 0.0
        for batch in torch.randperm(len(inputs)).split(32):
            optimizer.zero_grad()
            loss = loss_of(model(inputs[batch]), targets[batch])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        with run.phase("evaluate"), torch.no_grad():
            model.eval()
            score = loss_of(model(inputs), targets).item()
        yield run.report(loss=total / len(inputs), score=score, samples=len(inputs))
    with run.phase("test"), torch.no_grad():
        run.final(loss_of(model(inputs), targets).item())
"""

_KERAS = """\
@greenbench.register_training("{name}", score="loss")
def train(run):
    import keras
    from greenbench.datasets.stand_in import stand_in
    {import_line}

    model = {call}
    # Random data of the shape that the model takes: put your own here.
    inputs, targets = stand_in(model)
    if not model.compiled:
        # Right for raw outputs, and harmless behind a softmax.
        of_classes = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        loss_of = "mse" if targets.ndim > 1 else of_classes
        model.compile(keras.optimizers.Adam(run["learning_rate"]), loss_of)
    run.costs(parameters=model.count_params())
    for epoch in run.epochs():
        loss = model.fit(inputs, targets, epochs=1, verbose=0).history["loss"][0]
        with run.phase("evaluate"):
            score = model.evaluate(inputs, targets, verbose=0, return_dict=True)["loss"]
        yield run.report(loss=loss, score=score, samples=len(inputs))
    with run.phase("test"):
        run.final(model.evaluate(inputs, targets, verbose=0, return_dict=True)["loss"])
"""

_LIGHTNING = """\
@greenbench.register_training("{name}", score="{score}")
def train(run):
    import lightning
    from greenbench.integrations.lightning import fit
    {import_line}{import_data}

    module = {call}
    quiet = {{"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}}
    trainer = lightning.Trainer(max_epochs=run.max_epochs, **quiet)
    yield from fit(run, trainer, module{data}, monitor="{monitor}")
    {test}
"""

_SCRIPT = """
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "{file}"


def test_{name}(energy):
    energy.budget(max_wh=10.0)
    subprocess.run([sys.executable, PROGRAM], cwd=PROGRAM.parents[{depth}], check=True)
"""

_EXAMPLE = """
import greenbench
from greenbench.cases import Case


@greenbench.register_training("{name}", sizes={{"s": {{"width": 16}}, "m": {{"width": 256}}}})
def train(run, width=16):
    # An example on scikit-learn's digits: put your model, data and loop here.
    import torch
    from sklearn.datasets import load_digits
    from torch.nn.functional import cross_entropy

    pixels, digits = load_digits(return_X_y=True)
    inputs, targets = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(digits)
    training, validation, test = torch.randperm(len(inputs)).split([1297, 250, 250])
    layers = torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    model = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=run["learning_rate"])
    run.costs(parameters=sum(each.numel() for each in model.parameters()))

    def accuracy(of):
        with torch.no_grad():
            return (model(inputs[of]).argmax(1) == targets[of]).float().mean().item()

    for epoch in run.epochs():
        for batch in training[torch.randperm(len(training))].split(32):
            optimizer.zero_grad()
            loss = cross_entropy(model(inputs[batch]), targets[batch])
            loss.backward()
            optimizer.step()
        with run.phase("evaluate"):
            score = accuracy(validation)
        yield run.report(loss=loss.item(), score=score, samples=len(training))
    with run.phase("test"):
        run.final(accuracy(test))
"""

_EXAMPLE_SUITE = _SUITE.replace(
    '[Case(architecture="{name}", epochs={epochs}, repeats={repeats})]',
    """[
        Case(architecture="{name}", size=size, epochs={epochs}, repeats={repeats})
        for size in ("s", "m")
    ]""",
)

BUDGETS = """# What training may cost. A limit on energy needs five repeats.

[[budget]]
case = "*"
energy_wh = {{ max = 10.0, on_estimated = "error" }}
epochs = {{ max = {epochs} }}
"""

TOX = """[tox]
env_list = bench

[testenv:bench]
description = what training costs, judged by {budgets}
{package}deps =
    greenbench
    pytest
{requirements}pass_env =
    CI
    CODECARBON_*
    GITHUB_*
    GREENBENCH_*
    MLFLOW_*
# Machines of CI are shared: this meter charges the benchmark its own CPU time alone, and a second
# thread would wait for others.
set_env =
    GREENBENCH_METER = {{env:GREENBENCH_METER:process}}
    GREENBENCH_THREADS = {{env:GREENBENCH_THREADS:1}}
commands = {command}
"""

GITHUB = """name: greenbench

on:
  pull_request:
  push:

permissions:
  contents: read

jobs:
  bench:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    env:
      # Hosted machines have no GPU, and wheels without CUDA are much smaller.
      UV_TORCH_BACKEND: cpu
    steps:
      - uses: actions/checkout@v5
        with:
          persist-credentials: false
      - uses: actions/setup-python@v6
        with:
          python-version: "3.12"
      - run: python -m pip install tox tox-uv
      - run: tox -e bench
      - uses: actions/upload-artifact@v4
        if: ${{ always() }}
        with:
          name: greenbench
          path: mlruns/
"""

GITLAB = """greenbench:
  image: python:3.12
  timeout: 1h
  variables:
    UV_TORCH_BACKEND: cpu
  script:
    - python -m pip install tox tox-uv
    - tox -e bench
  artifacts:
    when: always
    paths: [mlruns/]
"""


def bench(find: Find | None, name: str, path: str, budgets: str) -> str:
    """Return the text of a benchmark.

    Parameters
    ----------
    find : Find or None
        What is trained; without, an example.
    name : str
        Of the case, and its suite.
    path, budgets : str
        Of the benchmark and of the budgets, relative to the project.
    """
    values: dict[str, object] = {
        "name": name, "path": path, "budgets": budgets, "epochs": EPOCHS, "repeats": REPEATS,
        "what": find.place if find else "an example",
    }  # fmt: skip
    if find is None:
        return (_HEAD + _EXAMPLE + _EXAMPLE_SUITE).format(**values)
    if find.kind == "script":
        depth = len(find.file.parts) - 1
        head = _HEAD.replace(" --greenbench-suite {name}", "").replace(
            " --greenbench-budget {budgets}", ""
        )
        return (head + _SCRIPT).format(**values, file=find.file.as_posix(), depth=depth)
    bodies = {"keras": _KERAS, "lightning": _LIGHTNING}
    if find.kind == "lightning":
        values |= _of_lightning(find)
    needs = ", ".join(f"{each}=..." for each in find.needs)
    inner = "" if find.folder == "." else f' / "{find.folder}"'
    # Keras is on TensorFlow unless something says otherwise.
    is_free = find.kind == "keras" and not find.engine
    values |= {
        "import_line": f"from {find.module} import {find.name}",
        "call": f"{find.name}({needs})",
        "folder": inner,
        "engine_lines": "import os\n" if is_free else "",
        "engine": 'os.environ.setdefault("KERAS_BACKEND", "torch")\n' if is_free else "",
    }
    return (_HEAD + _IMPORTS + bodies.get(find.kind, _TORCH) + _SUITE).format(**values)


def _of_lightning(find: Find) -> dict[str, object]:
    """Return what its benchmark needs to know: which metric is the score, and of which data."""
    validated = [each for each in find.logged if "val" in each]
    tested = [each for each in find.logged if "test" in each]
    monitor = next(iter(validated or find.logged), "val_loss")
    data = f", {find.data[1]}()" if find.data else ""
    test = "# Tell the score on the test data here: run.final(...)"
    if tested:
        first = next((each for each in tested if each[-3:] == monitor[-3:]), tested[0])
        test = (
            'with run.phase("test"):\n'
            f"        (tested,) = trainer.test(module{data}, verbose=False)\n"
            f'        run.final(tested["{first}"])'
        )
    return {
        "monitor": monitor,
        "score": "accuracy" if "acc" in monitor else "f1" if "f1" in monitor else "loss",
        "data": data,
        "test": test,
        "import_data": f"\n    from {find.data[0]} import {find.data[1]}" if find.data else "",
    }


def tox(command: str, budgets: str, requirements: Sequence[str], *, is_package: bool) -> str:
    """Return the text of a tox file with one environment."""
    options: Mapping[str, str] = {
        "package": "" if is_package else "skip_install = true\n",
        "requirements": "".join(f"    -r {each}\n" for each in requirements),
    }
    return TOX.format(command=command, budgets=budgets, **options)
