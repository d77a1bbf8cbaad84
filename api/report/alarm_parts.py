"""The parts of a super-alarm that come from around it, as text: changes, harm, the like before."""

from __future__ import annotations

from collections.abc import Sequence

from api.messages.context import Context, Past, Risk, SplitHint
from api.report import phrases, words
from api.report.hands import precision_text
from api.report.tables import Style, paragraph
from engine.model import deciding
from engine.model.alarms import Alarm, Cause, Coming, Event, SuperAlarm
from engine.model.checks import Checked
from engine.model.feedback import CheckFeedback, Feedback

_CHANGES_SHOWN = 10
CAUSES_SHOWN = 3
BELIEF_SHOWN = 0.005
"""What would be told as 0.00 is left out."""
GROWING_SECONDS = 60.0
"""After its newest alarm a super-alarm counts as growing for so long."""


def changes(events: Sequence[Event], group: SuperAlarm, style: Style, now: float) -> list[str]:
    """Return a line for each change, with how long before or after the first alarm it was."""
    lines: list[str] = []
    for event in events[-_CHANGES_SHOWN:]:
        at = phrases.clock(event.at, near=now, zone=style.zone, seconds=True)
        seconds = event.at - group.opened_at
        side = "before" if seconds < 0 else "after"
        apart = f"{words.duration(abs(seconds))} {side}"
        text = f"  {at}  {event.message} ({event.kind}, {apart})"
        lines.append(paragraph(text, style, indent="      "))
    more = len(events) - len(lines)
    return [*lines, *([f"  and {more} before"] if more > 0 else [])] or [
        "  nothing is known to have changed"
    ]


def checked(one: Checked, style: Style) -> str:
    """Return how a check came out, when, and how long it took."""
    at = phrases.clock(one.at, near=one.at, zone=style.zone, seconds=True)
    took = words.duration(one.took_seconds)
    return f"{one.verdict.value}: {one.message} ({one.kind.value}, {at}, took {took})"


def check_judged(cause: Cause, given: Sequence[CheckFeedback]) -> str:
    """Return what a person said of the check of a cause, "" for nothing."""
    done = cause.checked
    for one in given:
        if done is not None and (one.check, one.subject, one.said) == (
            done.kind,
            done.subject,
            done.verdict,
        ):
            return f"{one.who} says that this check is {one.verdict.value}"
    return ""


def growth(group: SuperAlarm, around: Context, now: float) -> str:
    """Return whether a super-alarm grows, shrinks, or stays as it is."""
    newest = max((alarm.at for alarm in group.alarms), default=group.opened_at)
    if now - newest < GROWING_SECONDS:
        return "growing"
    if around.back:
        count = f"{around.back} of {phrases.plural(around.series, 'signal')}"
        return f"shrinking: {count} {'is' if around.back == 1 else 'are'} normal again"
    return f"not growing, last alarm {phrases.age(now - newest)} ago"


def earlier(group: SuperAlarm, around: Context, style: Style, now: float) -> list[str]:
    """Return a line for each earlier time that it came, and one for this time; none without."""
    lines = []
    for coming, said in comings(group, around.told):
        at = phrases.clock(coming.opened_at, near=now, zone=style.zone, seconds=True)
        lines.append(paragraph(f"  {at}  {said}", style, indent="      "))
    at = phrases.clock(group.opened_at, near=now, zone=style.zone, seconds=True)
    return [*lines, f"  {at}  {group.again}"] if lines else []


def comings(group: SuperAlarm, told: Sequence[Feedback]) -> list[tuple[Coming, str]]:
    """Return the earlier times that are kept, each with what is known and what people said."""
    first, judged = group.times - len(group.earlier), {one.times: one for one in told}
    return [
        (coming, "; ".join([_came(coming, number), *_said(judged.get(number), "it")]))
        for number, coming in enumerate(group.earlier, first)
    ]


def _said(given: Feedback | None, what: str) -> list[str]:
    """Return what a person said of a first cause, nothing where nobody did."""
    if given is None:
        return []
    instead = f"; it was {given.right_cause}" if given.right_cause else ""
    return [f"{given.who} says that {what} is {given.verdict.value}{instead}"]


def _came(coming: Coming, number: int) -> str:
    """Return what is known of an earlier time: how long, how many alarms, of what cause."""
    lasted = words.duration(coming.ended_at - coming.opened_at)
    cause = "no cause was found" if coming.likely is None else coming.likely.title
    alarms = phrases.plural(coming.count, "alarm")
    return f"came, time {number}: over by itself after {lasted}, {alarms}; {cause}"


def likely(group: SuperAlarm) -> tuple[Cause, ...]:
    """Return the causes that people see: the first three, without those that nobody believes."""
    first = group.causes[:CAUSES_SHOWN]
    return tuple(one for one in first if one is first[0] or one.belief >= BELIEF_SHOWN)


def next_step(causes: Sequence[Cause]) -> list[str]:
    """Return where to begin: the first cause that is not ruled out."""
    if not causes:
        return []
    if causes[0].settled:
        return ["begin with 1: it is settled"]
    left = [number for number, cause in enumerate(causes, 1) if cause.settled is not False]
    if not left:
        return ["none of them is left: begin with the first alarm"]
    order = " then ".join(str(number) for number in left)
    return [f"begin with {order}" if len(left) == 1 else f"begin with {order}, one after the other"]


