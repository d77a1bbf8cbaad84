"""Chance constraints: how little of a pool is enough for tasks that rarely peak together.

A pool is filled with mean + lambda (quantile - mean) of each task. Lambda 1 is safe whatever the
tasks do. Where pools run short, lambda is set for each pool and resource, by bisection on seeded
joint scenarios of the tasks that want the pool, so that the pool overflows with the probability
allowed. Fresh scenarios verify every plan. Only CPU and network gain: of memory, disk and GPUs
each task holds what it needs at the highest level, because there overflow kills.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.model.profiles import Quantiles
from engine.model.resources import Resource
from placement.multiplexing.shares import least_share, with_margin
from placement.problem.instance import COUNTED, MILLISECONDS, Instance, Job, Option
from placement.problem.needs import OVERFLOW, SOFT, Need, need_of, uses_of
from placement.problem.scenarios import Values, generator, levels, values
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.timeline import Timeline

_HOUR_MS = 3_600_000
_DAY_HOURS = 24
_SMALL = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One resource of a pool at one time: what tasks need there, with their means and highs.

    sampled: the sum over tasks in each scenario; mean and high likewise; has: what there is.
    """

    resource: int
    sampled: Values
    mean: float
    high: float
    has: float

    def overflow(self, has: float) -> float:
        """Return the share of scenarios in which more is needed than there is."""
        return float(np.mean(self.sampled > has + 1e-9))


def leaves_to_chance(instance: Instance) -> bool:
    """Whether any job may need more or less than is held of a resource that tasks share."""
    return bool(_uncertain(instance.jobs))


def overflow(instance: Instance, plan: Draft, seed: int) -> Mapping[int, float]:
    """Return the largest probability with which each pool in use needs more than it has."""
    worst: dict[int, float] = {}
    board = drafts.board_of(instance, plan)
    for pool in sorted({option.pool_index for option in plan.options.values()}):
        for moment in _moments(
            instance,
            plan,
            board.timeline(pool),
            pool,
            generator(seed, "verify", instance.buckets[pool].name),
        ):
            worst[pool] = max(worst.get(pool, 0.0), moment.overflow(moment.has))
    return worst


def shares(instance: Instance, wanted: Draft, seed: int) -> dict[int, tuple[float, ...]]:
    """Return lambda by pool and resource for the tasks that want each pool."""
    found: dict[int, tuple[float, ...]] = {}
    board = drafts.board_of(instance, wanted)
    for pool in sorted({option.pool_index for option in wanted.options.values()}):
        lambdas = [0.0] * len(COUNTED)
        for moment in _moments(
            instance,
            wanted,
            board.timeline(pool),
            pool,
            generator(seed, "lambda", instance.buckets[pool].name),
        ):
            lambdas[moment.resource] = max(lambdas[moment.resource], _bisected(moment))
        # What no task wants more of than the pool has stays at its safe value.
        found[pool] = tuple(value or 1.0 for value in lambdas)
    return found


def _bisected(moment: Moment) -> float:
    """Return the least lambda at which fresh scenarios overflow no more than is allowed."""
    return least_share(
        lambda share: moment.overflow(moment.mean + share * (moment.high - moment.mean)),
        with_margin(OVERFLOW, len(moment.sampled)),
    )


def _moments(
    instance: Instance, plan: Draft, line: Timeline, pool: int, chance: np.random.Generator
) -> Iterator[Moment]:
    """Yield each resource and time at which the high needs together exceed the pool.

    Only resources that any task there leaves to chance: no other can be more than is reserved.
    """
    here = [instance.jobs[j] for j in sorted(plan.options) if plan.options[j].pool_index == pool]
    bucket = instance.buckets[pool]
    uncertain = _uncertain(here)
    if not uncertain:
        return
    parts = _Parts(instance, plan, levels([job.spec.kind.value for job in here], chance))
    for time, _ in line.steps():
        active = [
            (column, job)
            for column, job in enumerate(here)
            if plan.starts[job.index] <= time < _until(instance, plan, job)
        ]
        taken = [s.amounts for s in bucket.base if s.start_ms <= time < s.end_ms]
        for resource in uncertain if active else ():
            has = bucket.capacity[resource] - sum(amounts[resource] for amounts in taken)
            moment = _moment(parts, active, time, resource, has / MILLISECONDS)
            if moment is not None:
                yield moment


