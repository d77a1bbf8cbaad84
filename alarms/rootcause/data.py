"""Hypothesis 2: the data changed."""

from __future__ import annotations

from alarms.grouping.nature import pipeline_of
from alarms.rootcause.conversions import Conversion
from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from alarms.rootcause.shifts import Shift, shifts
from engine.model.alarms import CauseKind, Remedy
from engine.model.checks import Check, CheckKind
from engine.model.specs import Scalar

PRIOR = -1.0
BACK_WITHIN = 0.5
"""A feature whose windows since the alarm lie within so many standard deviations is back."""
DRIFT_MAX = 3.0
"""A population may drift; one that moved by more standard deviations is another quantity."""


def hypotheses(facts: Facts, more: tuple[Conversion, ...] = ()) -> list[Hypothesis]:
    """Return one hypothesis for each pipeline whose features moved or no longer arrive."""
    by_pipeline: dict[str, list[Shift]] = {}
    for shift in shifts(facts, more):
        by_pipeline.setdefault(shift.pipeline, []).append(shift)
    found = [_moved(facts, moved) for moved in by_pipeline.values()]
    return [*found, *_absent(facts)]


def _moved(facts: Facts, moved: list[Shift]) -> Hypothesis:
    """Return the hypothesis that features of one pipeline arrive changed, largest shift first."""
    evidence = Evidence(PRIOR)
    for shift in moved[:3]:
        sizes = ", ".join(
            f"{moment.name} {moment.observed:.4g}, was {moment.reference:.4g}"
            for moment in shift.moments
        )
        evidence.supports(
            3.0 if shift is moved[0] else 0.5,
            f"{shift.feature} moved by {shift.size:+.1f} standard deviations ({sizes})",
        )
    converted = [shift for shift in moved if shift.fitting]
    for shift in converted:
        _explain_unit(shift, evidence)
    _siblings(facts, moved, evidence)
    _quality(facts, evidence)
    unexplained = [shift for shift in moved if not shift.fitting]
    if converted and unexplained:
        names = ", ".join(shift.feature for shift in unexplained)
        evidence.opposes(0.5, f"no unit explains {names}")
    lead = converted[0] if converted else moved[0]
    if not converted and abs(lead.size) < BACK_WITHIN:
        evidence.opposes(3.0, f"{lead.feature} is nearly back where it was")
    return Hypothesis(
        kind=CauseKind.DATA,
        subject=lead.subject,
        title=_title(lead),
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        evidence_against=tuple(evidence.contra),
        settle=_settle(lead),
        settled=lead.is_settled,
        remedy=_remedy(converted, unexplained),
    )


def _explain_unit(shift: Shift, evidence: Evidence) -> None:
    best = shift.fitting[0]
    left = max((moment.shift(best) for moment in shift.moments), key=abs)
    moment = shift.moments[0]
    seen = ""
    if moment.observed and not best.offset:
        seen = f": {moment.reference:.4g} / {moment.observed:.4g} = "
        seen += f"{moment.reference / moment.observed:.2f}"
    evidence.supports(
        2.5 if best.fits_name(shift.feature) else 1.5,
        f"{best.quantity} in {best.arrives_in} instead of {best.wanted} explains {shift.feature} "
        f"(factor {best.factor:.4g}{seen}; {left:+.2f} standard deviations are left)",
    )
    others = [
        f"{other.arrives_in} for {other.wanted}"
        for other in shift.fitting[1:3]
        if other.fits_name(shift.feature) == best.fits_name(shift.feature)
    ]
    if others:
        evidence.opposes(0.3, f"{shift.feature} would also fit {' or '.join(others)}")


def _siblings(facts: Facts, moved: list[Shift], evidence: Evidence) -> None:
    """A unit changes in one column; what all columns share is another population."""
    names = {
        series[-1].subject
        for series in facts.series
        if series[-1].name == "feature_mean"
        and series[-1].labels.get("pipeline", moved[0].pipeline) == moved[0].pipeline
    }
    if len(names) > len(moved):
        evidence.supports(
            0.5, f"{len(names) - len(moved)} of {len(names)} other features are where they were"
        )


def _quality(facts: Facts, evidence: Evidence) -> None:
    fell = facts.alarms_of("quality")
    if fell:
        evidence.supports(0.5, f"quality fell to {fell[0].value:.2f} with it")


def _title(shift: Shift) -> str:
    if shift.fitting:
        best = shift.fitting[0]
        return f"{shift.feature} arrives in {best.arrives_in} instead of {best.wanted}"
    return f"{shift.feature} moved by {shift.size:+.1f} standard deviations"


def _settle(shift: Shift) -> str:
    if shift.fitting:
        best = shift.fitting[0]
        return f"convert recent windows of {shift.feature} by {best.factor:.4g} and compare"
    return f"ask the owner of {shift.feature} what changed; compare 20 of its values by hand"


def _remedy(converted: list[Shift], unexplained: list[Shift]) -> Remedy | None:
    """Return what a new run needs, or None when it would learn from wrong data."""
    if any(abs(shift.size) > DRIFT_MAX for shift in unexplained):
        return None
    if not converted:
        return Remedy(description="train again on recent records")
    parameters: dict[str, Scalar] = {}
    words: list[str] = []
    for shift in converted:
        best = shift.fitting[0]
        parameters[f"etl.unit.{shift.feature}"] = best.arrives_in
        if not best.is_standard:
            parameters[f"etl.factor.{shift.feature}"] = best.factor
        if best.offset:
            parameters[f"etl.offset.{shift.feature}"] = best.offset
        words.append(f"read {shift.feature} as {best.arrives_in}")
    return Remedy(description=" and ".join(words), parameters=parameters)


def _absent(facts: Facts) -> list[Hypothesis]:
    """Return the hypothesis that columns no longer arrive."""
    silent = [
        alarm
        for alarm in facts.alarms_of("feature_median", "feature_mean")
        if alarm.test == "silence"
    ]
    if not silent:
        return []
    subjects = sorted({alarm.subject for alarm in silent})
    names = ", ".join(subject.rpartition("/")[2] for subject in subjects)
    evidence = Evidence(PRIOR)
    evidence.supports(
        4.0, f"no values of {names} for {silent[0].value:.3g} s while other features arrive"
    )
    failed = facts.alarms_of("errors_share")
    if failed:
        evidence.supports(1.0, f"{100 * failed[0].value:.0f} % of requests fail")
    return [
        Hypothesis(
            kind=CauseKind.DATA,
            subject=subjects[0],
            title=f"{names} no longer arrives",
            weight=evidence.weight,
            evidence_for=tuple(evidence.pro),
            settle="look at one raw request or source row: is the column there?",
            check=Check(
                kind=CheckKind.SCHEMA,
                subject=f"pipeline:{pipeline_of(silent[0])}",
                since=facts.began_at(),
            ),
        )
    ]