def undecided(group: SuperAlarm, style: Style) -> list[str]:
    """Return why Berth does nothing by itself about the likely cause, and what settles it."""
    text = undecided_text(group)
    return [paragraph(f"  {text}", style, indent="  ")] if text else []


def undecided_text(group: SuperAlarm) -> str:
    """Return why Berth does nothing by itself about the likely cause, "" where it may."""
    likely, why = group.likely, deciding.undecided(group)
    if likely is None or not why:
        return ""
    text = f"Berth does nothing by itself about its likely cause: {why}"
    if likely.settled is not None or not likely.settle:
        return text
    check = likely.check
    if check is not None and likely.checked is None:
        text += f"; its check ({check.kind.value}) is under way"
    return f"{text}; to settle it: {likely.settle}"


def if_nothing_is_done(risks: Sequence[Risk], zone: str, now: float) -> str:
    """Return how many deadlines would be missed, "" for none."""
    late = [one for one in risks if is_late(one, now)]
    if not late:
        return ""
    until = phrases.clock(max(one.deadline_at or 0.0 for one in late), near=now, zone=zone)
    return f"if nothing is done: {phrases.plural(len(late), 'deadline')} missed by {until}"


def radius(risks: Sequence[Risk], style: Style, now: float) -> list[str]:
    """Return a line for each pipeline that may be harmed, with its deadline."""
    if not risks:
        return ["  no pipeline is known to depend on it"]
    lines = [paragraph(f"  {_risk(one, style, now)}", style, indent="    ") for one in risks]
    missed = if_nothing_is_done(risks, style.zone, now)
    return [*lines, *([f"  {missed}"] if missed else [])]


def is_late(risk: Risk, now: float) -> bool:
    """Whether a deadline that is not over would be missed by the 95th percentile of the plan."""
    if risk.deadline_at is None or risk.deadline_at < now or risk.run_state != "active":
        return False
    return risk.ends_at_p95 is not None and risk.ends_at_p95 > risk.deadline_at


def _risk(one: Risk, style: Style, now: float) -> str:
    parts = [str(one.pipeline)]
    if one.owner:
        parts.append(f"of {one.owner}")
    if one.is_serving:
        parts.append("serves")
    if one.run_id:
        parts.append(f"run {one.run_id} {one.run_state}")
    if one.deadline_at is not None:
        deadline = phrases.clock(one.deadline_at, near=now, zone=style.zone)
        parts.append(f"deadline {deadline}")
    if one.ends_at_p95 is not None:
        parts.append(f"ends P95 {phrases.clock(one.ends_at_p95, near=now, zone=style.zone)}")
    if one.keep is not None:
        parts.append(f"kept with {one.keep:.2f}")
    return ", ".join(parts)


def apart(split: SplitHint | None, outside: Sequence[Alarm], group: SuperAlarm) -> list[str]:
    """Return where a group would fall into two, and which alarms stand just outside."""
    lines: list[str] = []
    if split is not None:
        lines.append(
            f"  it may be two: {split.leaving} alarms with {split.matcher} stand apart (silhouette "
            f"{split.silhouette:.2f}); berth split {group.super_alarm_id} {split.matcher}"
        )
    for alarm in outside:
        seconds = alarm.at - group.opened_at
        side = "before" if seconds < 0 else "after"
        when = f"{words.duration(abs(seconds))} {side} the first"
        lines.append(f"  just outside: {alarm.signal} of {alarm.subject}, {when}")
    return lines


def like_it(past: Sequence[Past], style: Style) -> list[str]:
    """Return a line for each past super-alarm that is like this one."""
    lines = [paragraph(f"  {_past(one)}", style, indent="    ") for one in past]
    return lines or ["  none"]


def _past(one: Past) -> str:
    parts = [f"{one.super_alarm_id} {phrases.iso(one.opened_at)}: {one.title}"]
    parts.append(f"cause {one.cause}" if one.cause else "cause not known")
    if one.verdict:
        parts.append(f"which was {one.verdict}")
    parts.append(f"done: {one.done}")
    if one.fixed_seconds is not None:
        parts.append(f"over after {words.duration(one.fixed_seconds)}")
    return "; ".join(parts)


def notes(group: SuperAlarm, context: Context, style: Style) -> list[str]:
    """Return notes, runbooks, what people said of the cause, and the precision of first causes."""
    lines = [paragraph(f"  {part}", style) for part in group.note.split("; ") if part]
    lines += [f"  runbook: {address}" for address in context.runbooks]
    said = [f"  {one}" for one in _said(context.feedback, "the first cause")]
    lines += said or [f"  was it? berth feedback {group.super_alarm_id} right|wrong"]
    if any(cause.checked is not None for cause in likely(group)):
        lines.append(
            f"  was a check right? berth feedback {group.super_alarm_id} right|wrong --check NUMBER"
        )
    judged = precision_text(context.months)
    return [*lines, *([f"  {judged}"] if judged else [])]
