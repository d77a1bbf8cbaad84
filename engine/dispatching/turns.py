"""Whose turn it is: what one tenant floods the engine with does not hold up another one. Pure.

A tenant is the owner of pipelines. Two things are shared, each by a rule of its own:

- Room. The next waiting task that is gone through is one of the tenant that holds the least, by its
  dominant share of the fleet: the largest of its shares of single resources (Ghodsi et al.,
  "Dominant resource fairness", NSDI 2011).
- Starts. A cluster takes some a second. Of what is intended on it, the next one is of the tenant
  that had the fewest since it began to wait (start-time fair queueing: Goyal, Vin and Cheng,
  SIGCOMM 1996), so that a tenant who comes anew waits for one start of each other at most.

With one tenant nothing changes: the oldest is the first.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from engine.model.dispatches import Attempt
from engine.model.records import Stored

T = TypeVar("T")
_Flow = tuple[str, str]
"""A cluster and a tenant."""


def least_first(items: Mapping[str, Iterable[T]], share: Callable[[str], float]) -> Iterator[T]:
    """Yield the items of all tenants: always the next one of the tenant with the least share.

    items: of each tenant, in their order; tenants in the order that decides between equals.
    share: what a tenant holds now; asked again after each of its items.
    """
    left = {owner: iter(each) for owner, each in items.items()}
    queue = [(share(owner), rank, owner) for rank, owner in enumerate(items)]
    heapq.heapify(queue)
    while queue:
        before, rank, owner = heapq.heappop(queue)
        for item in left[owner]:
            yield item
            now = share(owner)
            if now != before:
                heapq.heappush(queue, (now, rank, owner))
                break


@dataclass(slots=True)
class Turns:
    """How many starts of a cluster each tenant had, for as long as that still counts.

    Only differences count: a tenant that was away comes back with those who had the fewest, and
    saves up nothing.
    """

    _starts: dict[_Flow, int] = field(default_factory=dict)
    _reached: dict[str, int] = field(default_factory=dict)
    """Of each cluster what those had who had the fewest, at its last start."""

    def of(self, cluster: str, owner: str) -> int:
        """Return the number by which a tenant stands in line; the lowest is the next."""
        return max(self._starts.get((cluster, owner), 0), self._reached.get(cluster, 0))

    def count(self, cluster: str, owner: str) -> None:
        """Note a start."""
        had = self.of(cluster, owner)
        self._reached[cluster] = had
        self._starts[cluster, owner] = had + 1

    def forget(self) -> None:
        """Forget what does not count any more, so that this stays as small as those who wait."""
        self._starts = {
            (cluster, owner): had
            for (cluster, owner), had in self._starts.items()
            if had > self._reached[cluster]
        }


@dataclass(slots=True)
class Line:
    """Attempts that wait to be started in one step, in the order of turns.

    Clusters take turns as well, so that what waits for one uses up no other's share of the step.
    """

    turns: Turns
    left: set[str] = field(default_factory=set)
    """Clusters that take no more in this step."""
    _waiting: dict[str, dict[str, deque[Stored[Attempt]]]] = field(default_factory=dict)
    _ahead: Counter[_Flow] = field(default_factory=Counter)
    """Of each tenant on each cluster those that were taken off and not counted as started."""
    _taken: Counter[str] = field(default_factory=Counter)
    _length: int = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._length

    def add(self, stored: Stored[Attempt]) -> None:
        """Take one in, unless its cluster takes no more in this step."""
        attempt = stored.value
        if attempt.cluster not in self.left:
            tenants = self._waiting.setdefault(attempt.cluster, {})
            tenants.setdefault(attempt.owner, deque()).append(stored)
            self._length += 1

    def take(self, most: int) -> list[Stored[Attempt]]:
        """Take off those whose turn it is, as many as are asked for or are there."""
        found: list[Stored[Attempt]] = []
        while self._length and len(found) < most:
            cluster = min(self._waiting, key=lambda name: self._taken[name])
            tenants = self._waiting[cluster]
            owner = min(tenants, key=lambda name: self._stands(cluster, name))
            found.append(tenants[owner].popleft())
            self._length -= 1
            self._taken[cluster] += 1
            self._ahead[cluster, owner] += 1
            if not tenants[owner]:
                del tenants[owner]
            if not tenants:
                del self._waiting[cluster]
        return found

    def started(self, attempt: Attempt) -> None:
        """Count one that was taken off as started."""
        self._ahead[attempt.cluster, attempt.owner] -= 1
        self.turns.count(attempt.cluster, attempt.owner)

    def leave(self, cluster: str) -> None:
        """Let all of a cluster wait for the next step."""
        self.left.add(cluster)
        gone = self._waiting.pop(cluster, {})
        self._length -= sum(len(each) for each in gone.values())

    def clear(self) -> None:
        """Let everything wait for the next step."""
        self._waiting.clear()
        self._length = 0

    def _stands(self, cluster: str, owner: str) -> int:
        return self.turns.of(cluster, owner) + self._ahead[cluster, owner]
