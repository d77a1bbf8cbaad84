"""Many attempts started at once, by as many requests at a time as each cluster is given.

No cluster waits for another: what one does not answer in a while is left to go on behind, and what
came of it is told by a later call. Attempts whose start met a conflict pause, each for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from engine.model.dispatches import AttemptOrder
from engine.model.errors import BerthError
from engine.model.identifiers import AttemptId
from executors.kubernetes.clusters import ClusterLink, KubernetesClusters
from executors.kubernetes.patience import Patience

AT_ONCE_MAX = 256
"""Attempts of a cluster started by one call; the rest comes with the next one."""
WAIT_SECONDS = 4.0
"""How long a call waits for answers: healthy clusters give so many well within it."""

Told = dict[AttemptId, BerthError | None]


class Starts:
    """start: starts one attempt; may be called from several threads."""

    def __init__(self, clusters: KubernetesClusters, start: Callable[[AttemptOrder], None]) -> None:
        self._clusters = clusters
        self._start = start
        self._patience = Patience()
        self._workers: dict[str, ThreadPoolExecutor] = {}
        self._late: dict[AttemptId, Future[BerthError | None]] = {}

    def start_all(self, orders: Sequence[AttemptOrder]) -> Mapping[AttemptId, BerthError | None]:
        """Start many attempts; return what went wrong with each, None where nothing did.

        Those not in the answer were not tried, or there is no answer yet.
        """
        told = self._came_late(orders)
        by_cluster: dict[str, list[AttemptOrder]] = {}
        for order in orders:
            waits = order.attempt_id in self._late or not self._patience.allows(order.attempt_id)
            if order.attempt_id not in told and not waits:
                name = self._clusters.entry(order.cluster)
                by_cluster.setdefault(name, []).append(order)
        asked: dict[AttemptId, Future[BerthError | None]] = {}
        for name, wanted in by_cluster.items():
            link = self._clusters.links().get(name)
            workers = self._workers_of(name, link.given.connections if link else 1)
            for order in wanted[: _most(link, len(wanted))]:
                asked[order.attempt_id] = workers.submit(self._tried, order)
        wait(asked.values(), WAIT_SECONDS)
        for attempt, future in asked.items():
            if future.done():
                told[attempt] = future.result()
            else:
                self._late[attempt] = future
        return told

    def close(self) -> None:
        """End the threads, once what was asked for has an answer."""
        for workers in self._workers.values():
            workers.shutdown(cancel_futures=True)

    def _came_late(self, orders: Sequence[AttemptOrder]) -> Told:
        """Return what came of earlier calls meanwhile; forget that of attempts nobody wants."""
        wanted = {order.attempt_id for order in orders}
        over = {attempt: future for attempt, future in self._late.items() if future.done()}
        for attempt in over:
            del self._late[attempt]
        return {attempt: each.result() for attempt, each in over.items() if attempt in wanted}

    def _tried(self, order: AttemptOrder) -> BerthError | None:
        failed: BerthError | None = None
        try:
            self._start(order)
        except BerthError as error:
            failed = error
        self._patience.note(order.attempt_id, failed)
        return failed

    def _workers_of(self, name: str, count: int) -> ThreadPoolExecutor:
        if name not in self._workers:
            self._workers[name] = ThreadPoolExecutor(count, thread_name_prefix=f"start {name}")
        return self._workers[name]


def _most(link: ClusterLink | None, wanted: int) -> int:
    """Return how many of so many attempts a cluster may be asked to start now."""
    api = link.api if link is not None else None
    if link is None or api is None:
        return wanted  # each is told what is wrong with the cluster
    if not api.gate.is_open:
        return 0
    # After a failure one request tries; the others wait for what it learns.
    return api.gate.take(min(wanted, 1 if api.gate.trouble else AT_ONCE_MAX))
