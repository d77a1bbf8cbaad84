"""Messages to people as text: what was told where, and where a message would go."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from api.messages.notifying import Routed
from api.report import phrases
from api.report.tables import PLAIN, Column, Style, following, table
from engine.model.messages import Message

_MESSAGES = (
    Column(title="SUPER-ALARM"),
    Column(title="CHANNEL"),
    Column(title="STATE"),
    Column(title="EDITS", right=True),
    Column(title="CALLS", right=True),
    Column(title="CHANGED", right=True),
    Column(title="RESULT", rank=1),
)
_ROUTES = (
    Column(title="CHANNEL"),
    Column(title="KIND"),
    Column(title="TOLD"),
    Column(title="WHEN"),
    Column(title="BECAUSE"),
    Column(title="OUTCOME", rank=1),
)


def messages_text(messages: Sequence[Message], style: Style = PLAIN, *, now: float) -> str:
    """Return a row for each message."""
    if not messages:
        return f"Nobody was told anything yet.\n\n{following('berth notify test')}"
    rows = [
        (
            message.group.super_alarm_id,
            message.channel,
            message.state.value,
            str(message.revision - 1),
            str(message.sent_pings),
            phrases.age(now - message.changed_at),
            message.result,
        )
        for message in messages
    ]
    return f"{table(_MESSAGES, rows, style)}\n\n{following('berth notify test', 'berth alarms')}"


def routes_text(routes: Sequence[Routed], style: Style = PLAIN, *, now: float) -> str:
    """Return a row for each channel, and what those that are told would read."""
    if not routes:
        text = "There is no channel: messages go to `notifications.jsonl` in the data folder only."
        return f"{text}\n\n{following('BERTH_CHANNELS=channels.toml berth start')}"
    rows = [
        (
            route.channel,
            route.kind,
            "yes" if route.goes else "no",
            _when(route, now),
            route.because,
            route.outcome,
        )
        for route in routes
    ]
    told = next((route.text for route in routes if route.goes), "")
    text = textwrap.indent(told, "  ") if told else "  nothing"
    return f"{table(_ROUTES, rows, style)}\n\nWhat they read:\n{text}"


def _when(route: Routed, now: float) -> str:
    if not route.goes:
        return ""
    return "now" if route.due_at <= now else phrases.iso(route.due_at)