def _uncertain(jobs: Sequence[Job]) -> list[int]:
    """Return the resources of which any job leaves something to chance."""
    return [
        index
        for index, resource in enumerate(COUNTED)
        if resource in SOFT and any(_is_uncertain(job, resource) for job in jobs)
    ]


def _is_uncertain(job: Job, resource: Resource) -> bool:
    used = uses_of(job.spec, job.profile)[resource]
    return any(slot.p99 > slot.p50 for slot in used)


def _until(instance: Instance, plan: Draft, job: Job) -> int:
    return instance.end_ms if job.serve else plan.end_ms(job.index)


def _moment(
    of: _Parts, active: Sequence[tuple[int, Job]], time: int, resource: int, has: float
) -> Moment | None:
    """Return what the tasks that run at a time need of a resource together; None if it is there."""
    parts: dict[object, _Part] = {}
    for column, job in active:
        part = of.part(column, job, time, resource)
        # Of the jobs of a seat only one runs; the dearest is reserved for.
        seat = (job.line, job.seat) if job.seat >= 0 else job.index
        if seat not in parts or parts[seat].high < part.high:
            parts[seat] = part
    high = sum(part.high for part in parts.values())
    if high <= has + _SMALL:
        return None
    return Moment(
        resource=resource,
        sampled=np.sum([part.sampled for part in parts.values()], axis=0),
        mean=sum(part.mean for part in parts.values()),
        high=high,
        has=has,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one task contributes to a moment."""

    sampled: Values
    mean: float
    high: float


class _Parts:
    """What tasks on one pool contribute, by resource and slot of their profiles; made once."""

    def __init__(self, instance: Instance, plan: Draft, sampled: Values) -> None:
        self._instance = instance
        self._plan = plan
        self._sampled = sampled
        self._known: dict[tuple[int, int, int], _Part] = {}
        self._needs: dict[int, tuple[Need, Mapping[Resource, tuple[Quantiles, ...]]]] = {}

    def part(self, column: int, job: Job, time: int, resource: int) -> _Part:
        """Return what a task contributes at a time; `column` is that of its levels."""
        option = self._plan.options[job.index]
        if job.index not in self._needs:
            self._needs[job.index] = (
                need_of(job.spec, job.profile),
                uses_of(job.spec, job.profile),
            )
        need, uses = self._needs[job.index]
        slot = min(
            _slot(self._instance, option, job, time, self._plan.starts[job.index]),
            len(need.slots) - 1,
        )
        key = (job.index, resource, slot)
        if key not in self._known:
            used = uses[COUNTED[resource]]
            held = math.ceil(need.replicas / option.node_count) * option.node_count / need.replicas
            most = option.pool.shape.resources.of(COUNTED[resource]) * option.node_count
            at = self._sampled[:, column]
            self._known[key] = _Part(
                sampled=np.minimum(values(used[min(slot, len(used) - 1)], at) * held, most),
                mean=min(need.slots[slot].mean[resource] * held, most),
                high=min(need.slots[slot].high[resource] * held, most),
            )
        return self._known[key]


def _slot(instance: Instance, option: Option, job: Job, time: int, start: int) -> int:
    """Return which slot of its profile a task is in."""
    if job.serve:
        count = max(len(used) for used in uses_of(job.spec, job.profile).values())
        hour = round(instance.as_of * MILLISECONDS + time) // _HOUR_MS % _DAY_HOURS
        return hour % count
    speed = option.pool.speed_of(option.held.gpu_count)
    slot_ms = max(round(job.profile.slot_seconds * MILLISECONDS / speed), 1)
    return (time - start) // slot_ms
