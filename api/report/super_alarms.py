"""Super-alarms: one row each in a list, and the page of one in the order of the first minutes."""

from __future__ import annotations

from collections.abc import Sequence

from api.messages.context import Context
from api.report import alarm_parts, phrases, words
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.model.alarms import Action, ActionState, Alarm, Cause, SuperAlarm, SuperAlarmState
from engine.model.intake import FOREIGN_TEST

_ALARMS_SHOWN = 12
_COLUMNS = (
    Column(title="ID"),
    Column(title="LEVEL"),
    Column(title="AGE", right=True),
    Column(title="WHAT"),
    Column(title="LIKELY CAUSE"),
    Column(title="BELIEF", right=True),
    Column(title="ALARMS", right=True, rank=2),
    Column(title="STATE", rank=1),
)
_ALARM_COLUMNS = (
    Column(title="AT", right=True),
    Column(title="LEVEL"),
    Column(title="SERIES"),
    Column(title="VALUE", right=True),
    Column(title="EXPECTED", right=True),
    Column(title="P", right=True, rank=2),
    Column(title="TEST", rank=1),
)


def super_alarms_text(
    groups: Sequence[SuperAlarm],
    style: Style = PLAIN,
    *,
    now: float,
    actions: Sequence[Action] = (),
    watched: str = "",
    judged: str = "",
) -> str:
    """Return a row for each super-alarm, in the order given.

    watched: what is watched and when it was last looked at.
    judged: how often the first cause was right.
    """
    if not groups:
        return f"No super-alarm. {watched}".strip() + f"\n\n{following('berth status')}"
    rows = [_row(group, _actions_of(group, actions), now) for group in groups]
    alarms = sum(len(group.alarms) for group in groups)
    count = phrases.plural(len(groups), "super-alarm")
    text = f"{count} from {phrases.plural(alarms, 'alarm')}."
    text = " ".join(part for part in (text, watched, judged) if part)
    first = groups[0].super_alarm_id
    commands = following(f"berth alarms show {first}", f"berth ack {first}")
    return "\n\n".join([table(_COLUMNS, rows, style), text, commands])


def _row(group: SuperAlarm, actions: Sequence[Action], now: float) -> tuple[str, ...]:
    likely = group.likely
    return (
        group.super_alarm_id,
        group.severity.value,
        phrases.age(now - group.opened_at),
        group.title,
        likely.title if likely else "not known yet",
        f"{likely.belief:.2f}" if likely else "",
        str(len(group.alarms)),
        _state(group, actions),
    )


def _state(group: SuperAlarm, actions: Sequence[Action]) -> str:
    """Return the state, with the newest thing that is being done about it."""
    state = group.state.value
    if group.state is SuperAlarmState.SILENCED and group.silenced_until is not None:
        state = f"{state} until {phrases.iso(group.silenced_until)}"
    if group.again:
        state = f"{state} ({group.times})"
    newest = max(actions, key=lambda action: action.wanted_at, default=None)
    if newest is None:
        return state
    link = newest.run_id or newest.plan_id or ""
    return f"{state}, {newest.kind.value} {link}".rstrip()


def super_alarm_text(
    group: SuperAlarm,
    style: Style = PLAIN,
    *,
    now: float,
    actions: Sequence[Action] = (),
    context: Context | None = None,
) -> str:
    """Return everything about one super-alarm, in the order of the first five minutes."""
    around = context or Context()
    done = _actions_of(group, actions)
    shown = alarm_parts.likely(group)
    causes = [
        _cause(number, cause, alarm_parts.check_judged(cause, around.checks), style)
        for number, cause in enumerate(shown, 1)
    ]
    if group.state is not SuperAlarmState.RESOLVED:
        causes += [f"  {text}" for text in alarm_parts.next_step(shown)]
    alarms = phrases.plural(len(group.alarms), "alarm")
    reasons = [paragraph(f"  {reason}", style, indent="  ") for reason in group.because]
    parts: list[tuple[str, list[str]]] = [
        ("Likely cause", causes or ["  not known yet: it is being looked for"]),
        ("What changed before", alarm_parts.changes(around.changes, group, style, now)),
        ("What it may harm", alarm_parts.radius(around.risks, style, now)),
        ("What was done", [*_done(done, style, now), *alarm_parts.undecided(group, style)]),
        (
            f"Why these {alarms} are one" if len(group.alarms) > 1 else "Why it stands alone",
            [
                *(reasons or ["  nothing else belongs to it so far"]),
                *alarm_parts.apart(around.split, around.outside, group),
            ],
        ),
        (
            "Timeline",
            [*alarm_parts.earlier(group, around, style, now), _timeline(group, style, now)],
        ),
        ("Like it before", alarm_parts.like_it(around.like, style)),
        ("Notes and hand-over", alarm_parts.notes(group, around, style)),
    ]
    blocks = [_headline(group, around, style, now)]
    blocks += ["\n".join([style.bold(title), *lines]) for title, lines in parts]
    return "\n\n".join([*blocks, following(*_commands(group, done))])


