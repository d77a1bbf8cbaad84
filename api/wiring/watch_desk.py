"""Super-alarms, what was done about them, and the signals behind."""

from __future__ import annotations

from api.wiring.parts import Parts
from engine import watching
from engine.model.alarms import Action, SuperAlarm, SuperAlarmState
from engine.model.errors import NotFoundError
from engine.model.records import ACTIONS, SIGNALS, SUPER_ALARMS
from engine.model.signals import Signal

_SIGNALS_MOST = 2_000
_STATES_THAT_MATTER = (SuperAlarmState.OPEN, SuperAlarmState.ACKNOWLEDGED, SuperAlarmState.SILENCED)


class WatchDesk:
    """Answers what concerns alarms. May be used from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def super_alarms(self, limit: int) -> tuple[SuperAlarm, ...]:
        """Return super-alarms: those that matter now first, by harm and then by time."""
        found = self._parts.ledger.select(
            SUPER_ALARMS, order_by="updated_at", descending=True, limit=limit
        )
        groups = [stored.value for stored in found]
        return tuple(
            sorted(groups, key=lambda g: (g.state not in _STATES_THAT_MATTER, -g.severity.rank))
        )

    def super_alarm(self, super_alarm_id: str) -> SuperAlarm:
        """Return one super-alarm, also by the id of a group that was merged into it."""
        stored = self._parts.ledger.get(SUPER_ALARMS, super_alarm_id)
        if stored is not None:
            return stored.value
        groups = self.super_alarms(10_000)
        for group in groups:
            if super_alarm_id in group.aliases:
                return group
        known = ", ".join(group.super_alarm_id for group in groups[:3]) or "none"
        message = f"there is no super-alarm {super_alarm_id!r}; the newest are {known}"
        raise NotFoundError(message, fix="berth alarms lists them all")

    def acknowledge(self, super_alarm_id: str) -> SuperAlarm:
        """Take a super-alarm."""
        found = self.super_alarm(super_alarm_id).super_alarm_id
        watching.acknowledge(self._parts.ledger, self._parts.clock, found)
        return self.super_alarm(found)

    def silence(self, super_alarm_id: str, seconds: float, because: str) -> SuperAlarm:
        """Keep a super-alarm quiet for so many seconds."""
        found = self.super_alarm(super_alarm_id).super_alarm_id
        watching.silence(self._parts.ledger, self._parts.clock, found, seconds, because)
        return self.super_alarm(found)

    def actions(self, limit: int) -> tuple[Action, ...]:
        """Return what the engine did or wanted to do, newest first."""
        found = self._parts.ledger.select(
            ACTIONS, order_by="wanted_at", descending=True, limit=limit
        )
        return tuple(stored.value for stored in found)

    def signals(self, series: str, since: float) -> tuple[Signal, ...]:
        """Return the newest signals of a series, or of all, after an instant, oldest first."""
        found = self._parts.ledger.select(
            SIGNALS,
            where={"series": series} if series else None,
            order_by="at",
            descending=True,
            since=since,
            limit=_SIGNALS_MOST,
        )
        return tuple(stored.value for stored in reversed(found))
