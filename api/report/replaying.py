"""A replay as text: what changed when, and what came of it."""

from __future__ import annotations

from api.messages.replaying import Replayed
from api.report import phrases
from api.report.tables import PLAIN, Column, Style, table

_COLUMNS = (
    Column(title="AT"),
    Column(title="ID"),
    Column(title="LEVEL"),
    Column(title="STATE"),
    Column(title="ALARMS", right=True),
    Column(title="WHAT"),
    Column(title="LIKELY CAUSE", rank=1),
    Column(title="BELIEF", right=True, rank=2),
)


def replay_text(replayed: Replayed, style: Style = PLAIN) -> str:
    """Return a row for each change, and one line about the whole."""
    rows = [
        (
            phrases.iso(moment.at),
            moment.super_alarm_id,
            moment.severity.value,
            moment.state.value if moment.times == 1 else f"{moment.state.value} ({moment.times})",
            str(moment.alarms),
            moment.title,
            moment.cause,
            f"{moment.belief:.2f}" if moment.cause else "",
        )
        for moment in replayed.moments
    ]
    count = phrases.plural(len(replayed.super_alarms), "super-alarm")
    given = f"{phrases.plural(replayed.alerts, 'alert')} and "
    given += phrases.plural(replayed.signals, "signal")
    total = f"{count} from {given}."
    return "\n\n".join([table(_COLUMNS, rows, style), total] if rows else [total])
