"""Tasks that must stand in one cluster or region, or must not, from what their authors wrote."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from benchmarks.placement.checking.rules import Violation
from engine.model.fleet import Cluster, Pool
from engine.model.plans import Limit, task_key
from engine.model.specs import Affinity, PipelineSpec, TaskSpec, Within

if TYPE_CHECKING:
    from benchmarks.placement.checking.replay import Seat, World


def against(
    world: "World", key: str, pool: int, seats: Mapping[str, "Seat"]
) -> Iterator[Violation]:
    """Yields every affinity, its own or another's, that keeps a task off a pool."""
    here = world.pools[pool]
    for other, seat in seats.items():
        there = world.pools[seat.pool]
        if other == key:
            continue
        for affinity, together in _between(world, key, other):
            has, wanted = (_zone(affinity.within, *place) for place in (here, there))
            if (has == wanted) != together:
                word = affinity.within.value
                needs = (
                    f"the {word} of {other}, {wanted}"
                    if together
                    else (f"another {word} than {other}")
                )
                yield Violation(limit=Limit.AFFINITY, needs=needs, has=has)


def are_kept(world: "World", seats: Mapping[str, "Seat"]) -> bool:
    """Whether all tasks stand where they and the others want them."""
    return not any(
        True for key, seat in seats.items() for _ in against(world, key, seat.pool, seats)
    )


def _between(world: "World", key: str, other: str) -> Iterator[tuple[Affinity, bool]]:
    """Yields what either of two tasks asks of the other, and whether they are to be together."""
    for one, two in ((key, other), (other, key)):
        pipeline, task = world.tasks[one]
        of = world.tasks[two]
        for affinity in task.beside:
            if _names(pipeline, affinity, of):
                yield affinity, True
        for affinity in task.apart_from:
            if _names(pipeline, affinity, of):
                yield affinity, False


def _names(
    pipeline: PipelineSpec, affinity: Affinity, other: tuple[PipelineSpec, TaskSpec]
) -> bool:
    key = task_key(other[0].name, other[1].name)
    if key in {task_key(pipeline.name, name) for name in affinity.tasks}:
        return True
    labels = affinity.labels
    return bool(labels) and all(other[1].labels.get(name) == labels[name] for name in labels)


def _zone(within: Within, cluster: Cluster, pool: Pool) -> str:
    if within is Within.NODE:
        raise ValueError(f"machines of {cluster.name}/{pool.name} are not known here")
    return cluster.region if within is Within.REGION else str(cluster.name)
