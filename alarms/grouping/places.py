"""Open super-alarms by the part of the system they alarm: which one an alert belongs to."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from alarms.grouping.alert import Alert
from alarms.grouping.episodes import Episode, Reason
from alarms.grouping.kinship import Kinship
from engine.model import documents

_ID_LETTERS = 10
_ENTITIES_MOST = 1_000_000


class Places:
    """Knows every open super-alarm, at most one growing in each part of the system."""

    def __init__(self, topology: Iterable[tuple[str, str]] = ()) -> None:
        self._kinship = Kinship()
        self._kinship.relate(topology)
        self._serials = itertools.count()
        self._open: OrderedDict[int, Episode] = OrderedDict()  # by serial, the quietest first
        self._by_part: dict[int, Episode] = {}
        self._by_entity: OrderedDict[int, int] = OrderedDict()  # of unknown part: the last serial

    @property
    def open(self) -> Sequence[Episode]:
        """Open super-alarms, the one that was quiet longest first."""
        return tuple(self._open.values())

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
        merged: list[tuple[Episode, Episode]] = []
        for name in alert.related:
            joined = self._kinship.join(number, self._kinship.number(name))
            if joined is not None:
                merged += self._united(*joined)
        return number, merged

    def place(self, alert: Alert, number: int, at: float) -> tuple[Episode, Reason]:
        """Return the super-alarm that an alert joins or opens, and why."""
        part = self._kinship.part(number)
        if self._kinship.stands_alone(part):
            episode, reason = self._by_company(alert, number, at)
            self._by_entity[number] = episode.serial
            self._by_entity.move_to_end(number)
            if len(self._by_entity) > _ENTITIES_MOST:
                self._by_entity.popitem(last=False)
        else:
            episode, reason = self._by_relation(alert, part, at)
        episode.opened_at = min(episode.opened_at, at)
        episode.newest_at = max(episode.newest_at, at)
        self._open.move_to_end(episode.serial)
        return episode, reason

    def succeed(self, episode: Episode) -> Episode:
        """Open a super-alarm for the run of another; what comes next belongs to it."""
        return self._opened(episode.run[0], episode.part, episode.run_since, episode.newest_at)

    def close_quiet(self, before: float) -> Iterator[Episode]:
        """Close and yield what has been quiet since before a time."""
        while self._open:
            episode = next(iter(self._open.values()))
            if episode.newest_at >= before:
                return
            del self._open[episode.serial]
            if self._by_part.get(episode.part) is episode:
                del self._by_part[episode.part]
            yield episode

    def _by_relation(self, alert: Alert, part: int, at: float) -> tuple[Episode, Reason]:
        mine = self._by_part.get(part)
        if mine is not None:
            return mine, Reason.RELATED
        newest = next(reversed(self._open.values())) if self._open else None
        if newest is not None and newest.part < 0:
            newest.part = part
            self._by_part[part] = newest
            return newest, Reason.TIME
        return self._opened(alert, part, at, at), Reason.FIRST

    def _by_company(self, alert: Alert, number: int, at: float) -> tuple[Episode, Reason]:
        """Place an alert of which no relation is known."""
        if len(self._by_part) == 1:
            (only,) = self._by_part.values()
            self._kinship.keeps_company(number, only.part, only.serial)
        company = self._kinship.company_of(number)
        if company is not None:
            found = self._by_part.get(company)
            if found is not None:
                return found, Reason.COMPANY
            return self._opened(alert, company, at, at), Reason.FIRST
        mine = self._open.get(self._by_entity.get(number, -1))
        if mine is not None and (mine.part < 0 or self._by_part.get(mine.part) is mine):
            return mine, Reason.ENTITY
        if self._open:
            return next(reversed(self._open.values())), Reason.TIME
        return self._opened(alert, -1, at, at), Reason.FIRST

    def _opened(self, alert: Alert, part: int, at: float, newest_at: float) -> Episode:
        episode = Episode(
            serial=next(self._serials),
            group_id=group_id(alert),
            opened_at=at,
            newest_at=newest_at,
            part=part,
        )
        self._open[episode.serial] = episode
        if part >= 0:
            self._by_part[part] = episode
        return episode

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
        self._by_part[kept] = older
        older.newest_at = max(older.newest_at, younger.newest_at)
        for reason, count in younger.because.items():
            older.count(reason, count)
        del self._open[younger.serial]
        self._open.move_to_end(older.serial)
        return [(older, younger)]


def group_id(alert: Alert) -> str:
    """Return the id of the super-alarm that an alert opens."""
    return "SA-" + documents.letters(alert.alert_id, _ID_LETTERS)
