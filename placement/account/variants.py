"""What a job's option on one pool would be if its memory or the pool's price were different."""

from __future__ import annotations

from dataclasses import replace

from engine.model.identifiers import MicroDollars
from engine.model.plans import Limit
from engine.model.specs import TaskSpec
from placement.problem.candidates import Asked, options_of
from placement.problem.instance import Instance, Job, Option

MIB_PER_GIB = 1_024


def with_memory(instance: Instance, job: Job, index: int, memory_mib: int) -> Option | None:
    """Return the option on a pool if the author insisted on so much memory; None where refused."""
    wishes = replace(job.spec.wishes, memory_gib=memory_mib / MIB_PER_GIB)
    return _option(instance, job, index, spec=replace(job.spec, wishes=wishes))


def with_price(instance: Instance, job: Job, index: int, price: int) -> Option | None:
    """Return the option on a pool at another price of a node, in micro-dollars per hour."""
    return _option(instance, job, index, price=price)


def unpriced(instance: Instance, job: Job, index: int) -> int:
    """Return what the option on a pool adds to the objective where machines cost nothing."""
    cluster, pool = instance.pools[index]
    return _asked(instance, job, job.spec).move(cluster, pool)


def without_promises(
    instance: Instance, job: Job, index: int, *, availability: bool, latency: bool
) -> Option | None:
    """Return the option on a pool if the task did not promise what the pool cannot give."""
    serving = job.spec.serving
    if serving is not None:
        serving = replace(
            serving,
            availability=None if availability else serving.availability,
            latency_ms_p99=None if latency else serving.latency_ms_p99,
        )
    return _option(instance, job, index, spec=replace(job.spec, serving=serving))


def _option(
    instance: Instance, job: Job, index: int, *, spec: TaskSpec | None = None, price: int = -1
) -> Option | None:
    cluster, pool = instance.pools[index]
    if any(refusal.limit is Limit.AFFINITY for refusal in job.refusals.get(index, ())):
        return None  # what stands already forbids it, which no change of the task alters
    if price >= 0:
        pool = replace(pool, price_micro_dollars_per_hour=MicroDollars(price))
    quota = instance.quotas.get(instance.lines[job.line].spec.owner, {}).get(index)
    found, _ = options_of(
        _asked(instance, job, job.spec if spec is None else spec),
        replace(instance.frame, shares={0: instance.frame.share(index)}),
        [(cluster, pool)],
        {} if quota is None else {0: quota},
    )
    for option in found:
        return replace(option, pool_index=index, buckets=(index, *option.buckets[1:]))
    return None


def _asked(instance: Instance, job: Job, spec: TaskSpec) -> Asked:
    line = instance.lines[job.line]
    return Asked(
        pipeline=line.spec,
        task=spec,
        profile=job.profile,
        level=line.level,
        probability=job.probability,
        moved_from=job.moved_from,
    )
