"""What sharing saves: nodes alone against nodes shared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from engine.model.plans import Sharing
from placement.problem.instance import Amounts, Instance
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.timeline import Timeline


def sharing(instance: Instance, plan: Draft) -> tuple[Sharing, ...]:
    """Return the pools on which tasks of this plan use the same nodes at different times."""
    board = drafts.board_of(instance, plan)
    found: list[Sharing] = []
    for index, (cluster, pool) in enumerate(instance.pools):
        here = [j for j, o in plan.options.items() if o.pool_index == index]
        if len(here) < 2:  # noqa: PLR2004 - it takes two to share
            continue
        node = instance.buckets[index].capacity
        per_node = tuple(amount // pool.node_count for amount in node)
        peaks = [plan.options[j].peak for j in here]
        alone = tuple(map(sum, zip(*peaks, strict=True)))
        base = Timeline(node, instance.buckets[index].base)
        alone_nodes = nodes(alone, per_node)
        shared = max(
            nodes(_minus(used, _at(base, time)), per_node)
            for time, used in board.timeline(index).steps()
        )
        if shared < alone_nodes:
            found.append(
                Sharing(
                    cluster=cluster.name,
                    pool=pool.name,
                    tasks=tuple(instance.jobs[j].key for j in sorted(here)),
                    nodes_alone=alone_nodes,
                    nodes_shared=shared,
                )
            )
    return tuple(found)


def nodes(amounts: Sequence[int], per_node: Amounts) -> int:
    """Return how many nodes hold so much in sum."""
    return max(
        (math.ceil(a / n) for a, n in zip(amounts, per_node, strict=True) if n > 0), default=0
    )


def _at(line: Timeline, time: int) -> Amounts:
    return [used for since, used in line.steps() if since <= time][-1]


def _minus(used: Amounts, base: Amounts) -> Amounts:
    return tuple(a - b for a, b in zip(used, base, strict=True))
