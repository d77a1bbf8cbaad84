"""Signals as text: every series that is watched with its newest value, or one with its past."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from api.report import phrases
from api.report.tables import PLAIN, Column, Style, following, table
from engine.model.signals import Layer, Signal

_SERIES = (
    Column(title="LAYER"),
    Column(title="OF"),
    Column(title="SIGNAL"),
    Column(title="VALUE", right=True),
    Column(title="UNIT", rank=1),
    Column(title="SEEN", right=True),
)
_VALUES = (Column(title="TIME"), Column(title="VALUE", right=True), Column(title="UNIT"))
VALUES_SHOWN = 40


def newest(signals: Sequence[Signal]) -> list[Signal]:
    """Return the newest signal of each series, by layer and subject."""
    found = {signal.series: signal for signal in sorted(signals, key=lambda signal: signal.at)}
    places = {layer: place for place, layer in enumerate(Layer)}
    return sorted(found.values(), key=lambda s: (places[s.layer], s.subject, s.name))


def series_text(signals: Sequence[Signal], style: Style = PLAIN, *, now: float) -> str:
    """Return a row for each series."""
    if not signals:
        return f"Nothing was measured lately.\n\n{following('berth doctor')}"
    shown = newest(signals)
    rows = [
        (
            signal.layer.value,
            signal.subject,
            signal.name,
            f"{signal.value:.6g}",
            signal.unit,
            phrases.age(now - signal.at),
        )
        for signal in shown
    ]
    # Others name their series as they like; the line is there to be copied into a shell.
    one = phrases.printable(shlex.join(["berth", "signals", shown[0].series]))
    return f"{table(_SERIES, rows, style)}\n\n{following(one, 'berth alarms')}"


def values_text(signals: Sequence[Signal], style: Style = PLAIN) -> str:
    """Return the newest values of one series, oldest first."""
    rows = [
        (phrases.iso(signal.at), f"{signal.value:.6g}", signal.unit)
        for signal in signals[-VALUES_SHOWN:]
    ]
    return table(_VALUES, rows, style)
