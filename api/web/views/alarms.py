"""Super-alarms as the person on call reads them, in the order of the first five minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.messages.context import Context
from api.report import alarm_parts, phrases, super_alarms, words
from api.web import cells
from api.web.views import plans as plan_views
from engine.model import alarms, dispatches, plans, specs

SEVERITY_TONES = {
    alarms.Severity.CRITICAL: cells.Tone.BAD,
    alarms.Severity.WARNING: cells.Tone.WARN,
    alarms.Severity.INFO: cells.Tone.QUIET,
}
STATE_TONES = {
    alarms.SuperAlarmState.OPEN: cells.Tone.WARN,
    alarms.SuperAlarmState.ACKNOWLEDGED: cells.Tone.BUSY,
    alarms.SuperAlarmState.SILENCED: cells.Tone.QUIET,
    alarms.SuperAlarmState.RESOLVED: cells.Tone.OK,
}
ACTION_TONES = {
    alarms.ActionState.WANTED: cells.Tone.BUSY,
    alarms.ActionState.STARTED: cells.Tone.BUSY,
    alarms.ActionState.HELD: cells.Tone.WARN,
    alarms.ActionState.DONE: cells.Tone.OK,
    alarms.ActionState.FAILED: cells.Tone.BAD,
}
HOUR_SECONDS = 3_600.0
_OFFERS = {
    alarms.ActionKind.REPLAN: "plan anew around it",
    alarms.ActionKind.RETRAIN: "train the model again",
    alarms.ActionKind.ROLL_BACK: "go back to the model before",
}


@dataclass(frozen=True, slots=True)
class Headline:
    """The first line about a super-alarm: how bad, what state, since when, whether it grows."""

    severity: cells.Cell
    state: cells.Cell
    since: cells.Cell
    last: str
    pipelines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """One action with what it led to, and the guards that it was held against."""

    what: str
    state: cells.Cell
    at: cells.Cell
    policy: str
    result: str
    cost: str
    parameters: tuple[str, ...]
    run_id: str
    plan_id: str
    guards: cells.Table
    verdict: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What Berth can do about the likely cause, and whether it did that already."""

    what: str
    is_again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRisk:
    """What is known of one pipeline that may be harmed."""

    name: str
    spec: specs.PipelineSpec | None
    run: dispatches.Run | None
    plan: plans.Plan | None
    deployment: dispatches.Deployment | None


def ordered(groups: Sequence[alarms.SuperAlarm]) -> list[alarms.SuperAlarm]:
    """Return super-alarms, those that harm most first and those that are over last."""
    over = alarms.SuperAlarmState.RESOLVED
    return sorted(groups, key=lambda g: (g.state is over, -g.severity.rank, -g.updated_at))


def group_list(groups: Sequence[alarms.SuperAlarm], now: float) -> cells.Table:
    """Return super-alarms, those that harm most first."""
    return cells.table(
        "Super-alarms",
        [
            "Id",
            "Level",
            ("What", "text"),
            ("Likely cause", "text"),
            ("Belief", "number"),
            "State",
            ("Alarms", "number"),
            "Since",
        ],
        (
            (
                cells.link(group.super_alarm_id, "/alarms"),
                cells.Cell(group.severity.value, tone=SEVERITY_TONES[group.severity]),
                group.title,
                group.likely.title if group.likely else "not known yet",
                f"{group.likely.belief:.2f}" if group.likely else words.NOTHING,
                state(group),
                str(len(group.alarms)),
                cells.moment(group.opened_at, now),
            )
            for group in ordered(groups)
        ),
    )


def state(group: alarms.SuperAlarm) -> cells.Cell:
    """Return where a super-alarm stands."""
    until = group.silenced_until
    quiet = group.state is alarms.SuperAlarmState.SILENCED and until is not None
    parts = [f"until {words.instant(until)}" if quiet else "", group.again]
    note = ", ".join(part for part in parts if part)
    return cells.Cell(group.state.value, tone=STATE_TONES[group.state], note=note)


def headline(group: alarms.SuperAlarm, around: Context, now: float) -> Headline:
    """Return the first line about a super-alarm."""
    newest = max((alarm.at for alarm in group.alarms), default=group.opened_at)
    over = group.state is alarms.SuperAlarmState.RESOLVED
    last = f"over, last alarm {phrases.age(now - newest)} ago"
    return Headline(
        severity=cells.Cell(group.severity.value, tone=SEVERITY_TONES[group.severity]),
        state=state(group),
        since=cells.moment(group.opened_at, now),
        last=last if over else alarm_parts.growth(group, around, now),
        pipelines=group.pipelines,
    )


def series_list(group: alarms.SuperAlarm) -> cells.Table:
    """Return the alarms of a group by series: the strongest one speaks for each."""
    by_series: dict[str, list[alarms.Alarm]] = {}
    for alarm in sorted(group.alarms, key=lambda one: one.at):
        by_series.setdefault(alarm.series, []).append(alarm)
    return cells.table(
        "Alarms by signal",
        [
            "Signal",
            "Level",
            ("Alarms", "number"),
            "First",
            "Last",
            ("Value", "number"),
            ("Expected", "number"),
            ("p", "number"),
            ("Test", "text"),
        ],
        [_series(raised) for raised in by_series.values()],
    )


