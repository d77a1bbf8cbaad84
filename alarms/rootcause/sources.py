"""Hypothesis 2, at its source: what the etl tasks of a pipeline read is other data, or late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alarms.detection.schemas import NAME as COLUMNS
from alarms.grouping.nature import pipeline_of
from alarms.rootcause.facts import Evidence, Facts, Hypothesis
from engine.model.alarms import Alarm, CauseKind
from engine.model.checks import Check, CheckKind

PRIOR = -1.0
CERTAIN = 5.0
"""A column that is gone is gone: no chance is in it."""
_ROWS = ("rows", "nulls_share", "rejected_rows")
_AGES = ("newest_record_age_seconds", "source_age_seconds", "output_age_seconds")


def hypotheses(facts: Facts) -> Iterator[Hypothesis]:
    """Yield, for each task or pipeline whose source alarms, what its source did."""
    alarms = facts.alarms_of(COLUMNS, *_ROWS, *_AGES)
    for subject in dict.fromkeys(alarm.subject for alarm in alarms):
        mine = [alarm for alarm in alarms if alarm.subject == subject]
        yield _source(facts, subject, mine)


def _source(facts: Facts, subject: str, mine: Sequence[Alarm]) -> Hypothesis:
    """Return what the alarms of one source say together; what is certain goes first."""
    order = {name: place for place, name in enumerate((COLUMNS, *_ROWS, *_AGES))}
    ranked = sorted(mine, key=lambda alarm: (order[alarm.signal], alarm.at, alarm.alarm_id))
    lead = ranked[0]
    evidence = Evidence(PRIOR)
    for number, alarm in enumerate(ranked):
        first = CERTAIN if lead.signal == COLUMNS else 3.0
        evidence.supports(1.0 if number else first, alarm.message)
    title, settle = _words(lead)
    return Hypothesis(
        kind=CauseKind.DATA,
        subject=subject,
        title=title,
        weight=evidence.weight,
        evidence_for=tuple(evidence.pro),
        settle=settle,
        check=_check(facts, subject, lead),
    )


def _check(facts: Facts, subject: str, lead: Alarm) -> Check | None:
    """Return the check that Berth runs itself, where it has one."""
    if lead.signal == COLUMNS:
        return Check(kind=CheckKind.SCHEMA, subject=subject, since=lead.at)
    if lead.signal not in _ROWS:
        return None
    return Check(kind=CheckKind.ROWS, subject=subject, since=facts.began_at())


def _words(lead: Alarm) -> tuple[str, str]:
    """Return the title, and the check that settles it."""
    pipeline = pipeline_of(lead)
    if lead.signal == COLUMNS:
        said = lead.message.rpartition("changed: ")[2]
        return (
            f"the source of {pipeline} changed its columns: {said}",
            "read the first line of the newest delivery, and ask its owner what was renamed",
        )
    if lead.signal in _AGES:
        return (
            f"the source of {pipeline} is late",
            "look at the time of the newest delivery, and at the run that makes it",
        )
    return (
        f"the source of {pipeline} delivered other rows",
        "count rows by day at the source, and its empty cells",
    )
