"""What people said about alarms, as text: silences, what they fold, and how often causes hold."""

from __future__ import annotations

from collections.abc import Sequence

from api.messages.hands import MonthlyPrecision
from api.report import phrases, words
from api.report.tables import PLAIN, Column, Style, following, table
from engine.model.feedback import Folding, Silence

_SILENCES = (
    Column(title="ID"),
    Column(title="MATCHERS"),
    Column(title="UNTIL"),
    Column(title="WHO"),
    Column(title="BECAUSE", rank=1),
    Column(title="FOLDS", right=True),
)
_FOLDINGS = (
    Column(title="AGE", right=True),
    Column(title="ALARM"),
    Column(title="REASON"),
)
_FOLDINGS_SHOWN = 10
_MONTHS_SHOWN = 3


def silences_text(
    silences: Sequence[Silence],
    foldings: Sequence[Folding],
    style: Style = PLAIN,
    *,
    now: float,
) -> str:
    """Return a row for each silence, and the newest alarms that stand in no super-alarm."""
    if not silences and not foldings:
        return f"No silence. Every alarm stands in a super-alarm.\n\n{following('berth alarms')}"
    rows = [
        (
            silence.silence_id,
            " ".join(str(matcher) for matcher in silence.matchers),
            phrases.iso(silence.until) if silence.until > now else "over",
            silence.who,
            silence.because,
            str(sum(folding.silence_id == silence.silence_id for folding in foldings)),
        )
        for silence in silences
    ]
    blocks = [table(_SILENCES, rows, style)] if rows else ["No silence."]
    if foldings:
        shown = [
            (phrases.age(now - folding.at), folding.alarm.series, folding.reason)
            for folding in foldings[:_FOLDINGS_SHOWN]
        ]
        blocks.append("Alarms that stand in no super-alarm:\n" + table(_FOLDINGS, shown, style))
    active = next((silence for silence in silences if silence.until > now), None)
    commands = [f"berth silences end {active.silence_id}"] if active else []
    return "\n\n".join([*blocks, following(*commands, "berth alarms")])


def silence_text(silence: Silence) -> str:
    """Return one silence with the command that ends it."""
    matchers = " ".join(str(matcher) for matcher in silence.matchers)
    text = f"{silence.silence_id}: alarms with {matchers} are silent until "
    ends = f"{phrases.iso(silence.until)}, because {silence.because}"
    return f"{text}{ends}\n\n{following(f'berth silences end {silence.silence_id}')}"


def precision_text(months: Sequence[MonthlyPrecision]) -> str:
    """Return how often the first cause was right in the newest months; "" without feedback."""
    if not months:
        return ""
    told = [
        f"{month.month} {words.share(month.precision, digits=0)} "
        f"({month.right} of {month.right + month.wrong})"
        for month in months[:_MONTHS_SHOWN]
    ]
    return f"First cause right: {', '.join(told)}."
