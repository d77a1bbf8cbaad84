"""Whether a plan keeps every affinity, machine by machine, from the definition alone."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.specs import Affinity, Within
from placement.problem.instance import Instance
from placement.search.draft import Draft


def broken(instance: Instance, plan: Draft) -> list[str]:
    """Return every affinity that a plan breaks, with the tasks in question."""
    jobs = [job for job in instance.jobs if job.index in plan.options]
    found: list[str] = []
    for job in jobs:
        wishes = [(a, True) for a in job.spec.beside] + [(a, False) for a in job.spec.apart_from]
        for affinity, together in wishes:
            for other in jobs:
                named = other.line == job.line and other.spec.name in affinity.tasks
                carries = bool(affinity.labels) and all(
                    other.spec.labels.get(key) == value for key, value in affinity.labels.items()
                )
                if other.index == job.index or not (named or carries):
                    continue
                shared, smaller = shares(instance, plan, (job.index, other.index), affinity)
                if (together and shared < smaller) or (not together and shared > 0):
                    found.append(f"{job.key} {affinity} {other.key}")
    return [*found, *crowded(instance, plan)]


def shares(
    instance: Instance, plan: Draft, pair: tuple[int, int], affinity: Affinity
) -> tuple[int, int]:
    """Return how many zones two jobs share, and how many the one with fewer has."""
    zones = [{*_zones(instance, plan, index, affinity.within)} for index in pair]
    return len(zones[0] & zones[1]), min(map(len, zones))


def _zones(instance: Instance, plan: Draft, index: int, within: Within) -> Iterator[object]:
    del instance
    option = plan.options[index]
    if within is Within.REGION:
        yield option.cluster.region
    elif within is Within.CLUSTER:
        yield option.cluster.name
    else:
        yield from ((option.pool_index, node) for node in plan.nodes[index])


def crowded(instance: Instance, plan: Draft) -> Iterator[str]:
    """Yield machines on which tasks hold more than there is at some moment."""
    spots: dict[tuple[int, int], list[int]] = {}
    for index, nodes in plan.nodes.items():
        option = plan.options[index]
        if len(nodes) != option.node_count:
            yield f"{instance.jobs[index].key} stands on {nodes}, needs {option.node_count}"
        for node in nodes:
            spots.setdefault((option.pool_index, node), []).append(index)
    for (pool, node), members in spots.items():
        has = instance.buckets[pool].node
        for moment in {plan.starts[index] for index in members}:
            held = [0] * len(has)
            for index in members:
                since = moment - plan.starts[index]
                for span in plan.options[index].node_spans:
                    inside = (
                        span.start_ms <= moment < span.end_ms and since >= 0
                        if instance.jobs[index].serve
                        else span.start_ms <= since < span.end_ms
                    )
                    if inside and instance.jobs[index].seat < 0:
                        held = [a + b for a, b in zip(held, span.amounts, strict=True)]
            if any(a > b for a, b in zip(held, has, strict=True)):
                yield f"node {node} of pool {pool} holds {held} of {has}"
