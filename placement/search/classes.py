"""Jobs in classes for the assignment engine: who is alike, what a unit costs and takes.

A unit of a class is the work of its average job, so that jobs of one class may differ in how long
they run. What a unit takes of a pool is resource times time, within windows that begin at `as_of`:
a job that must end by the end of a window takes all of its work there, one that may end later only
what cannot come after. No start is decided, so that the least cost of units bounds every plan.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from placement.problem.instance import COUNTED, Instance, Job, Option

MOST_CLASSES = 300
WINDOWS = 4
FINEST = 1.12
"""How much longer the longest run of a class may be than the shortest, before classes are many."""

COARSENINGS = 12
PARTS = 16
"""Parts of a unit that are counted, so that whole numbers of them lose little."""

Integers = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classes:
    """An instance in classes.

    members: the jobs of each class. work: of each of them, in milliseconds or 1 for a service.
    pools: by class and pool whether jobs may stand there. cost, takes: of an average job; shapes
    (classes, pools) and (classes, pools, rows), rows being resources of windows, those of the time
    in which all services stand last. capacity: (pools, rows). weight: of a whole class.
    """

    members: tuple[tuple[int, ...], ...]
    work: tuple[Numbers, ...]
    pools: npt.NDArray[np.bool_]
    cost: Numbers
    takes: Numbers
    capacity: Numbers
    weight: Numbers


def classes_of(instance: Instance) -> Classes:
    """Return the jobs that may stand anywhere in at most `MOST_CLASSES` classes."""
    jobs = [job for job in instance.jobs if job.options]
    groups = _groups(jobs)
    windows = _windows(instance, jobs)
    count, rows = len(instance.pools), (len(windows)) * len(COUNTED)
    members = tuple(tuple(job.index for job in group) for group in groups)
    pools = np.zeros((len(groups), count), dtype=bool)
    cost = np.zeros((len(groups), count))
    takes = np.zeros((len(groups), count, rows))
    weight = np.zeros(len(groups))
    works: list[Numbers] = []
    for number, group in enumerate(groups):
        work = np.array([_work(job) for job in group])
        works.append(work)
        average = float(work.mean())
        weight[number] = sum(_weight(instance, job) for job in group)
        least = np.full((count, rows + 1), np.inf)
        for job, own in zip(group, work, strict=True):
            at = [option.pool_index for option in job.options]
            pools[number, at] = True
            # The least by work of any member, so that no member has less.
            least[at] = np.minimum(least[at], _asked(job, windows) / own)
        there = np.where(np.isfinite(least), least, 0.0) * average
        cost[number], takes[number] = there[:, 0], there[:, 1:]
    return Classes(
        members=members,
        work=tuple(works),
        pools=pools,
        cost=cost,
        takes=takes,
        capacity=_capacity(instance, windows),
        weight=weight,
    )


def _work(job: Job) -> float:
    """Return how long a job runs where it runs longest; services count alike."""
    return float(max(option.duration_ms for option in job.options)) if not job.serve else 1.0


def _weight(instance: Instance, job: Job) -> float:
    """Return a job's part of the weight of its pipeline; one that is placed whole shares it."""
    if not instance.whole:
        return float(job.weight)
    jobs = instance.lines[job.line].jobs
    return sum(instance.jobs[index].weight for index in jobs) / len(jobs)


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Return jobs alike together; the more there are, the less alike."""
    factor = FINEST
    groups: dict[object, list[Job]] = {}
    for step in range(COARSENINGS):
        groups = {}
        for job in jobs:
            groups.setdefault(_key(job, factor, rough=step == COARSENINGS - 1), []).append(job)
        if len(groups) <= MOST_CLASSES:
            break
        factor = factor**1.5
    return list(groups.values())


def _key(job: Job, factor: float, *, rough: bool) -> object:
    """Return the same for jobs alike: where they may stand, what they take, for how long."""
    where = tuple(sorted(option.pool_index for option in job.options))
    if rough:
        return (where, job.serve, job.weight)
    needs = job.options[0].spans[0].amounts
    runs = 0 if job.serve else round(math.log(_work(job), factor))
    ends = round(math.log(max(job.latest_ms - job.tail_ms, 1), factor))
    return (where, job.serve, job.weight, needs, runs, ends)


def _windows(instance: Instance, jobs: Sequence[Job]) -> list[tuple[int, int]]:
    """Return stretches of time: from the start to some deadlines, and that of all services."""
    ends = sorted(job.latest_ms - job.tail_ms for job in jobs if not job.serve)
    places = [round(k * (len(ends) - 1) / WINDOWS) for k in range(1, WINDOWS + 1)] if ends else []
    until = sorted({ends[place] for place in places if ends[place] > 0})
    served = instance.frame.serving_end_ms - instance.frame.horizon_ms
    return [*((0, end) for end in until), (served, instance.frame.serving_end_ms)]


def _asked(job: Job, windows: Sequence[tuple[int, int]]) -> Numbers:
    """Return by option of a job its money, then what it takes of each window."""
    # Most options differ in their price only.
    kinds: dict[tuple[int, int], int] = {}
    rows: list[list[float]] = []
    which: list[int] = []
    for option in job.options:
        kind = (id(option.spans), option.duration_ms)
        if kind not in kinds:
            kinds[kind] = len(rows)
            rows.append(_taken(job, option, windows))
        which.append(kinds[kind])
    money = np.array([option.objective for option in job.options], dtype=float)
    return np.column_stack([money, np.array(rows)[which]])


def _taken(job: Job, option: Option, windows: Sequence[tuple[int, int]]) -> list[float]:
    """Return what a job takes of each resource in each window at least, times milliseconds."""
    rows: list[float] = []
    for first, after in windows:
        if job.serve:
            spans = option.spans if first >= job.latest_ms else ()
            parts = [
                (min(s.end_ms, after) - max(s.start_ms, first), s.amounts)
                for s in spans
                if s.end_ms > first and s.start_ms < after
            ]
        else:
            # What may come after the window does; the rest of the run lies in it.
            latest = job.latest_ms - job.tail_ms - option.duration_ms
            inside = min(max(after - latest, 0), option.duration_ms) if first == 0 else 0
            parts = [(max(min(s.end_ms, inside) - s.start_ms, 0), s.amounts) for s in option.spans]
        rows.extend(
            float(sum(length * amounts[r] for length, amounts in parts))
            for r in range(len(COUNTED))
        )
    return rows


def _capacity(instance: Instance, windows: Sequence[tuple[int, int]]) -> Numbers:
    """Return what each pool has in each window beside what others hold."""
    found = []
    for bucket in instance.buckets[: len(instance.pools)]:
        row: list[int] = []
        for first, after in windows:
            held = [
                (min(s.end_ms, after) - max(s.start_ms, first), s.amounts)
                for s in bucket.base
                if s.end_ms > first and s.start_ms < after
            ]
            row.extend(
                max(most * (after - first) - sum(length * a[r] for length, a in held), 0)
                for r, most in enumerate(bucket.capacity)
            )
        found.append(row)
    return np.array(found, dtype=float)
