"""The options that say which cases a command is about."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from greenbench import registry
from greenbench.cases import freeze_options
from greenbench.cases.case import AUTO
from greenbench.errors import ConfigurationError
from greenbench.selection import Selection, parse_options
from greenbench.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def selecting(command: Command) -> Command:
    """Add the options that say which cases are meant."""
    options = [
        click.argument("suite", required=False),
        click.option("--strategy", "-s", multiple=True, help="Such as bayesian, or bayesian+asha."),
        click.option(
            "--architecture", "-a", multiple=True, help="With or without size: simple_cnn.m."
        ),
        click.option("--backend", "-b", multiple=True, help="Framework; repeatable."),
        click.option("--dataset", "-d", multiple=True, help="Data set; repeatable."),
        click.option("--case", "pattern", help="Glob on case ids: 'bayesian-*-torch-*'."),
        click.option("--trials", type=int, help="Configurations to try in a search."),
        click.option("--epochs", type=int, help="Epochs of a trial."),
        click.option("--batch-size", type=int, help="Samples a step."),
        click.option("--repeats", type=int, help="Times that a case runs, with other seeds."),
        click.option("--validate-every", type=int, help="Epochs between validations."),
        click.option("--space", help="Search space."),
        click.option("--reevaluate", type=int, help="Best ones to train again with new seeds."),
        click.option("--seed", type=int, help="Tells otherwise equal cases apart."),
        click.option("--threads", type=int, help="CPU threads; default: physical cores."),
        click.option("--devices", type=int, help="GPUs, or processes, that share a training."),
        click.option(
            "--batched-trials",
            callback=lambda *given: _read_lanes(given[-1]),
            help="Trials trained as one model, on a GPU, or auto.",
        ),
        click.option("--task", help="What is learned; default: what the data set is for."),
        click.option("--optimizer", help="Such as sgd; default: adam."),
        click.option("--optimizer-option", multiple=True, help="Option of it: name=value."),
        click.option("--schedule", help="Of the learning rate, such as cosine."),
        click.option("--schedule-option", multiple=True, help="Option of it: name=value."),
        click.option("--compute", multiple=True, help="Backend option: name=value."),
        click.option("--set", "settings", multiple=True, help="Architecture option: name=value."),
        click.option("--data", multiple=True, help="Data set option: name=value."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def selection_of(given: dict[str, Any], settings: Settings) -> Selection:
    """Return what the options of `selecting` ask for."""
    budget_names = (
        "trials", "epochs", "batch_size", "repeats", "validate_every", "space", "seed",
        "reevaluate", "threads", "batched_trials", "task", "devices",
    )  # fmt: skip
    if given["space"] is not None:
        registry.spaces.check(given["space"])
    return Selection(
        suite=given["suite"],
        strategies=given["strategy"],
        networks=given["architecture"],
        backends=given["backend"],
        datasets=given["dataset"],
        pattern=given["pattern"],
        budget={name: given[name] for name in budget_names}
        | {"backend_options": freeze_options(parse_options(given["compute"], "--compute")) or None}
        | _part(given, "optimizer")
        | _part(given, "schedule"),
        architecture_options=parse_options(given["settings"], "--set"),
        dataset_options=parse_options(given["data"], "--data"),
        data_dir=settings.data_dir,
    )


def _part(given: dict[str, Any], field: str) -> dict[str, Any]:
    """Return a part of all cases with its options; those of another are not meant for it."""
    flag = f"--{field}-option"
    options = freeze_options(parse_options(given[f"{field}_option"], flag))
    has_any = options or given[field] is not None
    return {field: given[field], f"{field}_options": options if has_any else None}


def _read_lanes(text: str | None) -> int | str | None:
    if text is None or text == AUTO:
        return text
    try:
        return int(text)
    except ValueError:
        raise ConfigurationError(
            f"--batched-trials is {text!r}; expected a whole number above 0, or {AUTO}"
        ) from None