def _series(raised: Sequence[alarms.Alarm]) -> tuple[cells.Cell | str, ...]:
    worst = max(raised, key=lambda one: (one.severity.rank, -one.p_value))
    return (
        cells.Cell(worst.signal.replace("_", " "), note=worst.subject),
        cells.Cell(worst.severity.value, tone=SEVERITY_TONES[worst.severity]),
        str(len(raised)),
        words.clock_time(raised[0].at),
        words.clock_time(raised[-1].at),
        words.amount(worst.value, worst.unit),
        words.NOTHING
        if super_alarms.is_foreign(worst)
        else words.band(worst.expected_low, worst.expected_high),
        f"{worst.p_value:.0e}" if worst.p_value else words.NOTHING,
        cells.Cell(worst.test, note=f"rule {worst.rule}" if worst.rule else ""),
    )


def actions(taken: Sequence[alarms.Action], now: float) -> list[Done]:
    """Return what the engine did, wants to do, or was kept from doing, oldest first."""
    return [_done(action, now) for action in sorted(taken, key=lambda one: one.wanted_at)]


def offer(
    kind: alarms.ActionKind | None, group: alarms.SuperAlarm, taken: Sequence[alarms.Action]
) -> Offer | None:
    """Return what Berth can do about the likely cause, None for nothing; taken: what it did."""
    if kind is None or group.likely is None:
        return None
    is_again = any(
        (one.kind, one.subject, one.state) == (kind, group.likely.subject, alarms.ActionState.DONE)
        for one in taken
    )
    return Offer(what=_OFFERS[kind], is_again=is_again)


def _done(action: alarms.Action, now: float) -> Done:
    holding = [guard.name for guard in action.guards if not guard.allows]
    verdict = f"held back by {', '.join(holding)}" if holding else "all of them allow it"
    return Done(
        what=f"{action.kind.value} {action.subject}",
        state=cells.Cell(action.state.value, tone=ACTION_TONES[action.state]),
        at=cells.moment(action.wanted_at, now),
        policy=action.policy,
        result=action.result,
        cost=words.money(action.cost_micro_dollars) if action.cost_micro_dollars else "",
        parameters=tuple(f"{name} = {value}" for name, value in sorted(action.parameters.items()))
        if action.kind in {alarms.ActionKind.RETRAIN, alarms.ActionKind.RETRY}
        else (),
        run_id=action.run_id or "",
        plan_id=action.plan_id or "",
        guards=_guards(action.guards),
        verdict=f"{phrases.plural(len(action.guards), 'guard')}: {verdict}",
    )


def _guards(guards: Sequence[alarms.Guard]) -> cells.Table:
    return cells.table(
        "Guards",
        ["Guard", "Verdict", ("Has", "number"), ("Bound", "number")],
        (
            (
                guard.name,
                cells.Cell("allows", tone=cells.Tone.OK)
                if guard.allows
                else cells.Cell("holds it back", tone=cells.Tone.WARN),
                words.amount(guard.has, "" if isinstance(guard.has, str) else guard.unit),
                words.amount(guard.needs, "" if isinstance(guard.needs, str) else guard.unit),
            )
            for guard in guards
        ),
    )


def changes(events: Sequence[alarms.Event], group: alarms.SuperAlarm) -> cells.Table:
    """Return what changed in the hour before a group began and since, in order of time."""
    return cells.table(
        "Changes",
        ["At", ("What", "text"), ("From the first alarm", "number"), "Kind"],
        (
            (
                words.clock_time(event.at),
                cells.Cell(event.message, href=_of(event)),
                apart(event.at - group.opened_at),
                event.kind,
            )
            for event in events
            if event.at >= group.opened_at - HOUR_SECONDS
        ),
    )


def apart(seconds: float) -> str:
    """Return how long before or after something was."""
    side = "before" if seconds < 0 else "after"
    return f"{words.duration(abs(seconds))} {side}"


def _of(event: alarms.Event) -> str:
    """Return the page of what an event is about; "" where there is none."""
    for label, folder in (("plan", "/plans"), ("run", "/runs")):
        if event.kind in {label, "deployment"} and label in event.labels:
            return f"{folder}/{event.labels[label]}"
    return "/fleet" if event.kind == "cluster" else ""


def at_risk(harmed: Sequence[AtRisk], now: float) -> cells.Table:
    """Return the pipelines that are or may be harmed, with what was promised for them."""
    return cells.table(
        "Pipelines at risk",
        [
            "Pipeline",
            "Owner",
            "Serving",
            "Newest run",
            "State",
            "Deadline",
            "Ends, P95",
            ("Kept with", "number"),
        ],
        (_risk(one, now) for one in harmed),
    )


def _risk(one: AtRisk, now: float) -> tuple[cells.Cell | str, ...]:
    run, serving = one.run, one.deployment
    promised = one.plan.placement.promises if one.plan else ()
    promise = next((p for p in promised if p.pipeline == one.name), None)
    return (
        one.name,
        one.spec.owner if one.spec else words.NOTHING,
        words.NOTHING
        if serving is None
        else cells.Cell("the wanted model", tone=cells.Tone.OK)
        if serving.serving == serving.wanted
        else cells.Cell("not the wanted model", tone=cells.Tone.WARN),
        cells.link(run.run_id if run else None, "/runs"),
        run.state.value if run else words.NOTHING,
        cells.moment(promise.deadline_seconds if promise else None, now),
        cells.moment(_end(one), now),
        plan_views.chance(promise.keep_forecast if promise else None),
    )


def _end(one: AtRisk) -> float | None:
    """Return when the run ends at the latest in 95 of 100 cases, by its plan."""
    placed = one.plan.placement.assignments if one.plan else ()
    ends = [
        each.end_seconds_p95
        for each in placed
        if each.pipeline == one.name and each.end_seconds_p95 is not None
    ]
    return max(ends, default=None)


def is_of(action: alarms.Action, group: alarms.SuperAlarm) -> bool:
    """Return whether an action answers a group, or one that was merged into it."""
    return action.super_alarm_id in {group.super_alarm_id, *group.aliases}
