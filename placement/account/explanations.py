"""For every task a verdict on every pool of every cluster, by exact single moves."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from engine.model.identifiers import MicroDollars
from engine.model.plans import (
    Assignment,
    Explanation,
    Limit,
    Refusal,
    Ruling,
    Unplaced,
    Verdict,
    task_key,
)
from engine.model.profiles import Quantiles
from placement.account.affinities import by_pool
from placement.account.break_evens import break_evens
from placement.account.promises import Replay, elsewhere, replay
from placement.account.shortages import shortages
from placement.account.standing import Place, Standing
from placement.account.variants import without_promises
from placement.problem.instance import Instance, Job, Option
from placement.problem.limits import ordered, shortage
from placement.search import moves
from placement.search.draft import Draft

_ORDER = list(Limit)

_CROWDED = (
    Refusal(limit=Limit.AFFINITY, needs="nodes that others leave to it", has="none in time"),
)
"""Every machine has room for somebody, and none for all whose affinities meet there."""


class Explainer:
    """Explains the tasks of one plan one by one.

    The index over the plan is made once; after that a task costs what its own pipeline and the
    pools it may use cost, however large the plan is. shown: by `PIPELINE/TASK`, what is placed;
    seed: of its promises, so that what is said of other pools is seen in the same scenarios.
    """

    def __init__(
        self, instance: Instance, plan: Draft, shown: Mapping[str, Assignment], seed: int
    ) -> None:
        def replayed(line: int) -> Replay:
            return replay(instance, plan, instance.lines[line], seed)

        # Tasks of one pipeline are asked for in a row.
        self._replayed = functools.lru_cache(maxsize=1)(replayed)
        self._instance = instance
        self._standing = Standing(instance, plan)
        self._shown = shown
        self._jobs = {job.key: job for job in instance.jobs}
        self._running = {task_key(a.pipeline, a.task): a for a in instance.fixed}

    def tasks(self) -> tuple[str, ...]:
        """Return every task that needs a place or runs, in the order of the request."""
        keys = (
            task_key(line.spec.name, task.name)
            for line in self._instance.lines
            for task in line.spec.tasks
        )
        return tuple(key for key in keys if key in self._jobs or key in self._running)

    def explain(self, key: str) -> Explanation:
        """Explain one task, by `PIPELINE/TASK`; `KeyError` for one that neither waits nor runs."""
        if key in self._jobs:
            return _of_job(self._standing.place(self._jobs[key]), self._shown, self._replayed)
        return _of_running(self._instance, self._running[key])


def explained(
    instance: Instance, plan: Draft, shown: Mapping[str, Assignment], seed: int
) -> tuple[Explanation, ...]:
    """Explain every task that needs a place or runs, in the order of the request."""
    explainer = Explainer(instance, plan, shown, seed)
    return tuple(explainer.explain(key) for key in explainer.tasks())


def unplaced(job: Job, explanation: Explanation) -> Unplaced:
    """Return a task without a place with what its nearest candidate lacks.

    The nearest is the one that fails latest in the order of limits, then by the least shortage.
    """
    refused = [v.binding for v in explanation.verdicts if v.binding is not None]
    nothing = Refusal(limit=Limit.UNREACHABLE, needs="a cluster", has="an empty fleet")
    nearest = max(refused, key=lambda r: (_ORDER.index(r.limit), -shortage(r)), default=nothing)
    pipeline = explanation.pipeline
    return Unplaced(pipeline=pipeline, task=job.spec.name, refusal=nearest)


class _Times:
    """When one job would start and end elsewhere: looked at once for each speed and start."""

    def __init__(self, instance: Instance, job: Job, replayed: Callable[[int], Replay]) -> None:
        self._instance = instance
        self._job = job
        self._replayed = replayed
        self._known: dict[tuple[Quantiles | None, int], tuple[float, float]] = {}

    def of(self, option: Option, moved: Draft) -> tuple[float, float | None]:
        """Return the start (P50) and the end (P95) with an option; a service has no end."""
        key = (option.duration, moved.starts[self._job.index])
        if key not in self._known:
            seen = self._replayed(self._job.line)
            self._known[key] = elsewhere(self._instance, seen, moved, self._job)
        start, end = self._known[key]
        return start, None if option.duration is None else end


def _of_job(
    place: Place, shown: Mapping[str, Assignment], replayed: Callable[[int], Replay]
) -> Explanation:
    instance, plan, job = place.instance, place.plan, place.job
    times = _Times(instance, job, replayed)
    reached: dict[int, Draft | None] = {}
    verdicts: list[Verdict] = []
    taken = plan.options.get(job.index)
    for index in range(len(instance.pools)):
        option = job.option(index)
        if option is None:
            verdicts.append(_refused(instance, index, _refusals(place, index)))
            continue
        if taken is not None and taken.pool_index == index:
            verdicts.append(_chosen(instance, index, option, shown[job.key]))
            continue
        moved = place.moved(option)
        reached[index] = moved
        if moved is None:
            verdicts.append(_refused(instance, index, shortages(place, option) or _CROWDED))
        else:
            verdicts.append(_possible(place, option, moved, times.of(option, moved)))
    line = instance.lines[job.line]
    return Explanation(
        pipeline=line.spec.name,
        task=job.spec.name,
        verdicts=tuple(verdicts),
        break_evens=break_evens(place, reached),
    )


def _refusals(place: Place, index: int) -> tuple[Refusal, ...]:
    """Return what rules a pool out, the limit that binds first.

    Where no more than a promise to callers is broken, the rest of the plan may lack more still.
    """
    refused = tuple(ordered([*by_pool(place, index), *place.job.refusals[index]]))
    broken = {refusal.limit for refusal in refused}
    if not broken <= {Limit.AVAILABILITY, Limit.LATENCY}:
        return refused
    option = without_promises(
        place.instance,
        place.job,
        index,
        availability=Limit.AVAILABILITY in broken,
        latency=Limit.LATENCY in broken,
    )
    more = () if option is None else shortages(place, option)
    if any(isinstance(refusal.needs, str) for refusal in more):
        return (*more, *refused)  # a task that nothing comes before lacks all of it
    return tuple(ordered([*refused, *more]))


def _of_running(instance: Instance, assignment: Assignment) -> Explanation:
    """Explain a running task: it stays."""
    here = f"{assignment.cluster}/{assignment.pool}"
    verdicts = []
    for cluster, pool in instance.pools:
        chosen = (cluster.name, pool.name) == (assignment.cluster, assignment.pool)
        stays = Refusal(
            limit=Limit.AFFINITY,
            needs=f"to stay on {here}, where it runs",
            has=f"{cluster.name}/{pool.name}",
        )
        verdicts.append(
            Verdict(
                cluster=cluster.name,
                pool=pool.name,
                machine=pool.shape.machine,
                ruling=Ruling.CHOSEN if chosen else Ruling.REFUSED,
                start_seconds=assignment.start_seconds if chosen else None,
                end_seconds_p95=assignment.end_seconds_p95 if chosen else None,
                cost_micro_dollars=assignment.cost_micro_dollars if chosen else None,
                delta_micro_dollars=MicroDollars(0) if chosen else None,
                binding=None if chosen else stays,
            )
        )
    return Explanation(pipeline=assignment.pipeline, task=assignment.task, verdicts=tuple(verdicts))


def _refused(instance: Instance, index: int, refusals: tuple[Refusal, ...]) -> Verdict:
    cluster, pool = instance.pools[index]
    return Verdict(
        cluster=cluster.name,
        pool=pool.name,
        machine=pool.shape.machine,
        ruling=Ruling.REFUSED,
        binding=refusals[0],
        also=refusals[1:],
    )


def _chosen(instance: Instance, index: int, option: Option, shown: Assignment) -> Verdict:
    cluster, pool = instance.pools[index]
    return Verdict(
        cluster=cluster.name,
        pool=pool.name,
        machine=pool.shape.machine,
        ruling=Ruling.CHOSEN,
        start_seconds=shown.start_seconds,
        end_seconds_p95=shown.end_seconds_p95,
        cost_micro_dollars=option.cost,
        delta_micro_dollars=MicroDollars(0),
    )


def _possible(
    place: Place, option: Option, moved: Draft, times: tuple[float, float | None]
) -> Verdict:
    instance, job = place.instance, place.job
    cluster, pool = instance.pools[option.pool_index]
    change = moves.change(instance, place.plan, job, option, moved)
    if job.serve:
        change = round(change / instance.serving_hours)
    return Verdict(
        cluster=cluster.name,
        pool=pool.name,
        machine=pool.shape.machine,
        ruling=Ruling.POSSIBLE,
        start_seconds=times[0],
        end_seconds_p95=times[1],
        cost_micro_dollars=option.cost,
        delta_micro_dollars=MicroDollars(change),
    )
