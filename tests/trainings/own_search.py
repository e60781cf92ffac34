"""A search over a training that a test declares, in this process, with a meter made up."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import greenbench
from greenbench.cases import Case
from greenbench.energy.carbon import CarbonIntensity
from greenbench.results import CaseResult
from greenbench.results.journal import Journal
from greenbench.search.bench import Bench
from greenbench.search.repeat import run_repeat
from greenbench.testing import FakeClock, FakeMeter
from greenbench.trainings.backend import OwnBackend

NAME = "of_a_test"


@dataclass
class OwnSearch:
    """Runs repeats of one training; what it warns of is in `said`."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    said: list[str] = field(default_factory=list)

    def __call__(
        self,
        train: Callable[..., Any],
        *,
        strategy: str = "random",
        trials: int = 2,
        epochs: int = 3,
        score: str = "accuracy",
        **fields: Any,
    ) -> CaseResult:
        greenbench.register_training(NAME, score=score)(train)
        case = self.case(strategy=strategy, trials=trials, epochs=epochs, **fields)
        return run_repeat(self.bench, case, 0, "tests", self.journal(case))

    def case(self, **fields: Any) -> Case:
        known = {"space": "rate", "backend": "own", "dataset": "own", **fields}
        return Case(architecture=NAME, **known)

    def journal(self, case: Case) -> Journal:
        return Journal.of(self.folder, case, 0)

    @property
    def bench(self) -> Bench:
        def emit(event: str, values: Mapping[str, Any]) -> None:
            if event == "warning":
                self.said.append(values["message"])

        return Bench(
            backend=OwnBackend("own", threads=1),
            meter=FakeMeter(self.clock),
            control=FakeMeter(self.clock),
            intensity=CarbonIntensity(100.0, "a test"),
            environment={"host": "here"},
            data_dir=Path(),
            emit=emit,
        )
