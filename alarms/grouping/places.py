"""Open super-alarms by the part of the system they alarm: which one an alert belongs to."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Episode, Reason
from alarms.grouping.kinship import Kinship
from engine.model import documents

_ID_LETTERS = 10
_ENTITIES_MOST = 1_000_000


class Places:
    """Knows every open super-alarm, at most one growing in each part of the system.

    Args:
        topology: Pairs of related entities.
        gap_seconds: What was quiet for longer is over, unless lasting alerts hold it open: then
            only what they named joins it.
    """

    def __init__(
        self, topology: Iterable[tuple[str, str]] = (), *, gap_seconds: float = 90.0
    ) -> None:
        self._gap_seconds = gap_seconds
        self._kinship = Kinship()
        self._kinship.relate(topology)
        self._serials = itertools.count()
        self._open: OrderedDict[int, Episode] = OrderedDict()  # by serial, the quietest first
        self._resting: dict[int, Episode] = {}  # by serial: what an event interrupted
        self._by_part: dict[int, Episode] = {}
        self._by_entity: OrderedDict[int, int] = OrderedDict()  # of unknown part: the last serial
        self._by_name: dict[int, Episode] = {}  # entities that lasting alerts named
        self._by_near: dict[int, Episode] = {}  # entities that a super-alarm may be about

    @property
    def open(self) -> Sequence[Episode]:
        """Open super-alarms, the one that was quiet longest first; then those that rest."""
        return (*self._open.values(), *self._resting.values())

    def is_unknown(self, number: int) -> bool:
        """Return whether nothing is known to be related to an entity."""
        return self._kinship.stands_alone(self._kinship.part(number))

    def learn(self, alert: Alert) -> tuple[int, list[tuple[Episode, Episode]]]:
        """Learn what an alert names together.

        Returns:
            The number of its entity, and the super-alarms that thereby became one, each with the
            older first; the younger is no longer open.
        """
        number = self._kinship.number(alert.entity)
        if alert.lasting:
            self._kinship.know(number)
        merged: list[tuple[Episode, Episode]] = []
        for name in alert.related:
            joined = self._kinship.join(number, self._kinship.number(name))
            if joined is not None:
                merged += self._united(*joined)
        return number, merged

    def place(self, alert: Alert, number: int, at: float) -> tuple[Episode, Reason]:
        """Return the super-alarm that an alert joins or opens, and why."""
        found = self._found(alert, number, at)
        if found is None:
            found = self.opened(group_id(alert), self._home(number), at, at), Reason.FIRST
        episode, reason = found
        if self.is_unknown(number):
            self._by_entity[number] = episode.serial
            self._by_entity.move_to_end(number)
            if len(self._by_entity) > _ENTITIES_MOST:
                self._by_entity.popitem(last=False)
        if alert.holds:
            self._hold(episode, alert)
        episode.opened_at = min(episode.opened_at, at)
        episode.newest_at = max(episode.newest_at, at)
        self._open.move_to_end(episode.serial)
        return episode, reason

    def has_place(self, alert: Alert, at: float) -> bool:
        """Return whether what an alert is about, or what is near it, was alarmed lately."""
        number = self._kinship.number(alert.entity)
        named = [number, *map(self._kinship.number, (*alert.related, *alert.near))]
        episodes = [self._by_name.get(name) for name in named]
        episodes += [self._by_part.get(self._kinship.part(name)) for name in named]
        return any(each is not None and self._is_recent(each, at) for each in episodes)

    def succeed(self, episode: Episode, alerts: Sequence[Alert]) -> Episode:
        """Open a super-alarm for alerts of another; what comes next belongs to it."""
        fresh = self.opened(group_id(alerts[0]), episode.part, alerts[0].at, episode.newest_at)
        for number in {self._kinship.number(alert.entity) for alert in alerts}:
            if number in self._by_entity:
                self._by_entity[number] = fresh.serial
        for name in {name for alert in alerts for name in alert.holds}:
            number = self._kinship.number(name)
            if self._by_name.get(number) is episode:
                self._by_name[number] = fresh
                episode.names.discard(number)
                fresh.names.add(number)
        return fresh

    def close_quiet(
        self, before: float, lasts: Callable[[Episode], bool] = lambda _: False
    ) -> Iterator[Episode]:
        """Close and yield what has been quiet since before a time and is not held open.

        lasts: Whether an episode outlasts such a pause.
        """
        quiet = itertools.takewhile(lambda each: each.newest_at < before, self._open.values())
        for episode in [each for each in quiet if not each.names and not lasts(each)]:
            self.close(episode)
            yield episode

    def close(self, episode: Episode) -> None:
        """Let a super-alarm be over."""
        self._open.pop(episode.serial, None)
        self._resting.pop(episode.serial, None)
        if self._by_part.get(episode.part) is episode:
            del self._by_part[episode.part]
        self._forget(episode)

    def rest(self, episode: Episode) -> None:
        """Let nothing join a super-alarm until it is resumed."""
        self._open.pop(episode.serial, None)
        self._resting[episode.serial] = episode

    def resume(self, episode: Episode) -> None:
        """Let alerts of its part join a super-alarm again, where none was opened meanwhile."""
        if self._resting.pop(episode.serial, None) is None:
            return
        self._open[episode.serial] = episode
        self._open.move_to_end(episode.serial, last=False)
        if episode.part >= 0:
            episode.part = self._kinship.part(episode.part)
            self._by_part.setdefault(episode.part, episode)

    def unite(self, older: Episode, younger: Episode) -> None:
        """Let a super-alarm be part of an older one."""
        self.close(younger)
        older.absorb(younger)
        for name in younger.names:
            older.names.add(name)
            self._by_name.setdefault(name, older)

    def reopen(self, episode: Episode, at: float) -> None:
        """Let a super-alarm grow again, open or closed before."""
        episode.newest_at = max(episode.newest_at, at)
        self._open[episode.serial] = episode
        self._open.move_to_end(episode.serial)
        if episode.part >= 0:
            self._by_part[episode.part] = episode

    def opened(self, group: str, part: int, at: float, newest_at: float) -> Episode:
        """Open a super-alarm; what comes next in its part belongs to it."""
        episode = Episode(
            serial=next(self._serials),
            group_id=group,
            opened_at=at,
            newest_at=newest_at,
            part=part,
        )
        self._open[episode.serial] = episode
        if part >= 0:
            self._by_part[part] = episode
        return episode

    def take(self, group: str, alerts: Sequence[Alert]) -> Episode:
        """Open a super-alarm with alerts that were grouped elsewhere, in order of time."""
        numbers = [self._kinship.number(alert.entity) for alert in alerts]
        parts = [self._kinship.part(number) for number in numbers]
        known = [part for part in parts if not self._kinship.stands_alone(part)]
        # What most are about; of equals the first.
        part = max(known, key=known.count) if known else -1
        episode = self.opened(group, part, alerts[0].at, alerts[-1].at)
        for alert, number in zip(alerts, numbers, strict=True):
            self._by_entity[number] = episode.serial
            if alert.holds:
                self._hold(episode, alert)
        return episode

    def _found(self, alert: Alert, number: int, at: float) -> tuple[Episode, Reason] | None:
        """Return the open super-alarm that an alert belongs to, and why, or None."""
        part = self._kinship.part(number)
        if alert.holds:
            held = self._held(alert, number)
            if held is not None:
                return held
        if self._kinship.stands_alone(part):
            return self._by_company(number, at)
        return self._by_relation(alert, part, at)

    def _home(self, number: int) -> int:
        """Return the part of an entity: its own, that of its company, or -1."""
        part = self._kinship.part(number)
        if not self._kinship.stands_alone(part):
            return part
        company = self._kinship.company_of(number)
        return -1 if company is None else company

    def _held(self, alert: Alert, number: int) -> tuple[Episode, Reason] | None:
        """Return the super-alarm that holds open what an alert names."""
        mine = self._by_name.get(number)
        if mine is not None:
            return mine, Reason.ENTITY
        for name in alert.related:
            mine = self._by_name.get(self._kinship.number(name))
            if mine is not None:
                return mine, Reason.RELATED
        return None

    def _by_relation(self, alert: Alert, part: int, at: float) -> tuple[Episode, Reason] | None:
        mine = self._by_part.get(part)
        if mine is not None and self._is_recent(mine, at):
            return mine, Reason.RELATED
        near = self._near(alert, part, at)
        if near is not None:
            return near, Reason.NEAR
        newest = next(reversed(self._open.values())) if self._open else None
        if newest is not None and newest.part < 0 and self._is_recent(newest, at):
            newest.part = part
            self._by_part[part] = newest
            return newest, Reason.TIME
        return None

    def _near(self, alert: Alert, part: int, at: float) -> Episode | None:
        """Return a super-alarm of what is near an alert, or one that may be about its part."""
        for name in alert.near:
            number = self._kinship.number(name)
            part_of_it = self._by_part.get(self._kinship.part(number))
            for found in (self._by_name.get(number), part_of_it, self._by_near.get(number)):
                if found is not None and self._is_recent(found, at):
                    return found
        if alert.near:
            return None
        for number in map(self._kinship.number, (alert.entity, *alert.related)):
            found = self._by_near.get(number)
            if found is not None and self._is_recent(found, at):
                # It is about this part: what it was first taken for is free again.
                if self._by_part.get(found.part) is found:
                    del self._by_part[found.part]
                found.part = part
                self._by_part[part] = found
                return found
        return None

    def _by_company(self, number: int, at: float) -> tuple[Episode, Reason] | None:
        """Place an alert of which no relation is known."""
        if len(self._by_part) == 1:
            (only,) = self._by_part.values()
            self._kinship.keeps_company(number, only.part, only.serial)
        company = self._kinship.company_of(number)
        if company is not None:
            found = self._by_part.get(company)
            if found is not None and self._is_recent(found, at):
                return found, Reason.COMPANY
            return None
        mine = self._open.get(self._by_entity.get(number, -1))
        if mine is not None and (mine.part < 0 or self._by_part.get(mine.part) is mine):
            return mine, Reason.ENTITY
        newest = next(reversed(self._open.values())) if self._open else None
        if newest is not None and self._is_recent(newest, at):
            return newest, Reason.TIME
        return None

    def _is_recent(self, episode: Episode, at: float) -> bool:
        return not episode.names or at - episode.newest_at <= self._gap_seconds

    def _hold(self, episode: Episode, alert: Alert) -> None:
        """Note what an alert holds: its super-alarm stays open for that."""
        number = self._kinship.number(alert.entity)
        for one in map(self._kinship.number, alert.holds):
            if one == number or self._kinship.part(one) == episode.part:
                episode.names.add(one)
                self._by_name.setdefault(one, episode)
        if alert.near:
            for one in map(self._kinship.number, alert.near):
                episode.near.add(one)
                self._by_near.setdefault(one, episode)
        elif self._kinship.part(number) == episode.part:
            # What it is about is settled, so what is near is not it.
            self._forget_near(episode)

    def _forget(self, episode: Episode) -> None:
        for name in episode.names:
            if self._by_name.get(name) is episode:
                del self._by_name[name]
        self._forget_near(episode)

    def _forget_near(self, episode: Episode) -> None:
        for name in episode.near:
            if self._by_near.get(name) is episode:
                del self._by_near[name]
        episode.near.clear()

    def _united(self, kept: int, gone: int) -> list[tuple[Episode, Episode]]:
        """Let the super-alarms of two parts that became one become one."""
        other = self._by_part.pop(gone, None)
        one = self._by_part.get(kept)
        if other is None:
            return []
        other.part = kept
        if one is None:
            self._by_part[kept] = other
            return []
        older, younger = sorted((one, other), key=lambda e: (e.opened_at, e.serial))
        spare = younger.unusual.stretch if younger.unusual is not None else None
        self.unite(older, younger)
        self._by_part[kept] = older
        if spare is not None and older.unusual is not None and older.unusual.stretch is not spare:
            self.resume(spare)
        self._open.move_to_end(older.serial)
        return [(older, younger)]


def group_id(alert: Alert) -> str:
    """Return the id of the super-alarm that an alert opens."""
    return "SA-" + documents.letters(alert.alert_id, _ID_LETTERS)
