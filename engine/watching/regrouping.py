"""What people know of groups and alarms do not tell: these are two, those are one."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from engine.model.alarms import Event, SuperAlarm, SuperAlarmState
from engine.model.errors import ConflictError, NotFoundError, RefusedError
from engine.model.feedback import Matcher
from engine.model.records import ABSENT, EVENTS, SUPER_ALARMS, Put, Stored
from engine.ports import Clock, Ledger
from engine.watching.members import Title, joined, split_off

_TRIES = 10


def split(
    ledger: Ledger,
    clock: Clock,
    super_alarm_id: str,
    chosen: Sequence[Matcher],
    who: str,
    title: Title,
) -> tuple[SuperAlarm, SuperAlarm]:
    """Make a super-alarm of its own of the alarms that all matchers match.

    Returns what stays and what was split off. The id stays with the earliest alarm. What the
    series that were split off raise from now on joins them there, whatever the grouping says.
    title: writes their headlines.

    Raises:
        NotFoundError: when there is no super-alarm of that id.
        RefusedError: when it is closed, or when no alarm or every alarm would go.
    """
    for _ in range(_TRIES):
        stored = _open(ledger, super_alarm_id)
        group, now = stored.value, clock.now()
        series = {
            alarm.series for alarm in group.alarms if all(each.matches(alarm) for each in chosen)
        }
        gone = [alarm for alarm in group.alarms if alarm.series in series]
        left = [alarm for alarm in group.alarms if alarm.series not in series]
        if not gone or not left:
            words = " ".join(str(matcher) for matcher in chosen)
            raise RefusedError(
                f"{words!r} matches {len(gone)} of {len(group.alarms)} alarms; some must go and "
                "some must stay",
                fix=f"`berth alarms show {group.super_alarm_id}` lists the alarms",
            )
        if gone[0].at < left[0].at:
            # The id belongs to the earliest alarm, so it is the others that leave.
            gone, left = left, gone
        fresh = split_off(group, gone, now, title(gone), "by hand")
        fresh = dataclasses.replace(fresh, regrouped_at=now)
        kept = dataclasses.replace(
            group,
            title=title(left),
            alarms=tuple(left),
            severity=max((alarm.severity for alarm in left), key=lambda each: each.rank),
            causes=(),
            updated_at=now,
            because=(*group.because, f"{who} split off {fresh.super_alarm_id}"),
        )
        said = f"{who} split {fresh.super_alarm_id} off, with {len(gone)} of its alarms"
        try:
            ledger.commit(
                "watch.split",
                [
                    Put(SUPER_ALARMS, kept, stored.version),
                    Put(SUPER_ALARMS, fresh, ABSENT),
                    Put(EVENTS, _event(stored, now, said)),
                ],
            )
        except ConflictError:
            continue
        return kept, fresh
    raise _too_often(super_alarm_id)


def merge(
    ledger: Ledger, clock: Clock, one_id: str, other_id: str, who: str, title: Title
) -> SuperAlarm:
    """Make two super-alarms one: the older id stays, the other becomes its alias.

    Raises:
        NotFoundError: when there is no super-alarm of one of the ids.
        RefusedError: when one of them is closed, or both are the same.
    """
    if one_id == other_id:
        raise RefusedError(f"{one_id!r} cannot be merged with itself", fix="name another one")
    for _ in range(_TRIES):
        found = [_open(ledger, one_id), _open(ledger, other_id)]
        older, younger = sorted(
            found, key=lambda each: (each.value.opened_at, each.value.super_alarm_id)
        )
        now = clock.now()
        both = joined(older.value, younger.value.alarms, now)
        kept = dataclasses.replace(
            both,
            title=title(both.alarms),
            causes=(),
            aliases=(*both.aliases, younger.value.super_alarm_id, *younger.value.aliases),
            pipelines=tuple(sorted({*both.pipelines, *younger.value.pipelines})),
            because=(
                *both.because,
                *younger.value.because,
                f"{who} merged {younger.value.super_alarm_id} into it",
            ),
        )
        gone = dataclasses.replace(
            younger.value,
            state=SuperAlarmState.RESOLVED,
            updated_at=now,
            note=f"merged into {kept.super_alarm_id} by {who}",
            merged_into=kept.super_alarm_id,
            regrouped_at=now,
        )
        said = f"{who} merged {gone.super_alarm_id} into it"
        try:
            ledger.commit(
                "watch.merge",
                [
                    Put(SUPER_ALARMS, kept, older.version),
                    Put(SUPER_ALARMS, gone, younger.version),
                    Put(EVENTS, _event(older, now, said)),
                ],
            )
        except ConflictError:
            continue
        return kept
    raise _too_often(one_id)


def _open(ledger: Ledger, super_alarm_id: str) -> Stored[SuperAlarm]:
    stored = ledger.get(SUPER_ALARMS, super_alarm_id)
    if stored is None:
        message = f"there is no super-alarm {super_alarm_id!r}"
        raise NotFoundError(message, fix="`berth alarms` lists them")
    if stored.value.state is SuperAlarmState.RESOLVED:
        message = f"super-alarm {super_alarm_id!r} is closed"
        raise RefusedError(message, fix="look at the open ones: `berth alarms`")
    return stored


def _event(stored: Stored[SuperAlarm], now: float, said: str) -> Event:
    name = stored.value.super_alarm_id
    return Event(
        event_id=f"{name}.person.{stored.version}",
        at=now,
        kind="person",
        subject=name,
        message=said,
    )


def _too_often(super_alarm_id: str) -> ConflictError:
    return ConflictError(f"super-alarm {super_alarm_id!r} changed {_TRIES} times meanwhile")
