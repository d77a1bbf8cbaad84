"""What the tasks that one is bound to say of a pool, where they stand in a plan."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model.plans import Limit, Refusal
from engine.model.specs import Within
from placement.account.standing import Place
from placement.problem import bonds
from placement.problem.instance import Option


def by_pool(place: Place, index: int) -> Iterator[Refusal]:
    """Yield the first affinity that forbids a pool, whatever the task would take of it."""
    instance = place.instance
    pool = instance.pools[index]
    for bond in place.job.bonds:
        other = place.partner(bond.other)
        if other is None or (bond.apart and bond.within is Within.NODE):
            continue
        there = (other.cluster, other.pool)
        if (bonds.zone(bond.within, *pool) == bonds.zone(bond.within, *there)) == bond.apart:
            yield bonds.refusal(bond, instance.jobs[bond.other].key, there, pool)
            return


def by_machines(place: Place, option: Option) -> Iterator[Refusal]:
    """Yield the want of machines that the others leave, in a pool that they do not forbid."""
    rule = place.board.rule(place.job, option)
    count = option.pool.node_count
    if rule is None:
        return
    open_to_it = [n for n in range(count) if rule.lets_in(n)]
    if len(open_to_it) >= option.node_count and not rule.asked & rule.barred:
        return
    keys = [
        place.instance.jobs[bond.other].key
        for bond in place.job.bonds
        if bond.within is Within.NODE and place.partner(bond.other) is not None
    ]
    yield Refusal(
        limit=Limit.AFFINITY,
        needs=float(option.node_count),
        has=float(len(open_to_it)),
        unit=f"nodes for the sake of {', '.join(keys)}",
    )
