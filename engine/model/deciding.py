"""How far the likely cause of a super-alarm is believed, and whether that is enough to act."""

from __future__ import annotations

import math

from engine.model.alarms import Cause, CauseKind, SuperAlarm, SuperAlarmState

_CHANGES = frozenset({CauseKind.CODE, CauseKind.CONFIGURATION})


def believed(group: SuperAlarm, cause: Cause) -> float:
    """Return the belief that counts: that in a cause, between 0 and 1.

    Of a deployment it is that in all changes just before of what it changed: a roll-back is soon
    done, and what comes of it tells which of them it was.
    """
    if cause.kind is not CauseKind.CODE:
        return cause.belief
    return math.fsum(
        one.belief
        for one in group.causes
        if one is cause
        or (one.kind in _CHANGES and one.settled is not False and _of(one) == _of(cause))
    )


def undecided(group: SuperAlarm) -> str:
    """Return why its likely cause is not acted upon: `the belief in it, 0.52, is below 0.6`, or "".

    Whether anything can be done about one that is believed, and which guard holds it back, the
    actions tell.
    """
    likely = group.likely
    if likely is None or group.state is SuperAlarmState.RESOLVED:
        return ""
    if likely.settled is False:
        return "it is ruled out"
    belief = believed(group, likely)
    if belief >= group.act_above:
        return ""
    # Rounded down, so that it does not read as the bound itself.
    return f"the belief in it, {math.floor(100 * belief) / 100:.2f}, is below {group.act_above:g}"


def _of(cause: Cause) -> str:
    """Return the pipeline or model that a cause is about."""
    return cause.subject.partition(":")[2].partition("/")[0]
