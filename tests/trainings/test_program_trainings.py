"""Programs as cases: what they are given, tell, and end like; small ones in sh."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import greenbench
from greenbench import registry
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.errors import ConfigurationError, ProtocolError, ScoreError
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.running.case_checks import check_cases
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.testing import FakeClock, FakeMeter
from greenbench.trainings.backend import OwnBackend
from tests.conftest import is_gone

Run = Callable[..., CaseResult]

EPOCHS = """
for epoch in $(seq 1 "$1"); do
    echo "epoch $epoch"
    echo "{\\"epoch\\": $epoch, \\"loss\\": 0.5, \\"score\\": 0.$epoch, \\"samples\\": 10}"
done
echo '{"test_score": 0.25, "recall": 0.5, "parameters": 7}'
"""
WAITING = """
for epoch in $(seq 1 "$1"); do
    echo "{\\"epoch\\": $epoch, \\"score\\": 0.$epoch, \\"waits\\": true}" > "$GREENBENCH_REPORT"
    read -r go < "$GREENBENCH_REPORT.go"
done
touch "done-$2"
echo '{"test_score": 0.25}'
"""
ONCE = """echo '{"score": 0.5, "test_score": 0.25}'"""


def case_of(line: str, strategy: str = "random", **changes: Any) -> Case:
    options = {"command": line, **changes.pop("options", {})}
    fields = {"space": "rate", "trials": 1, "epochs": 3, **changes}
    case = Case(strategy, "command_it", architecture_options=tuple(options.items()), **fields)
    return registry.settled(case)


def script(text: str, *words: str) -> str:
    """Return a command that lets a shell run a text; no brace of it is a place."""
    quoted = text.replace("{", "{{").replace("}", "}}")
    return f"sh -c {shlex.quote(quoted)} it {' '.join(words)} {{learning_rate}}"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    bench = Bench(
        backend=OwnBackend("own", threads=1),
        meter=FakeMeter(FakeClock()),
        control=FakeMeter(FakeClock()),
        intensity=CarbonIntensity(100.0, "a test"),
        environment={"host": "here"},
        data_dir=tmp_path,
        emit=lambda event, values: None,
    )

    def run(line: str, *args: Any, **changes: Any) -> CaseResult:
        case = case_of(line, *args, **changes)
        check_cases([case])
        return run_repeat(bench, case, 0, "tests", Journal.of(tmp_path, case, 0))

    return run


def test_a_program_is_trained_and_tested_by_what_it_prints(run: Run, tmp_path: Path) -> None:
    result = run(script(EPOCHS, "{epochs}"))
    (trial,) = result.trials
    assert [epoch.val_score for epoch in trial.epochs] == [0.1, 0.2, 0.3]
    assert trial.status == "completed"
    assert (result.test_score, result.metrics) == (0.25, {"recall": 0.5})
    assert (result.costs.parameters, result.costs.samples_seen) == (7, 30)
    (log,) = tmp_path.glob("*.t0.log")
    assert log.read_text().startswith('epoch 1\n{"epoch": 1,')


def test_places_are_filled_inside_their_words_and_no_shell_reads_them(run: Run) -> None:
    told = """printf '%s|' "$@" >&2; """ + ONCE
    line = f"{script(told, 'a={width}b', '{flag}', '{seed}', '{epochs}', '{name}')} '{{{{}}}}'"
    options = {"width": 64, "flag": True, "name": "$HOME; a 'b"}
    result = run(line, options=options)
    (trial,) = result.trials
    said = next(Path.cwd().glob("*.log")).read_text().partition("{")[0]
    rate, seed = trial.hyperparameters["learning_rate"], result.case.derive_seed(0, "run", 0)
    assert said.startswith(f"a=64b|true|{seed}|3|$HOME; a 'b|{rate}|")


def test_a_program_that_is_not_told_its_epochs_is_a_function_whose_last_report_counts(
    run: Run,
) -> None:
    (trial,) = run(script(EPOCHS, "5")).trials
    assert [epoch.val_score for epoch in trial.epochs] == [0.5]
    assert trial.status == "completed"


def test_a_scheduler_stops_programs_and_lets_the_best_go_on(run: Run, tmp_path: Path) -> None:
    result = run(script(WAITING, "{epochs}"), "sobol+asha", trials=4, epochs=4)
    assert {trial.status.value for trial in result.trials} == {"completed", "stopped"}
    # Those that were stopped did not run on, and are not there any more.
    assert len(list(tmp_path.glob("done-*"))) == 1
    assert result.test_score == 0.25


def test_a_program_that_reports_once_is_none_for_a_scheduler(run: Run) -> None:
    with pytest.raises(ProtocolError, match="no scheduler can stop it earlier"):
        run(script(ONCE, "{epochs}"), "sobol+asha", trials=4, epochs=4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo bad luck >&2; exit 3", "it ended with exit code 3: bad luck; see "),
        ("kill -KILL $$", "it was killed by SIGKILL, as systems do when memory runs out"),
        ("kill -TERM $$", "it was killed by SIGTERM"),
    ],
)
def test_a_program_that_fails_says_how_and_fails_its_trial(run: Run, text: str, said: str) -> None:
    (trial,) = run(script(text)).trials
    assert trial.status == "failed"
    assert said in (trial.error or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo hello", "it ended without a report; write metrics.json, or print a line such as"),
        ("echo \"{'score': 0.5}\"", "is no such line"),
        ("""echo '{"score": "high"}'""", "expected a number as 'score'"),
        ("""echo '{"epoch": 1, "loss": 0.5}'""", "its last report has no score"),
        ("""for x in 1 1; do echo '{"epoch": 1, "score": 0.5}'; done""", "epoch 1 after epoch 1"),
        ("""echo 'score 0.5' > "$GREENBENCH_REPORT"; sleep 600""", "it reports 'score 0.5'; exp"),
        ("true", "print a line such as"),
    ],
)
def test_a_program_that_does_not_keep_to_what_is_agreed_ends_its_case(
    run: Run, text: str, said: str
) -> None:
    Path("metrics.json").write_text('{"score": 0.75}\n')
    with pytest.raises(ProtocolError, match="command 'it': ") as refused:
        run(script(text), options={"report": "metrics.json"})
    assert said in str(refused.value)


def test_a_program_that_goes_on_after_its_epochs_is_refused(run: Run) -> None:
    with pytest.raises(ProtocolError, match="more than the 3 epochs"):
        run(script("""for x in 1 2 3 4; do echo '{"score": 0.5}'; done""", "{epochs}"))


def test_a_nan_diverges_and_a_score_out_of_range_ends_the_case(run: Run) -> None:
    (trial,) = run(script("""echo '{"score": NaN}'"""), options={"score": "f1"}).trials
    assert trial.status == "diverged"
    with pytest.raises(ScoreError, match="of 50"):
        run(script("""echo '{"score": 50}'"""), options={"score": "f1"}, seed=1)


def test_a_score_may_be_called_by_its_name(run: Run) -> None:
    result = run(script("""echo '{"f1": 0.5, "test_f1": 0.25}'"""), options={"score": "f1"})
    assert (result.trials[0].val_score, result.test_score) == (0.5, 0.25)
    assert result.score.name == "f1"


def test_losses_on_lines_of_their_own_belong_to_the_next_report(run: Run) -> None:
    text = """echo '{"step": 1, "loss": 2}'; echo '{"loss": 1}'; echo '{"score": 0.5}'"""
    (epoch,) = run(script(text)).trials[0].epochs
    assert (epoch.train_loss, epoch.val_score) == (1.0, 0.5)


@pytest.mark.parametrize(
    "text",
    [
        ONCE.replace("echo", "printf %s"),
        f'read line; test -z "$line"; {ONCE}',
        f"{ONCE}; exec >&-; sleep 0.1",
        f"head -c 3000000 /dev/zero; echo; {ONCE}",
        f"{ONCE}; (sleep 600 &)",
        """echo '{"score": 0.5}' > "$GREENBENCH_REPORT"; """,
    ],
    ids=["no newline", "reads", "closes", "megabytes", "daemon", "pipe"],
)
def test_a_program_that_is_unlike_others_is_read_all_the_same(run: Run, text: str) -> None:
    assert run(script(text)).trials[0].val_score == 0.5


def test_daemons_end_with_their_program_even_those_of_a_session_of_their_own(
    run: Run, eventually: Callable[[Callable[[], object]], None]
) -> None:
    text = f"setsid sleep 600 & echo $! > daemon; {ONCE}"
    assert run(script(text)).trials[0].val_score == 0.5
    daemon = int(Path("daemon").read_text())
    # It was killed; on a busy machine that takes a moment.
    eventually(lambda: is_gone(daemon))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("log.jsonl", """echo '{"score": 0.25}' > $1; echo '{"score": 0.5}' >> $1"""),
        ("metrics.json", """echo '{"score": 0.5, "more": [1]}' > $1"""),
        ("all.json", """echo '[{"score": 0.25}, {"score": 0.5}]' > $1"""),
    ],
)
def test_a_file_of_its_own_is_read(run: Run, file: str, text: str) -> None:
    Path(file).write_text('{"score": 0.75}\n')
    result = run(script(text, file), options={"report": file})
    assert result.trials[0].val_score == 0.5


def test_python_reports_and_waits_for_leave(run: Run) -> None:
    Path("it.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(greenbench.__file__).parents[1])!r})\n"
        "from greenbench.machine.reporting import report\n"
        "for epoch in range(int(sys.argv[1])):\n"
        "    report(epoch=epoch, loss=0.5, score=epoch / 10)\n"
        "report(test_score=0.25)\n"
    )
    result = run("python it.py {epochs} {learning_rate}")
    assert [epoch.val_score for epoch in result.trials[0].epochs] == [0.0, 0.1, 0.2]
    assert result.test_score == 0.25


def test_outside_of_greenbench_a_report_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    greenbench.report(score=0.5, epoch=2, recall=1)
    assert json.loads(capsys.readouterr().out) == {"epoch": 2, "score": 0.5, "recall": 1.0}


@pytest.mark.parametrize(
    ("line", "changes", "said"),
    [
        ("sh it {learning_rate} {lr}", {}, "has {lr}, which nothing fills"),
        ("sh it {width}", {"options": {"width": 3}}, "has no place for {learning_rate}"),
        ("sh it {learning_rate}", {"options": {"width": 3}}, "has no place for {width}"),
        ("sh it {learning_rate} {seed}", {"options": {"seed": 3}}, "sets 'seed'"),
        (
            "sh it {learning_rate}",
            {"strategy": "random+asha", "epochs": 4},
            "has no place for {epochs}",
        ),
        ("sh it {learning_rate", {}, "has '{learning_rate'; expected places"),
        ("sh it {learning_rate:3}", {}, "expected places"),
        ("sh 'it {learning_rate}", {}, "cannot be split into words"),
        (" ", {}, "the command is empty"),
        ("nowhere {learning_rate}", {}, "starts 'nowhere', which is not found"),
        ("./plain {learning_rate}", {}, "may not be executed; run `chmod +x ./plain`"),
        ("sh gone.sh {learning_rate}", {}, "runs 'gone.sh', which is not in"),
        ("sh it {learning_rate}", {"options": {"score": "fun"}}, "score 'fun' is not known"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, changes: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plain").touch()
    with pytest.raises(ConfigurationError) as refused:
        check_cases([case_of(line, **changes)])
    assert said in str(refused.value)


def test_ids_have_the_name_and_sizes_make_a_family() -> None:
    plain = case_of("sh it {learning_rate} {width}", options={"width": 3})
    sized = case_of("sh it {learning_rate} {width}", options={"width": 3}, size="s")
    assert plain.id == "random-command_it.width3-own-own+trials1+epochs3"
    assert sized.network == "command_it.s"
