"""Clusters and pools with their prices, and what `berth doctor` found."""

from __future__ import annotations

from collections.abc import Sequence

from api.messages.answers import Finding
from api.report import words
from api.report.tables import PLAIN, Column, Style, following, table
from engine.model.fleet import Cluster, Fleet, Pool

_COLUMNS = (
    Column(title="CLUSTER"),
    Column(title="WHERE", rank=1),
    Column(title="POOL"),
    Column(title="NODES", right=True),
    Column(title="MACHINE", rank=2),
    Column(title="HAS"),
    Column(title="PRICE", right=True),
    Column(title="STATE"),
)
_OTHERS = Column(title="OTHERS HOLD", rank=1)
_FINDING_COLUMNS = (Column(title="WHAT"), Column(title="HOW"), Column(title="IT SAYS"))


def fleet_text(fleet: Fleet, style: Style = PLAIN, *, only: str = "") -> str:
    """Return a line for each pool; `only` keeps one cluster.

    What others hold is shown where any cluster tells it.
    """
    rows = [
        row
        for cluster in fleet.clusters
        if only in {"", cluster.name}
        for row in ([_row(cluster, pool) for pool in cluster.pools] or [_without_pools(cluster)])
    ]
    commands = ["berth plan FILE", "berth doctor"]
    if only:
        commands = ["berth fleet", "berth alarms"]
    columns: tuple[Column, ...] = _COLUMNS
    if any(pool.taken is not None for cluster in fleet.clusters for pool in cluster.pools):
        columns = (*_COLUMNS[:-1], _OTHERS, _COLUMNS[-1])
    else:
        rows = [(*row[:-2], row[-1]) for row in rows]
    return f"{table(columns, rows, style)}\n\n{following(*commands)}"


def held_by_others(pool: Pool) -> str:
    """Return what work that is not this engine's holds of a pool, `-` where nobody says."""
    if pool.taken is None:
        return "-"
    told = f"{pool.taken.cpu_cores:g} cpu, {pool.taken.memory_gib:g} GiB"
    return told + (f", {pool.taken.gpu_count:g} GPUs" if pool.taken.gpu_count else "")


def _row(cluster: Cluster, pool: Pool) -> tuple[str, ...]:
    shape = pool.shape
    has = f"{shape.cpu_cores:g} cpu, {shape.memory_gib:g} GiB"
    if shape.gpu_count:
        has += f", {shape.gpu_count} {shape.gpu_model}"
    return (
        cluster.name,
        f"{cluster.provider.value}, {cluster.region}",
        pool.name,
        str(pool.node_count),
        shape.machine,
        has,
        f"{words.money(pool.price_micro_dollars_per_hour)}/h",
        held_by_others(pool),
        "answers" if cluster.reachable else "down",
    )


def _without_pools(cluster: Cluster) -> tuple[str, ...]:
    """Return the line of a cluster of which no node is known, so that it is not overlooked."""
    where = f"{cluster.provider.value}, {cluster.region}"
    state = "answers" if cluster.reachable else "down"
    return (cluster.name, where, "-", "0", "-", "-", "-", "-", state)


def findings_text(found: Sequence[Finding], style: Style = PLAIN, *, engine: bool) -> str:
    """Return a line for each finding; what is ill comes with its fix.

    engine: whether one is running on the data folder.
    """
    rows = [
        (item.name, "fine" if item.fine else "ILL", _told(item))
        for item in sorted(found, key=lambda item: item.fine)
    ]
    text = table(_FINDING_COLUMNS, rows, style)
    if engine:
        return f"{text}\n\n{following('berth status', 'berth alarms')}"
    return f"{text}\n\nNo engine is running on this data folder.\n\n{following('berth start')}"


def _told(item: Finding) -> str:
    return f"{item.message}; fix: {item.fix}" if item.fix else item.message
