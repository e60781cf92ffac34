"""Verdicts: what a report answers in words, and what it does not answer."""

from collections.abc import Iterator
from dataclasses import dataclass

from greenbench.compare.over_hosts import OverHosts
from greenbench.compare.ratios import Ratios
from greenbench.compare.returns import Returns
from greenbench.compare.scaling import Scaling
from greenbench.compare.strategies import Strategies
from greenbench.reports.findings import Explained, Findings
from greenbench.reports.formats import first_few, joined, provenance_label
from greenbench.tasks.score_format import capitalised

REFUSED = "not answered"


@dataclass(frozen=True)
class Verdict:
    """An answer in words.

    Attributes
    ----------
    context : str
        What it is about.
    text : str
        The answer.
    label : str
        Whether its energy is measured or estimated, or that there is no answer; empty where
        it has no energy.
    """

    context: str
    text: str
    label: str

    @property
    def is_refusal(self) -> bool:
        """Whether it says why there is no answer."""
        return self.label == REFUSED


def in_words(findings: Findings) -> list[list[Verdict]]:
    """Return the answers in words, a list for each kind of question.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    overall = []
    if findings.overall is not None:
        label = provenance_label(*(each.provenance for each in findings.strategies))
        overall.append(Verdict("all searches", findings.overall.sentence, label))
    return [
        list(map(_of_returns, findings.returns)),
        [*map(_of_ratios, findings.ratios), *map(_of_hosts, findings.over_hosts)],
        list(map(_of_scaling, findings.scaling)),
        overall + list(map(_of_strategies, findings.strategies)),
        [verdict for explained in findings.factors for verdict in _of_factors(explained)],
    ]


def refusals(findings: Findings) -> list[Verdict]:
    """Return what was not answered, and why.

    Parameters
    ----------
    findings : Findings
        What is reported.
    """
    return [Verdict(about, why, REFUSED) for about, why in findings.refusals]


def _of_returns(returns: Returns) -> Verdict:
    left_out = first_few(returns.left_out)
    parts = [returns.sentence, returns.proof]
    parts += [f"Left out, without a sample that counts: {left_out}."] if left_out else []
    context = joined(returns.strategy, returns.backend, returns.setting)
    return Verdict(context, " ".join(parts), provenance_label(returns.provenance))


def _of_ratios(ratios: Ratios) -> Verdict:
    text = ratios.sentence
    if ratios.unpaired:
        number = len(ratios.unpaired)
        text += f" {number} {'group has' if number == 1 else 'groups have'} no pair."
    return Verdict(f"{ratios.compared}s", text, provenance_label(ratios.provenance))


def _of_hosts(found: OverHosts) -> Verdict:
    context = f"{found.compared}s, {len(found.hosts)} hosts"
    return Verdict(context, found.sentence, provenance_label(found.provenance))


def _of_scaling(found: Scaling) -> Verdict:
    return Verdict("devices", found.sentence, provenance_label(found.provenance))


def _of_strategies(found: Strategies) -> Verdict:
    text = found.sentence
    if found.left_out:
        text += f" Left out: {first_few(found.left_out)}."
    text += "".join(f" {capitalised(note)}." for note in found.notes)
    return Verdict(joined(*found.group.values()), text, provenance_label(found.provenance))


def _of_factors(explained: Explained) -> Iterator[Verdict]:
    for answer in explained.answers:
        is_energy = answer.response == "energy_wh"
        text = " ".join([answer.sentence, *(f"Warning: {line}." for line in answer.warnings)])
        yield Verdict(explained.where, text, explained.label if is_energy else "")