def _headline(group: SuperAlarm, around: Context, style: Style, now: float) -> str:
    over = group.state is SuperAlarmState.RESOLVED
    grows = "" if over else f", {alarm_parts.growth(group, around, now)}"
    owner = f", taken by {group.owner}" if group.owner else ""
    again = f", {group.again}" if group.again else ""
    growing = "since" if not over else "resolved, since"
    began = phrases.clock(group.opened_at, near=now, zone=style.zone, seconds=True)
    count = phrases.plural(len(group.alarms), "alarm")
    text = (
        f"{group.super_alarm_id} {group.severity.value}: {group.title}, {count}, {growing} {began} "
        f"{style.zone} ({phrases.age(now - group.opened_at)}){grows}, {group.state.value}{again}"
        f"{owner}"
    )
    lines = [style.alert(phrases.printable(text))]
    if around.feels:
        verb = "felt" if over else "feel"
        lines.append(paragraph(f"What users {verb}: {'; '.join(around.feels)}", style))
    if group.pipelines:
        lines.append(f"Harmed or at risk: {', '.join(group.pipelines)}")
    return "\n".join(lines)


def _cause(number: int, cause: Cause, judged: str, style: Style) -> str:
    """Return one hypothesis with its evidence and check; judged: what a person said of that."""
    settled = {True: " (settled: it is)", False: " (settled: it is not)", None: ""}[cause.settled]
    lines = [f"{number}. {cause.title}  {cause.belief:.2f}  {cause.kind.value}{settled}"]
    lines += [f"   for      {item}" for item in cause.evidence_for]
    lines += [f"   against  {item}" for item in cause.evidence_against]
    if cause.checked is not None:
        lines.append(f"   checked  {alarm_parts.checked(cause.checked, style)}")
        if judged:
            lines.append(f"   judged   {judged}")
    elif cause.check is not None and cause.settled is None:
        lines.append(f"   to check {cause.check.kind.value}: Berth does it by itself")
    if cause.settle and cause.settled is None:
        lines.append(f"   settle   {cause.settle}")
    if cause.remedy is not None:
        values = phrases.set_to(cause.remedy.parameters)
        told = f"{cause.remedy.description} ({values})" if values else cause.remedy.description
        lines.append(f"   remedy   {told}")
    return "\n".join(paragraph(line, style, indent=" " * 12) for line in lines)


def _done(actions: Sequence[Action], style: Style, now: float) -> list[str]:
    """Return a line for each action, with the guards that held it back."""
    lines = []
    for action in actions:
        at = phrases.clock(action.wanted_at, near=now, zone=style.zone, seconds=True)
        link = " ".join(str(item) for item in (action.run_id, action.plan_id) if item)
        text = f"  {at}  {action.kind.value} {action.subject}: {action.state.value} {link}".rstrip()
        held = [guard for guard in action.guards if not guard.allows]
        if action.state is ActionState.HELD and held:
            text += "; " + ", ".join(
                f"{g.name}: needs {words.amount(g.needs, g.unit)}, has {words.amount(g.has)}"
                for g in held
            )
        if action.result:
            text += f"; {action.result}"
        lines.append(paragraph(text, style, indent="      "))
    return lines or ["  nothing yet"]


def _timeline(group: SuperAlarm, style: Style, now: float) -> str:
    """Return the first alarms in order of time."""
    ordered = sorted(group.alarms, key=lambda alarm: (alarm.at, alarm.series))
    rows = [
        (
            phrases.clock(alarm.at, near=now, zone=style.zone, seconds=True),
            alarm.severity.value,
            alarm.series,
            words.amount(alarm.value, alarm.unit),
            "" if is_foreign(alarm) else words.band(alarm.expected_low, alarm.expected_high),
            f"{alarm.p_value:.1g}" if alarm.p_value else "",
            alarm.rule or alarm.test,
        )
        for alarm in ordered[:_ALARMS_SHOWN]
    ]
    more = len(ordered) - len(rows)
    text = table(_ALARM_COLUMNS, rows, style)
    return f"{text}\nand {more} more" if more else text


def is_foreign(alarm: Alarm) -> bool:
    """Whether another system decided that it alarms, so that no band is known."""
    return alarm.test.startswith(FOREIGN_TEST)


def _actions_of(group: SuperAlarm, actions: Sequence[Action]) -> list[Action]:
    """Return the actions of a group, also of those merged into it, oldest first."""
    ids = {group.super_alarm_id, *group.aliases}
    return sorted(
        (action for action in actions if action.super_alarm_id in ids), key=lambda a: a.wanted_at
    )


def _commands(group: SuperAlarm, actions: Sequence[Action]) -> list[str]:
    commands = [f"berth ack {group.super_alarm_id}"]
    if group.state is not SuperAlarmState.OPEN:
        commands = []
    for action in actions:
        if action.plan_id:
            commands.append(f"berth diff {action.plan_id}")
        if action.run_id:
            commands.append(f"berth status {action.run_id}")
    silence = f'berth silence {group.super_alarm_id} 2h --because "..."'
    return [*commands[:3], silence]
