"""What each section of the page shows, in words that fit the scores in it."""

from collections.abc import Mapping

from greenbench.reports.findings import Findings
from greenbench.reports.scores import all_scores
from greenbench.tasks import ACCURACY, Score
from greenbench.tasks.score_format import capitalised, is_share, words

SEVERAL = " Each figure and each table has one score: where they differ, there is one for each."
TEXTS: Mapping[str, tuple[str, str]] = {
    "front": (
        "{Name} against energy",
        "A case is on the Pareto front if no comparable case has {as_good} for "
        "less energy; dominated cases are grey crosses. Bars are what stands in brackets in "
        "tables: the range of up to five repeats, from six on an interval of the median. Point at "
        "a mark to read it, or go to a figure with Tab and along its marks with arrow keys.{more}",
    ),
    "found": (
        "What the searches found",
        "Of each case the hyperparameters that won: those of the repeat that is best by "
        "validation, with their score in the test, by which nothing was chosen. Beside them what "
        "all repeats found; where that is wide, the score hardly depends on it, or the search was "
        "too short.",
    ),
    "returns": (
        "Diminishing returns",
        "{adds}, and how many times the energy it "
        "takes. The ring is the choice: the smallest size that is within the tolerance of the "
        "best. p is that of a size being further {off} than that.",
    ),
    "strategies": (
        "Search strategies",
        "Best validation {name} so far against the energy spent, in the order of time: "
        "median and quartiles over searches. Equal energy comes first; equal trials is another "
        "question. A search wins against one of another strategy that has found {worse}; area is "
        "the mean {name} along the way. Optimism is {optimism} of what "
        "was chosen.",
    ),
    "factors": (
        "What energy and {name} depend on",
        "Shares of variance that kinds of layers and their interactions explain.",
    ),
    "backends": (
        "Backends",
        "Pairs of repeats that ran in the same round.",
    ),
    "scaling": (
        "More devices for one training",
        "Ratios are to the fewest devices, pair by pair. Efficiency is the speed-up as a share of "
        "how many times as many devices they are. Where energy × time grows by a step, it costs "
        "more energy than it saves time.",
    ),
    "ratios": (
        "Cases against the one of least energy",
        "Shading grows with the distance from 1, above or below it.",
    ),
    "environment": (
        "Machines and software",
        "What greenbench knew of each host when it ran there last.",
    ),
}
"""Sections in their order: heading, and what each shows."""
OF_ACCURACY = {
    "as_good": "at least its accuracy",
    "adds": "What each larger size adds in points of accuracy",
    "off": "below another one",
    "worse": "less",
    "optimism": "validation less test accuracy",
}
OF_OTHERS = {
    "as_good": "at least as good a score",
    "adds": "By how much each larger size makes the score better",
    "off": "off another one",
    "worse": "a worse one",
    "optimism": "by how much validation looks better than the test",
}


def about(findings: Findings) -> dict[str, tuple[str, str]]:
    """Return the heading and the text of each section.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    said = _words(all_scores([case.score for case in findings.cases]))
    return {
        name: (title.format_map(said), text.format_map(said))
        for name, (title, text) in TEXTS.items()
    }


def _words(score: Score | None) -> dict[str, str]:
    if score is None:
        return {**OF_OTHERS, "Name": "Scores", "name": "score", "more": SEVERAL}
    name = words(score)
    said = {"Name": capitalised(name), "name": name, "more": ""}
    if score.name == ACCURACY.name:
        return {**said, **OF_ACCURACY}
    adds = f"What each larger size adds in {'points of ' if is_share(score) else ''}{name}"
    if not score.higher_is_better:
        said["more"] = f" Of {name}, lower is better: the best corner is at the lower left."
        adds = f"By how much each larger size lowers {name}"
    as_good = f"at {'least' if score.higher_is_better else 'most'} its {name}"
    return {**said, **OF_OTHERS, "as_good": as_good, "adds": adds}
