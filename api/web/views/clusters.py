"""Clusters and their pools as pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.report import fleets, phrases, words
from api.web import cells
from engine.model import dispatches, fleet, records

Health = Mapping[str, records.ClusterHealth]


def answers(cluster: fleet.Cluster, health: Health) -> bool:
    """Return whether a cluster answers, as far as is known."""
    seen = health.get(cluster.name)
    return cluster.reachable and (seen is None or seen.reachable)


def headline(known: fleet.Fleet, health: Health, now: float) -> cells.Cell:
    """Return which clusters do not answer, and since when."""
    silent = [one.name for one in known.clusters if not answers(one, health)]
    if not silent:
        count = phrases.plural(len(known.clusters), "cluster")
        return cells.Cell(f"{count}, all of them answer", tone=cells.Tone.OK)
    since = {name: health[name].since for name in silent if name in health}
    told = ", ".join(
        f"{name} for {words.duration(now - since[name])}" if name in since else name
        for name in silent
    )
    verb = "does" if len(silent) == 1 else "do"
    return cells.Cell(
        f"{len(silent)} of {phrases.plural(len(known.clusters), 'cluster')} {verb} not answer: "
        f"{told}",
        tone=cells.Tone.BAD,
    )


def pools(
    known: fleet.Fleet, health: Health, attempts: Sequence[dispatches.Attempt]
) -> cells.Table:
    """Return every pool with its price, its health and what its running attempts hold."""
    rows: list[tuple[cells.Cell | str, ...]] = []
    for cluster in known.clusters:
        state = (
            cells.Cell("answers", tone=cells.Tone.OK)
            if answers(cluster, health)
            else cells.Cell("does not answer", tone=cells.Tone.BAD)
        )
        for pool in cluster.pools:
            held = [a for a in attempts if (a.cluster, a.pool) == (cluster.name, pool.name)]
            rows.append((cells.place(cluster.name, pool.name), state, *_pool(cluster, pool, held)))
    return cells.table(
        "Pools",
        [
            "Pool",
            "State",
            ("CPU held", "number"),
            ("Memory held", "number"),
            "By",
            ("Nodes", "number"),
            "Machine",
            ("A node costs", "number"),
            "Region",
        ],
        rows,
    )


def _pool(
    cluster: fleet.Cluster, pool: fleet.Pool, held: Sequence[dispatches.Attempt]
) -> tuple[cells.Cell | str, ...]:
    shape = pool.shape
    gpus = f"{shape.gpu_count} \N{MULTIPLICATION SIGN} {shape.gpu_model}"
    cores = sum(attempt.held.cpu_cores for attempt in held)
    memory = sum(attempt.held.memory_gib for attempt in held)
    return (
        f"{words.amount(cores)} of {words.amount(shape.cpu_cores * pool.node_count, 'cores')}",
        f"{words.amount(memory)} of {words.amount(shape.memory_gib * pool.node_count, 'GiB')}",
        _holders(held, fleets.held_by_others(pool) if pool.taken is not None else ""),
        str(pool.node_count),
        cells.Cell(shape.machine, note=gpus if shape.gpu_count else ""),
        f"{words.money(pool.price_micro_dollars_per_hour)}/h",
        cells.Cell(cluster.region, note=cluster.provider.value),
    )


def _holders(held: Sequence[dispatches.Attempt], others: str) -> cells.Cell:
    """Return who holds something of a pool; the first one is linked.

    others: what work that is not this engine's holds there, "" where nobody says.
    """
    beside = f"others: {others}" if others else ""
    if not held:
        return cells.Cell(words.NOTHING, note=beside)
    more = f"and {len(held) - 1} more" if len(held) > 1 else ""
    more = "; ".join(each for each in (more, beside) if each)
    return cells.Cell(held[0].attempt_id, href=f"/runs/{held[0].run_id}", note=more)
