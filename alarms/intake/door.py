"""Where alerts and signals of other systems come in: bounded, deduplicated, stored, answered.

What was answered with success is in the store. Each sender has a share of its own: one that sends
more is told to come again later (every sender of these protocols does), and the others notice
nothing. What cannot be used is counted with its reason in the sender's record.
"""

from __future__ import annotations

import dataclasses
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from alarms.intake.alerts import Told, firing_of
from alarms.intake.samples import Sample
from alarms.intake.series import Converter, SeriesLimits
from engine.model.errors import ConflictError, RetryableError
from engine.model.intake import Delivery, Firing, FiringState, Sender
from engine.model.records import (
    ABSENT,
    CURSORS,
    DELIVERIES,
    FIRINGS,
    SENDERS,
    Put,
    Stored,
    Write,
)
from engine.ports import Clock, Ledger

CURSOR = "intake"
"""Under which the watch loop keeps how far deliveries were read."""
LEAST_SECONDS, REPETITIONS_MISSED = 300.0, 4
"""How long an alert of a clock that is off goes on when it is not sent again."""
_TRIES = 10
_TICK_SECONDS = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """Bounds of one sender.

    alerts_per_minute, values_per_minute: more are refused until the minute is over.
    backlog_seconds: new signals are refused while older ones wait for the loop for longer.
    """

    alerts_per_minute: int = 20_000
    values_per_minute: int = 300_000
    backlog_seconds: float = 120.0
    series: SeriesLimits = dataclasses.field(default_factory=SeriesLimits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a request: how many were taken and dropped, and why."""

    taken: int
    dropped: int = 0
    reason: str = ""


class BusyError(RetryableError):
    """A sender sent more than its share; the same request succeeds later."""

    default_code = "A002"


class Door:
    """Takes what senders send. May be used from several threads."""

    def __init__(self, ledger: Ledger, clock: Clock, limits: DoorLimits | None = None) -> None:
        self._ledger = ledger
        self._clock = clock
        self._limits = limits or DoorLimits()
        self._lock = threading.Lock()
        self._minutes: dict[tuple[str, str], tuple[float, int]] = {}
        self._converters: dict[str, Converter] = {}
        self._last: float | None = None

    def alerts(self, sender: str, told: Sequence[Told], *, left_out: int = 0) -> Taken:
        """Store alerts; those that are known already are brought up to date.

        left_out: how many more the sender had and did not send, which its record then tells.

        Raises:
            BusyError: when the sender sent more than its share.
        """
        now = self._clock.now()
        why = Counter({"left out by the sender": left_out} if left_out else {})
        with self._lock:
            self._share(sender, "alerts", len(told), self._limits.alerts_per_minute, now)
            newest: dict[str, Firing] = {}
            for one in told:
                found = firing_of(one, sender, now)
                newest[found.firing_id] = _both(newest.get(found.firing_id), found)
            self._committed(
                "intake.alerts",
                lambda: [
                    *self._merged(newest.values()),
                    self._counted(sender, now, alerts=len(told), why=why),
                ],
            )
        return Taken(taken=len(told), dropped=left_out, reason=_words(why))

    def samples(self, sender: str, samples: Sequence[Sample]) -> Taken:
        """Store values as signals of series that are watched.

        Raises:
            BusyError: when the sender sent more than its share, or older values still wait.
        """
        now = self._clock.now()
        with self._lock:
            self._share(sender, "values", len(samples), self._limits.values_per_minute, now)
            self._wait(sender, now)
            converter = self._converters.setdefault(sender, Converter(sender, self._limits.series))
            found, why = converter.signals(samples, now)
            writes: list[Write] = []
            if found:
                delivery = Delivery(
                    sender=sender, received_at=self._instant(now), signals=tuple(found)
                )
                writes.append(Put(DELIVERIES, delivery, ABSENT))
            self._committed(
                "intake.signals",
                lambda: [*writes, self._counted(sender, now, values=len(found), why=why)],
            )
        return Taken(taken=len(found), dropped=why.total(), reason=_words(why))

    def _share(self, sender: str, kind: str, count: int, most: int, now: float) -> None:
        """Count against the minute's share; what is above it is refused and noted."""
        began, used = self._minutes.get((sender, kind), (now, 0))
        if not began <= now < began + 60.0:
            began, used = now, 0
        if used and used + count > most:
            reason = f"more than {most:,} {kind} in a minute"
            self._committed("intake.refused", lambda: [self._refused(sender, count, reason, now)])
            raise BusyError(
                f"{sender!r} sent {reason}; nothing of this request was taken",
                fix="send it again in a minute; other senders are not affected",
            )
        self._minutes[(sender, kind)] = (began, used + count)

    def _refused(self, sender: str, count: int, reason: str, now: float) -> Write:
        stored = self._sender(sender, now)
        refused = stored.value.refused + count
        changed = dataclasses.replace(stored.value, refused=refused, reason=reason)
        return Put(SENDERS, changed, stored.version)

    def _wait(self, sender: str, now: float) -> None:
        cursor = self._ledger.get(CURSORS, CURSOR)
        reached = 0.0 if cursor is None else json.loads(cursor.value.position).get(sender, 0.0)
        oldest = self._ledger.select(
            DELIVERIES, where={"sender": sender}, order_by="received_at", since=reached, limit=1
        )
        if oldest and now - oldest[0].value.received_at > self._limits.backlog_seconds:
            raise BusyError(
                f"values of {sender!r} wait for {self._limits.backlog_seconds:g} s and more",
                fix="send it again in a minute, or send less: `berth doctor` shows the loop",
            )

    def _instant(self, now: float) -> float:
        """Return the time of arrival, later than that of every delivery before."""
        if self._last is None:
            newest = self._ledger.select(
                DELIVERIES, order_by="received_at", descending=True, limit=1
            )
            self._last = newest[0].value.received_at if newest else 0.0
        self._last = round(max(now, self._last + _TICK_SECONDS), 6)
        return self._last

    def _merged(self, found: Iterable[Firing]) -> list[Write]:
        """Return the writes that bring stored firings up to date."""
        writes: list[Write] = []
        for firing in found:
            stored = self._ledger.get(FIRINGS, firing.firing_id)
            if stored is None:
                # One that is over was none of ours; but an end that only looks past by a clock
                # that is behind must not lose it.
                if firing.ended_at is None or firing.said_ends_at is not None:
                    writes.append(Put(FIRINGS, firing, ABSENT))
                continue
            writes.append(Put(FIRINGS, merged(stored.value, firing), stored.version))
        return writes

    def _sender(self, name: str, now: float) -> Stored[Sender]:
        stored = self._ledger.get(SENDERS, name)
        return Stored(Sender(name=name, received_at=now), ABSENT) if stored is None else stored

    def _counted(
        self, name: str, now: float, *, alerts: int = 0, values: int = 0, why: Counter[str]
    ) -> Write:
        """Return the write that counts what was taken, and what was dropped for which reasons."""
        stored = self._sender(name, now)
        known = stored.value
        counted = dataclasses.replace(
            known,
            received_at=now,
            alerts=known.alerts + alerts,
            values=known.values + values,
            dropped=known.dropped + why.total(),
            reason=_words(why) or known.reason,
        )
        return Put(SENDERS, counted, stored.version)

    def _committed(self, name: str, writes: Callable[[], Sequence[Write]]) -> None:
        """Commit, again when the watch loop wrote meanwhile."""
        for _ in range(_TRIES):
            try:
                self._ledger.commit(name, writes())
            except ConflictError:
                continue
            return
        raise ConflictError(f"what is received changed {_TRIES} times meanwhile")


def _words(why: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))


