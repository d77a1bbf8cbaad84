"""Hypotheses 3 and 4: the model aged, or demand jumped."""

from __future__ import annotations

from alarms.grouping.nature import Nature, nature, pipeline_of
from alarms.rootcause import changes
from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from engine.model.alarms import CauseKind, Remedy
from engine.model.checks import Check, CheckKind

CHANGED = 2.0
"""What a model learned ages; that it does so just after somebody changed it would be chance."""


def model(facts: Facts, day_seconds: float) -> list[Hypothesis]:
    """Return, per model whose quality fell, the hypothesis that what it learned no longer holds."""
    found: list[Hypothesis] = []
    for subject in dict.fromkeys(alarm.subject for alarm in facts.alarms_of("quality")):
        fell = next(alarm for alarm in facts.alarms_of("quality") if alarm.subject == subject)
        evidence = Evidence(-1.0)
        evidence.supports(
            2.0,
            f"quality fell to {fell.value:.2f}; at least {fell.expected_low:.2f} is normal "
            f"(p = {fell.p_value:.1g})",
        )
        moved = {alarm.subject for alarm in facts.alarms if nature(alarm) is Nature.DATA}
        watched = {
            series[-1].subject for series in facts.series if series[-1].name == "feature_mean"
        }
        if moved:
            evidence.opposes(3.0, f"{len(moved)} of its inputs moved, which explains it")
        elif watched:
            evidence.supports(1.5, f"all {len(watched)} features arrive as they were trained on")
        change = changes.closest(facts, day_seconds)
        if change is not None:
            evidence.opposes(CHANGED, f"{change.message} ({facts.when(change.at)})")
        if facts.alarms_of("errors_share", "reachable", "exit_killed"):
            evidence.opposes(1.0, "requests or machines fail too")
        found.append(
            Hypothesis(
                kind=CauseKind.MODEL,
                subject=subject,
                title=f"what the model of {pipeline_of(fell)} learned no longer holds",
                weight=evidence.weight,
                evidence_for=tuple(evidence.pro),
                evidence_against=tuple(evidence.contra),
                settle="train again on recent records and compare on the newest labels",
                remedy=Remedy(description="train again on recent records"),
            )
        )
    return found


def demand(facts: Facts) -> list[Hypothesis]:
    """Return the hypothesis that callers send more, or less, where load or latency moved."""
    loads = [alarm for alarm in facts.alarms_of("requests") if alarm.test != "silence"]
    slow = facts.alarms_of("latency_ms_p99", "errors_share")
    if not loads and not slow:
        return []
    evidence = Evidence(-1.0)
    lead = loads[0] if loads else slow[0]
    settled: bool | None = None
    title = f"callers of {lead.subject} send more than usual"
    if loads:
        rose = lead.statistic > 0
        settled = True if rose else None
        title = title if rose else title.replace("more", "less")
        evidence.supports(3.5 if rose else 2.0, lead.message)
        if slow and rose:
            evidence.supports(1.0, f"and with it: {slow[0].message}")
    else:
        ratio = facts.ratio(f"{lead.subject}|requests", facts.onset(lead))
        if ratio is not None and ratio >= changes.RISEN:
            settled = True
            evidence.supports(3.0, f"requests of {lead.subject} are {ratio:.1f} times those before")
            evidence.supports(1.0, f"and with it: {lead.message}")
        else:
            settled = False
            evidence.opposes(1.5, f"requests of {lead.subject} are as usual")
    return [
        Hypothesis(
            kind=CauseKind.DEMAND,
            subject=lead.subject,
            title=title,
            weight=evidence.weight,
            evidence_for=tuple(evidence.pro),
            evidence_against=tuple(evidence.contra),
            settle="compare requests by caller with the hour before",
            settled=settled,
            check=Check(kind=CheckKind.REQUESTS, subject=lead.subject, since=facts.began_at()),
        )
    ]
