"""The workflows that we offer: what the schemas say of them, and what those cannot say."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
WORKFLOW = ROOT / ".github" / "workflows" / "greenbench.yml"
CANARY = ROOT / ".github" / "workflows" / "canary.yml"
PAGE = ROOT / "docs" / "howto" / "gate-ci.md"

BOTH = pytest.mark.parametrize("path", [WORKFLOW, CANARY], ids=lambda path: str(path.stem))


def complaints(path: Path, schema: str) -> str:
    """Return what a schema says against a file; nothing if it is valid."""
    result = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(path)])
    return result.output if result.exit_code else ""


def gitlab_text() -> str:
    section = PAGE.read_text(encoding="utf-8").partition("## GitLab\n")[2]
    return section.partition("```yaml\n")[2].partition("```")[0]


def workflow(path: Path = WORKFLOW) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def steps(path: Path = WORKFLOW) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


@BOTH
def test_github_workflow_is_valid(path: Path) -> None:
    assert not complaints(path, "vendor.github-workflows")


@BOTH
def test_every_job_has_a_time_limit(path: Path) -> None:
    assert not complaints(path, "custom.github-workflows-require-timeout")


def test_gitlab_job_in_the_page_is_valid(tmp_path: Path) -> None:
    path = tmp_path / ".gitlab-ci.yml"
    path.write_text(gitlab_text(), encoding="utf-8")

    assert "tox -e bench" in gitlab_text()
    assert not complaints(path, "vendor.gitlab-ci")


@pytest.mark.parametrize(
    ("right", "wrong"), [("runs-on:", "run-on:"), ("steps:", "step:"), ("contents: read", "x: y")]
)
def test_schema_notices_a_broken_workflow(right: str, wrong: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yml"
    text = WORKFLOW.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")

    assert complaints(path, "vendor.github-workflows")


def test_schema_notices_a_broken_gitlab_job(tmp_path: Path) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(gitlab_text().replace("when: always", "when: often"), encoding="utf-8")

    assert complaints(path, "vendor.gitlab-ci")


@BOTH
def test_workflow_may_read_contents_and_nothing_else(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    assert not [job for job in workflow(path)["jobs"].values() if "permissions" in job]
    assert "pull_request_target" not in workflow(path)["on"]


@BOTH
def test_scripts_have_no_expressions_pasted_into_them(path: Path) -> None:
    scripts = [step["run"] for step in steps(path) if "run" in step]

    assert scripts
    assert not [script for script in scripts if "${{" in script]


@BOTH
def test_actions_are_pinned_to_a_major_version(path: Path) -> None:
    actions = [step["uses"] for step in steps(path) if "uses" in step]

    assert actions
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", action) for action in actions)


def test_checkout_has_the_base_and_keeps_no_credentials() -> None:
    (checkout,) = (step for step in steps() if step.get("uses", "").startswith("actions/checkout"))

    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}


def test_page_shows_the_workflow_itself() -> None:
    text = PAGE.read_text(encoding="utf-8")
    (name,) = re.findall(r"```\{literalinclude\} (\S+)", text)

    assert (PAGE.parent / name).resolve() == WORKFLOW


def test_canary_runs_its_environment_every_week() -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ROOT / "tox.ini", encoding="utf-8")

    assert "testenv:canary" in parser
    assert [step["run"] for step in steps(CANARY) if "run" in step][-1] == "tox -e canary"
    (schedule,) = workflow(CANARY)["on"]["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* [0-6]", schedule["cron"])
