"""A task on a pool: how many nodes, how long, how much, or why not."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.model.fleet import Cluster, Pool
from engine.model.identifiers import MicroDollars
from engine.model.plans import Refusal
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resources
from engine.model.specs import PipelineSpec, TaskSpec
from placement.problem.instance import COUNTED, MILLISECONDS, Amounts, Frame, Option, Span
from placement.problem.interruptions import (
    MOST_TRIES,
    expected_seconds,
    expected_tries,
    lasting,
)
from placement.problem.kinds import kind_key
from placement.problem.limits import Candidate, Service, refusals
from placement.problem.needs import Need, Slot, need_of

NODE_AVAILABILITY = 0.999
"""Share of time in which one node of a cluster that answers does so too. The fleet has figures
for clusters only; this one stands for a cloud's promise for a single machine, rounded down."""

MOST_REPLICAS_ADDED = 3
"""Up to so many nodes are taken to reach the availability asked for."""

HOUR_SECONDS = 3600.0
HOURS_PER_DAY = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One task with everything that does not depend on where it runs.

    moved_from: as of a job.
    """

    pipeline: PipelineSpec
    task: TaskSpec
    profile: Profile
    level: float
    probability: float
    moved_from: str = ""

    def move(self, cluster: Cluster, pool: Pool) -> int:
        """Return what it costs to stand there rather than where the last plan had the task."""
        stays = self.moved_from in {"", f"{cluster.name}/{pool.name}"}
        return 0 if stays else self.pipeline.limits.move_micro_dollars or 0

    @property
    def serves(self) -> bool:
        """Whether the task runs until it is replaced."""
        return self.profile.duration_seconds is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """A kind of task on a pool: all of an option that does not depend on how long a run takes.

    nodes: how many nodes' worth of money it is, by its dominant share. calendar: of a service.
    """

    candidate: Candidate
    index: int
    nodes: float
    speed: float
    slots: tuple[Amounts, ...]
    calendar: tuple[Span, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Tasks alike: where they may run, and the limits that rule out the other pools.

    fleeting: with their candidates, the pools of which machines may be taken away from a run: there
    it matters how long the run is, which tasks alike differ by.
    """

    footings: tuple[Footing, ...]
    refused: Mapping[int, tuple[Refusal, ...]]
    fleeting: tuple[tuple[int, Candidate], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run of one task at one speed, where it is cut off so often.

    hours: that it holds machines on average. again: whether it may have to begin again.
    """

    duration: Quantiles
    duration_ms: int
    hours: float
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What a task takes of a pool, and of each node, with the most of any time."""

    spans: tuple[Span, ...]
    node_spans: tuple[Span, ...]
    peak: Amounts
    node_peak: Amounts


Kinds = dict[Hashable, Kind]
"""What was found out about tasks so far; of one problem under the same terms."""


def options_of(
    asked: Asked,
    frame: Frame,
    pools: Sequence[tuple[Cluster, Pool]],
    quotas: Mapping[int, int],
    kinds: Kinds | None = None,
) -> tuple[tuple[Option, ...], Mapping[int, tuple[Refusal, ...]]]:
    """Return the pools that may run a task, cheapest first, and the limits that rule out others.

    quotas: for a pool the bucket of the owner's quota in its cluster. kinds: tasks that are alike
    but for how long they run are looked at once; written to.
    """
    if kinds is None:
        kind = _kind(asked, frame, pools)
    else:
        key = kind_key(asked.pipeline, asked.task, asked.profile)
        if key not in kinds:
            kinds[key] = _kind(asked, frame, pools)
        kind = kinds[key]
    lost = _lost(asked, kind)
    make = _Options(asked, frame)
    options = [
        make.option(footing, (footing.index, quotas[footing.index]))
        if footing.index in quotas
        else make.option(footing, (footing.index,))
        for footing in kind.footings
        if footing.index not in lost
    ]
    options.sort(key=lambda o: (o.objective, o.duration_ms, o.pool_index))
    refused = dict(sorted({**kind.refused, **lost}.items())) if lost else kind.refused
    return tuple(options), refused


def _lost(asked: Asked, kind: Kind) -> dict[int, tuple[Refusal, ...]]:
    """Return the pools whose machines are taken away too often for a run as long as the task's."""
    found: dict[int, tuple[Refusal, ...]] = {}
    duration = asked.profile.duration_seconds
    if duration is None:
        return found
    for index, c in kind.fleeting:
        seconds = duration.mean / c.pool.speed_of(c.per_node.gpu_count)
        tries = expected_tries(seconds, c.pool.interruptions_per_hour * c.node_count)
        if tries > MOST_TRIES:
            found[index] = refusals(replace(c, tries=tries))
    return found


def _kind(asked: Asked, frame: Frame, pools: Sequence[tuple[Cluster, Pool]]) -> Kind:
    need = need_of(asked.task, asked.profile)
    footings: list[Footing] = []
    refused: dict[int, tuple[Refusal, ...]] = {}
    fleeting: list[tuple[int, Candidate]] = []
    same: dict[tuple[Amounts, ...], tuple[tuple[Amounts, ...], tuple[Span, ...]]] = {}
    for index, (cluster, pool) in enumerate(pools):
        candidate = _candidate(asked, need, cluster, pool)
        if pool.interruptions_per_hour > 0 and not asked.serves:
            fleeting.append((index, candidate))
        if found := refusals(candidate):
            refused[index] = found
            continue
        shares = frame.share(index)
        slots = tuple(_amounts(slot, shares, candidate) for slot in need.slots)
        if slots not in same:
            same[slots] = (slots, _calendar(slots, frame) if asked.serves else ())
        slots, calendar = same[slots]
        footings.append(
            Footing(
                candidate=candidate,
                index=index,
                nodes=dominant_share(candidate.per_node, pool) * candidate.node_count,
                speed=pool.speed_of(candidate.per_node.gpu_count),
                slots=slots,
                calendar=calendar,
            )
        )
    return Kind(footings=tuple(footings), refused=refused, fleeting=tuple(fleeting))


def dominant_share(held: Resources, pool: Pool) -> float:
    """Return the largest share of a node that is held, at most 1."""
    node = pool.shape.resources
    shares = [held.of(r) / node.of(r) for r in COUNTED if node.of(r) > 0]
    return min(max(shares, default=0.0), 1.0)


def availability(cluster: Cluster, node_count: int) -> float:
    """Return the share of time in which the cluster and one of the nodes answer."""
    return cluster.availability * (1.0 - (1.0 - NODE_AVAILABILITY) ** node_count)


def _candidate(asked: Asked, need: Need, cluster: Cluster, pool: Pool) -> Candidate:
    node_count = _node_count(asked, need, cluster, pool)
    service = None
    if asked.serves:
        gpus = need.per_node(node_count).gpu_count
        answer_ms = (asked.profile.service_ms_p99 or 0.0) / pool.speed_of(gpus)
        service = Service(
            latency_ms=cluster.latency_ms + answer_ms,
            availability=availability(cluster, node_count),
        )
    return Candidate(
        pipeline=asked.pipeline,
        task=asked.task,
        need=need,
        cluster=cluster,
        pool=pool,
        node_count=node_count,
        per_node=need.per_node(node_count),
        service=service,
    )


def _node_count(asked: Asked, need: Need, cluster: Cluster, pool: Pool) -> int:
    """Return the fewest nodes that hold the task and are available enough, if any are."""
    wanted = asked.task.serving.availability if asked.serves and asked.task.serving else None
    most = need.replicas if wanted is None else max(need.replicas, MOST_REPLICAS_ADDED)
    node = pool.shape.resources
    fitting = 0
    for count in range(1, most + 1):
        held = need.per_node(count)
        if any(held.of(r) > node.of(r) for r in COUNTED):
            continue
        fitting = fitting or count
        if wanted is None or availability(cluster, count) >= wanted:
            return count
    return fitting or need.replicas


class _Options:
    """Makes the options of one task; what several of them share is made once."""

    def __init__(self, asked: Asked, frame: Frame) -> None:
        self._asked = asked
        self._frame = frame
        self._runs: dict[tuple[float, float], _Run] = {}
        self._spans: dict[Hashable, _Taken] = {}

    def option(self, footing: Footing, buckets: tuple[int, ...]) -> Option:
        """Return the task on one pool."""
        c = footing.candidate
        per_hour = c.pool.price_micro_dollars_per_hour * footing.nodes
        if self._asked.profile.duration_seconds is None:
            cost = cost_p95 = MicroDollars(round(per_hour))
            objective = MicroDollars(cost * self._frame.serving_hours)
            duration_there, duration_ms, again = None, 0, False
        else:
            run = self._run(self._asked.profile.duration_seconds, footing)
            duration_there, duration_ms, again = run.duration, run.duration_ms, run.again
            objective = cost = MicroDollars(round(per_hour * run.hours * self._asked.probability))
            cost_p95 = MicroDollars(round(per_hour * run.duration.p95 / HOUR_SECONDS))
        taken = self._taken(footing, duration_ms, again=again)
        return Option(
            pool_index=buckets[0],
            cluster=c.cluster,
            pool=c.pool,
            buckets=buckets,
            node_count=c.node_count,
            held=c.per_node,
            duration_ms=duration_ms,
            duration=duration_there,
            spans=taken.spans,
            node_spans=taken.node_spans,
            peak=taken.peak,
            node_peak=taken.node_peak,
            cost=cost,
            cost_p95=cost_p95,
            objective=MicroDollars(objective + self._asked.move(c.cluster, c.pool)),
            latency_ms=c.service.latency_ms if c.service else None,
            availability=c.service.availability if c.service else None,
        )

    def _run(self, duration: Quantiles, footing: Footing) -> _Run:
        c, speed = footing.candidate, footing.speed
        risk = c.pool.interruptions_per_hour * c.node_count
        if (speed, risk) not in self._runs:
            once = duration.times(1.0 / speed)
            there = lasting(once, risk)
            level = self._asked.level
            self._runs[speed, risk] = _Run(
                duration=there,
                duration_ms=max(math.ceil(there.at(level) * MILLISECONDS), 1),
                hours=expected_seconds(once.mean, risk) / HOUR_SECONDS,
                again=there is not once,
            )
        return self._runs[speed, risk]

    def _taken(self, footing: Footing, duration_ms: int, *, again: bool) -> _Taken:
        """Return what is taken of the pool over time, and of each node."""
        c = footing.candidate
        key = (footing.slots, duration_ms, footing.speed, c.node_count, again)
        if key not in self._spans:
            spans = footing.calendar
            if not self._asked.serves:
                seconds = self._asked.profile.slot_seconds
                slot_ms = max(round(seconds * MILLISECONDS / footing.speed), 1)
                # Where it may begin again, nobody knows which slot of its run it is in.
                slots = [_most(footing.slots)] if again else footing.slots
                spans = _from_start(slots, slot_ms, duration_ms)
            node_spans = _of_one_node(spans, c)
            self._spans[key] = _Taken(
                spans=spans,
                node_spans=node_spans,
                peak=_peak(spans),
                node_peak=_peak(node_spans),
            )
        return self._spans[key]


def _amounts(slot: Slot, shares: tuple[float, ...], c: Candidate) -> Amounts:
    """Return the thousandths a slot takes of the pool, never more than its nodes have."""
    # Replicas are whole, so that nodes may hold more than the sum that was asked for.
    factor = math.ceil(c.need.replicas / c.node_count) * c.node_count / c.need.replicas
    node = c.pool.shape.resources
    most = [node.of(resource) * c.node_count / factor for resource in COUNTED]
    return tuple(
        math.ceil(value * factor * MILLISECONDS - 1e-6) for value in slot.between(shares, most)
    )


def _most(slots: Sequence[Amounts]) -> Amounts:
    return tuple(max(values) for values in zip(*slots, strict=True))


def _of_one_node(spans: tuple[Span, ...], c: Candidate) -> tuple[Span, ...]:
    if c.node_count == 1:
        return spans
    return tuple(
        Span(
            start_ms=span.start_ms,
            end_ms=span.end_ms,
            amounts=tuple(-(-amount // c.node_count) for amount in span.amounts),
        )
        for span in spans
    )


def _peak(spans: Sequence[Span]) -> Amounts:
    return _most([span.amounts for span in spans])


def _from_start(slots: Sequence[Amounts], slot_ms: int, duration_ms: int) -> tuple[Span, ...]:
    """Return the spans of a run; the last slot lasts to its end."""
    spans: list[Span] = []
    for index, amounts in enumerate(slots):
        start = index * slot_ms
        end = duration_ms if index == len(slots) - 1 else min(start + slot_ms, duration_ms)
        if start < end:
            spans.append(Span(start_ms=start, end_ms=end, amounts=amounts))
    return merged(spans)


def _calendar(slots: Sequence[Amounts], frame: Frame) -> tuple[Span, ...]:
    """Return the spans of a serve task by hour of the day in UTC.

    It holds to the end of the time in which services are looked at: past the horizon too, so that
    one that starts late still meets every hour of the day.
    """
    hour_ms = round(HOUR_SECONDS * MILLISECONDS)
    day = [slots[hour % len(slots)] for hour in range(HOURS_PER_DAY)]
    spans: list[Span] = []
    start = 0
    while start < frame.serving_end_ms:
        since_midnight = round((frame.as_of % 86_400) * MILLISECONDS) + start
        end = min(start + hour_ms - since_midnight % hour_ms, frame.serving_end_ms)
        amounts = day[since_midnight // hour_ms % HOURS_PER_DAY]
        spans.append(Span(start_ms=start, end_ms=end, amounts=amounts))
        start = end
    return merged(spans)


def merged(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Join neighbours of equal need."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].amounts == span.amounts:
            start = joined.pop().start_ms
            joined.append(Span(start_ms=start, end_ms=span.end_ms, amounts=span.amounts))
        else:
            joined.append(span)
    return tuple(joined)
