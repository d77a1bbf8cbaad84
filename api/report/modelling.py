"""Models, their releases and deliveries as text."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from api.messages import modelling
from api.report.tables import Column, Style, table

_DIGITS = 12


def short(digest: str) -> str:
    """Return the beginning of a digest or commit."""
    return digest.removeprefix("sha256:")[:_DIGITS] or "-"


def delivery_text(found: modelling.DeliveryAnswer) -> str:
    """Return what became of a push."""
    lines = [f"{found.name} {short(found.commit)} is released as {short(found.package)}."]
    lines += [f"  {gate.name}: {gate.said}" for gate in found.gates]
    if found.image:
        lines += [f"Image {found.image}"]
    lines += [f"It serves in {' and '.join(found.stages)}."] if found.stages else []
    total = sum(found.seconds.values())
    steps = ", ".join(f"{name} {value * 1000:.0f}" for name, value in found.seconds.items())
    return "\n".join([*lines, f"{total * 1000:.0f} ms: {steps}."])


def models_text(found: Sequence[modelling.ModelSummary], style: Style) -> str:
    """Return models with what they serve."""
    if not found:
        return "There is no model yet. `berth model init NAME` makes one."
    columns = (
        Column(title="MODEL"),
        Column(title="NEWEST"),
        Column(title="TEST"),
        Column(title="PRODUCTION"),
    )
    rows = [(m.name, short(m.newest), short(m.test), short(m.production)) for m in found]
    return table(columns, rows, style)


def releases_text(found: Sequence[modelling.ReleaseEvent], style: Style) -> str:
    """Return the events of a model."""
    if not found:
        return "Nothing was pushed yet. `berth model push` does it."
    columns = (
        Column(title="WHEN"),
        Column(title="WHAT"),
        Column(title="COMMIT"),
        Column(title="PACKAGE"),
        Column(title="WHY"),
    )
    rows = [
        (
            datetime.datetime.fromtimestamp(e.at, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S"),
            f"{e.kind} {e.stage}".strip(),
            short(e.commit),
            short(e.package),
            e.reason or "-",
        )
        for e in found
    ]
    return table(columns, rows, style)


def event_text(event: modelling.ReleaseEvent) -> str:
    """Return what was done."""
    return f"{event.name} serves {short(event.package)} ({short(event.commit)}) in {event.stage}."
