"""Which entities belong together: learned from what alerts name, from topology, from company.

Entities that alerts name together, or that a topology joins, stand in one part of the system
(a union-find forest, Tarjan 1975). Two entities are *known* to be apart only when both stand in
parts of several entities; one that nothing was ever said about may belong anywhere. Such an
entity is assigned by the company it keeps: the part that was alarmed alone when it fired.
"""

from __future__ import annotations

from collections.abc import Iterable

COMPANY_LEAST = 3
"""Episodes with a single alarmed part before an entity is assigned to it,"""
COMPANY_RATIO = 4
"""And that many times as often as any other part."""


class Kinship:
    """Learns parts of the system. Memory grows with entities, up to `entities_most`."""

    def __init__(self, *, entities_most: int = 2_000_000) -> None:
        self._entities_most = entities_most
        self._number: dict[str, int] = {}
        self._parent: list[int] = []
        self._size: list[int] = []
        self._company: dict[int, dict[int, int]] = {}
        self._counted: dict[int, int] = {}
        self._known: set[int] = set()

    def number(self, entity: str) -> int:
        """Return an entity's number; past the limit all new entities share one."""
        found = self._number.get(entity)
        if found is None:
            if len(self._parent) >= self._entities_most:
                return 0
            found = self._number[entity] = len(self._parent)
            self._parent.append(found)
            self._size.append(1)
        return found

    def part(self, number: int) -> int:
        """Return the number that stands for an entity's part of the system."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = number = parent[parent[number]]
        return number

    def stands_alone(self, part: int) -> bool:
        """Return whether nothing is known to be related to the one entity of a part."""
        return self._size[part] == 1 and part not in self._known

    def know(self, number: int) -> None:
        """Note that an entity is related to nothing but what is told of it."""
        self._known.add(number)

    def join(self, one: int, other: int) -> tuple[int, int] | None:
        """Relate two entities; return the part that stays and the one that went, if two."""
        kept, gone = self.part(one), self.part(other)
        if kept == gone:
            return None
        if self._size[kept] < self._size[gone]:
            kept, gone = gone, kept
        self._parent[gone] = kept
        self._size[kept] += self._size[gone]
        return kept, gone

    def relate(self, edges: Iterable[tuple[str, str]]) -> None:
        """Learn a topology."""
        for one, other in edges:
            self.join(self.number(one), self.number(other))

    def keeps_company(self, number: int, part: int, episode: int) -> None:
        """Note that an entity fired while only this part was alarmed; once an episode."""
        if self._counted.get(number) == episode:
            return
        self._counted[number] = episode
        company = self._company.setdefault(number, {})
        company[part] = company.get(part, 0) + 1

    def company_of(self, number: int) -> int | None:
        """Return the part that an entity of unknown relations has been alarmed with, if clear."""
        company = self._company.get(number)
        if not company:
            return None
        totals: dict[int, int] = {}
        for part, count in company.items():
            now = self.part(part)
            totals[now] = totals.get(now, 0) + count
        ranked = sorted(totals.values(), reverse=True)
        second = ranked[1] if len(ranked) > 1 else 0
        if ranked[0] < COMPANY_LEAST or ranked[0] < COMPANY_RATIO * second:
            return None
        return next(part for part, count in totals.items() if count == ranked[0])
