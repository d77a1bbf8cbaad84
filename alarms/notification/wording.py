"""What a message says: headline, cause, radius, and three next steps."""

from __future__ import annotations

from typing import Any

from alarms.notification.files import message_of
from engine.model import deciding, documents
from engine.model.alarms import SuperAlarm, SuperAlarmState
from engine.model.messages import Message

_SIGNS = {"critical": "!!", "warning": "!", "info": "i"}
KEY_CHARACTERS_MOST = 255


def key_of(message: Message) -> str:
    """Return the key by which every target deduplicates: the same for all edits and repeats.

    A digest has one that follows from what it tells of.
    """
    if message.others:
        told = [group.super_alarm_id for group in (message.group, *message.others)]
        return f"berth/digest/{documents.letters(f'{told} {message.revision}', 12)}"
    return f"berth/{message.group.super_alarm_id}"[:KEY_CHARACTERS_MOST]


def event_of(message: Message) -> str:
    """Return what a message does: `trigger`, `again`, `edit`, `reopen`, `acknowledge` ...

    One that came again after its end was told is reopened, also where nothing can be edited: else
    its end would be the last that people heard.
    """
    if message.others:
        return "digest"
    if message.group.state is SuperAlarmState.RESOLVED:
        return "resolve"
    if message.sent_pings == 0:
        return "trigger"
    if message.pings > message.sent_pings:
        return "again"
    if message.is_end_told:
        return "reopen"
    if message.group.state is SuperAlarmState.ACKNOWLEDGED:
        return "acknowledge"
    return "edit"


def headline(message: Message) -> str:
    """Return one line: severity by sign and word, what, how many alarms, state."""
    if message.others:
        return f"[i info] {1 + len(message.others)} super-alarms for information"
    return _line(message.group)


def _line(group: SuperAlarm) -> str:
    """Return the headline of one super-alarm."""
    count = len(group.alarms)
    alarms = f"{count} alarm{'' if count == 1 else 's'}"
    sign = _SIGNS[group.severity.value]
    state = ", ".join(part for part in (group.state.value, group.again) if part)
    return f"[{sign} {group.severity.value}] {group.title}, {alarms}, {state}"


def text_of(message: Message, link: str = "") -> str:
    """Return a message as plain text: headline, cause, radius, what to do next."""
    if message.others:
        return _digest(message, link)
    group, likely = message.group, message.group.likely
    lines = [headline(message)]
    if likely is not None:
        lines.append(f"Likely cause: {likely.title} ({likely.belief:.2f}, {likely.kind.value})")
        lines += [f"  for: {evidence}" for evidence in likely.evidence_for[:2]]
        if likely.settle:
            lines.append(f"  settle: {likely.settle}")
    undecided = deciding.undecided(group)
    if undecided:
        lines.append(f"Berth does nothing by itself about this cause: {undecided}")
    if group.pipelines:
        lines.append(f"Harmed or at risk: {', '.join(group.pipelines)}")
    if group.owner:
        lines.append(f"Taken by {group.owner}")
    name = group.super_alarm_id
    if group.state is not SuperAlarmState.RESOLVED:
        lines.append(f"berth alarms show {name} | berth ack {name} | berth silence {name} 2h")
    if link:
        lines.append(f"{link}/alarms/{name}")
    return "\n".join(lines)


def _digest(message: Message, link: str) -> str:
    """Return a digest as plain text: a line for each super-alarm."""
    lines = [headline(message)]
    for group in (message.group, *message.others):
        likely = "" if group.likely is None else f"; likely cause: {group.likely.title}"
        place = f"{link}/alarms/{group.super_alarm_id}" if link else group.super_alarm_id
        lines.append(f"{_line(group)}{likely} ({place})")
    lines.append("berth alarms show SUPER-ALARM tells more of one")
    return "\n".join(lines)


def webhook_body(message: Message, link: str = "") -> dict[str, Any]:
    """Return the body for a webhook; a digest lists its further super-alarms under `others`."""
    body: dict[str, Any] = {
        "version": 1,
        "dedup_key": key_of(message),
        "event": event_of(message),
        "revision": message.revision,
        "super_alarm": message_of(message.group),
        "text": text_of(message, link),
        "link": f"{link}/alarms/{message.group.super_alarm_id}" if link else "",
    }
    if message.others:
        body["others"] = [message_of(group) for group in message.others]
    return body


def slack_body(message: Message, link: str = "") -> dict[str, Any]:
    """Return text and blocks for Slack (https://api.slack.com/block-kit)."""
    lines = text_of(message, link).splitlines()
    blocks: list[dict[str, Any]] = [
        {"type": "section", "text": {"type": "mrkdwn", "text": f"*{_escaped(lines[0])}*"}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": _escaped("\n".join(lines[1:])) or "-"},
        },
    ]
    if link:
        page = f"{link}/alarms/{message.group.super_alarm_id}"
        buttons = [
            {"type": "button", "text": {"type": "plain_text", "text": label}, "url": page}
            for label in ("Acknowledge", "Silence", "Show")
        ]
        blocks.append({"type": "actions", "elements": buttons})
    return {"text": lines[0], "blocks": blocks}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pagerduty_body(message: Message, routing_key: str, link: str = "") -> dict[str, Any]:
    """Return an event of PagerDuty's Events API v2."""
    event = event_of(message)
    action = event if event in {"acknowledge", "resolve"} else "trigger"
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "dedup_key": key_of(message),
        "event_action": action,
    }
    if action != "trigger":
        return body
    group = message.group
    first = group.alarms[0]
    body["payload"] = {
        "summary": headline(message)[:1024],
        "source": first.subject,
        "severity": group.severity.value,
        "component": first.subject,
        "group": ", ".join(group.pipelines),
        "class": first.signal,
        "custom_details": message_of(group),
    }
    if link:
        page = f"{link}/alarms/{group.super_alarm_id}"
        body["links"] = [{"href": page, "text": "Berth"}]
    return body
