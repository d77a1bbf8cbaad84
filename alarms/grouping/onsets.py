"""Where one event ends and the next begins although alarms never paused: onsets by repetition.

Most alarms fire once an event. When several that fired already fire again together, a new event
began. Evidence is added up as in Page's CUSUM test (Biometrika 1954): each alarm adds the
logarithm of how likely it is at an onset against within an event. How often alarms of a name
repeat within one event is learned, so that a chattering alarm is no evidence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import AlarmTable, Episode

REPEATS_AT_ONSET = 0.5
"""Share of alarms at an onset that fired in the event before; a guess between none and all."""
RATE_FLOOR = 0.02
"""Repetition is never believed to be rarer, so that no single alarm decides."""
PRIOR_ALARMS = 20.0
PRIOR_REPEATS = 1.0
SHRINKAGE_ALARMS = 20.0
"""The rate of a name counts as much as that of all alarms after so many of its alarms."""
EVIDENCE_LEAST = 8.0
"""Natural logarithm of the odds from which a new event is believed: about 3,000 to 1."""
REPEATS_LEAST = 3
"""And so many distinct alarms must have fired again."""
RUN_MOST = 10_000


@dataclass(slots=True)
class _Counts:
    alarms: float = 0.0
    repeats: float = 0.0


class RepeatRates:
    """Learns how often alarms repeat within an event, by name and over all.

    Keeps at most `names_most` names; names met later have the rate of all.
    """

    def __init__(self, *, names_most: int = 100_000) -> None:
        self._names_most = names_most
        self._all = _Counts(PRIOR_ALARMS, PRIOR_REPEATS)
        self._by_name: dict[str, _Counts] = {}

    def learn(self, name: str, *, is_repeat: bool) -> None:
        """Count one alarm."""
        counts = self._by_name.get(name)
        if counts is None and len(self._by_name) < self._names_most:
            counts = self._by_name[name] = _Counts()
        for each in (self._all, counts):
            if each is not None:
                each.alarms += 1
                each.repeats += is_repeat

    def rate(self, name: str) -> float:
        """Return the share of a name's alarms that repeat within an event."""
        overall = self._all.repeats / self._all.alarms
        counts = self._by_name.get(name)
        if counts is None:
            return overall
        return (counts.repeats + SHRINKAGE_ALARMS * overall) / (counts.alarms + SHRINKAGE_ALARMS)

    def evidence(self, name: str, *, is_repeat: bool) -> float:
        """Return by how much an alarm speaks for an onset; 0 where its name repeats anyway."""
        rate = max(RATE_FLOOR, self.rate(name))
        if rate >= REPEATS_AT_ONSET:
            return 0.0
        if is_repeat:
            return math.log(REPEATS_AT_ONSET / rate)
        return math.log((1 - REPEATS_AT_ONSET) / (1 - rate))


class Onsets:
    """Judges, instant by instant, whether a new event began within an open one.

    Args:
        decide_seconds: A suspicion that is not decided by then is dropped.
        remember_seconds: Alarms that fired longer ago may be forgotten when the table is full.
        alarms_most: Distinct alarms in the table.
    """

    def __init__(self, *, decide_seconds: float, remember_seconds: float, alarms_most: int) -> None:
        self._decide_seconds = decide_seconds
        self._remember_seconds = remember_seconds
        self._alarms_most = alarms_most
        self._rates = RepeatRates()
        self._alarms = AlarmTable()
        self._merged: dict[int, int] = {}

    @property
    def alarms(self) -> int:
        """Distinct alarms that are remembered."""
        return len(self._alarms)

    def suspect(self, episode: Episode, alert: Alert) -> bool:
        """Add an alert to the run of its episode; return whether its alarm fired there before."""
        fingerprint = alert.fingerprint
        if alert.lasting:
            # It is said elsewhere when it is over: firing again begins nothing.
            is_repeat = self._episode(fingerprint) == episode.serial
            self._alarms.note(fingerprint, episode.serial, alert.at)
            return is_repeat
        if not episode.run:
            episode.run_since = alert.at
        episode.run.append(alert)
        if fingerprint in episode.run_alarms:
            return True
        is_repeat = self._episode(fingerprint) == episode.serial
        episode.run_alarms[fingerprint] = (alert.name, is_repeat)
        episode.pending.append(self._rates.evidence(alert.name, is_repeat=is_repeat))
        return is_repeat

    def begins(self, episode: Episode, at: float) -> bool:
        """Weigh the alerts of one instant; return whether the run begins a new event.

        The order of alerts within the instant does not matter. A run that speaks for none is
        learned as part of the episode.
        """
        episode.evidence += math.fsum(episode.pending)
        episode.pending.clear()
        if episode.evidence > EVIDENCE_LEAST:
            repeats = sum(is_repeat for _, is_repeat in episode.run_alarms.values())
            if repeats >= REPEATS_LEAST:
                return True
        is_over = at - episode.run_since > self._decide_seconds or len(episode.run) > RUN_MOST
        if episode.evidence <= 0 or is_over:
            self.settle(episode, episode.serial, at)
        return False

    def settle(self, episode: Episode, serial: int, at: float) -> list[Alert]:
        """Learn the run as alarms of the episode of this serial; return and empty it."""
        # Repeats count at an onset too: a chattering alarm would else look like many onsets
        # for ever, and never be learned to repeat.
        for fingerprint, (name, is_repeat) in episode.run_alarms.items():
            self._rates.learn(name, is_repeat=is_repeat)
            self._alarms.note(fingerprint, serial, at)
        run = episode.run
        episode.run, episode.run_alarms, episode.evidence = [], {}, 0.0
        if len(self._alarms) > self._alarms_most:
            self._alarms.forget(at - self._remember_seconds)
        return run

    def take(self, episode: Episode, alerts: Sequence[Alert]) -> None:
        """Note alarms that fired in an episode before it was known here."""
        for alert in alerts:
            self._alarms.note(alert.fingerprint, episode.serial, alert.at)

    def merge(self, older: Episode, younger: Episode) -> None:
        """Take the alarms of one episode as those of another."""
        self.settle(younger, older.serial, younger.newest_at)
        self._merged[younger.serial] = older.serial

    def forget(self, episode: Episode) -> None:
        """Learn the run of an episode that closes."""
        self.settle(episode, episode.serial, episode.newest_at)
        # Serials that point to it stay until they are looked up no more.
        if len(self._merged) > RUN_MOST:
            self._merged = {k: v for k, v in self._merged.items() if v > episode.serial}

    def _episode(self, fingerprint: int) -> int:
        serial = self._alarms.episode(fingerprint)
        while serial in self._merged:
            serial = self._merged[serial]
        return serial