def merged(known: Firing, news: Firing) -> Firing:
    """Return a stored firing after it was received again.

    An end counts once; what says after it that the same firing goes on is a late duplicate,
    unless the sender names no start, or the firing was only thought to be over.
    """
    known, news = _by_ends(known, news)
    times = known.times + 1
    if news.ended_at is not None:
        over = FiringState.WAITING if known.state is FiringState.WAITING else FiringState.RESOLVED
        return dataclasses.replace(
            known,
            state=over,
            received_at=news.received_at,
            said_ends_at=news.said_ends_at,
            ended_at=known.ended_at or news.ended_at,
            times=times,
        )
    is_over = known.state is FiringState.RESOLVED
    if is_over and known.ended_at is not None and "@" in known.firing_id:
        return dataclasses.replace(known, times=times)
    if is_over:
        alarm = dataclasses.replace(news.alarm, alarm_id=f"{known.alarm.alarm_id}.{times}")
        return dataclasses.replace(news, alarm=alarm, times=times)
    return dataclasses.replace(
        known,
        received_at=news.received_at,
        expires_at=news.expires_at,
        said_ends_at=news.said_ends_at,
        times=times,
    )


def _by_ends(known: Firing, news: Firing) -> tuple[Firing, Firing]:
    """Return both as the ends that a sender tells one after the other have them.

    Prometheus sends no status: as long as an alert fires, its end moves on with each repetition,
    and when it is over its end goes back to that instant. This holds by any clock, so that one
    that is hours off neither ends an alert nor keeps it alive.
    """
    if news.said_ends_at is None or known.said_ends_at is None:
        return known, news
    if news.said_ends_at < known.said_ends_at:
        return known, dataclasses.replace(news, ended_at=news.ended_at or news.received_at)
    if news.said_ends_at > known.said_ends_at and news.ended_at is not None:
        moved = news.said_ends_at - known.said_ends_at
        expires_at = news.received_at + max(LEAST_SECONDS, REPETITIONS_MISSED * moved)
        waits = known.state is FiringState.WAITING
        state = FiringState.WAITING if waits else FiringState.FIRING
        return (
            dataclasses.replace(known, state=state, ended_at=None),
            dataclasses.replace(news, ended_at=None, expires_at=expires_at),
        )
    return known, news


def _both(first: Firing | None, second: Firing) -> Firing:
    """Return one firing for two of one request: the end counts, in whatever order they stand."""
    if first is None or first.ended_at is None:
        return second
    return first
