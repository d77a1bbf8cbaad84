"""Runs, their tasks, what serves now, and the clusters, as pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.report import words
from api.web import cells
from engine.model import dispatches, fleet, records

RUN_TONES = {
    dispatches.RunState.ACTIVE: cells.Tone.BUSY,
    dispatches.RunState.SUCCEEDED: cells.Tone.OK,
    dispatches.RunState.FAILED: cells.Tone.BAD,
    dispatches.RunState.CANCELLED: cells.Tone.QUIET,
}
TASK_TONES = {
    dispatches.TaskState.WAITING: cells.Tone.QUIET,
    dispatches.TaskState.RUNNING: cells.Tone.BUSY,
    dispatches.TaskState.SUCCEEDED: cells.Tone.OK,
    dispatches.TaskState.FAILED: cells.Tone.BAD,
    dispatches.TaskState.SKIPPED: cells.Tone.QUIET,
    dispatches.TaskState.CANCELLED: cells.Tone.QUIET,
}


def run_list(runs: Sequence[dispatches.Run]) -> cells.Table:
    """Return all runs, newest first."""
    return cells.table(
        "Runs",
        ["Run", "Pipeline", "State", "Plan", "Since", ("Took", "number"), ("Why", "text")],
        (
            (
                cells.Cell(run.run_id, href=f"/runs/{run.run_id}"),
                run.pipeline,
                cells.Cell(run.state.value, tone=RUN_TONES[run.state]),
                cells.Cell(run.plan_id, href=f"/plans/{run.plan_id}"),
                words.instant(run.created_at),
                words.duration(None if run.ended_at is None else run.ended_at - run.created_at),
                " ".join(filter(None, (run.cause.value, run.reason))),
            )
            for run in runs
        ),
    )


def task_list(tasks: Sequence[dispatches.TaskRun]) -> cells.Table:
    """Return the tasks of one run in the order of its pipeline."""
    return cells.table(
        "Tasks",
        [
            "Task",
            "State",
            "Where",
            ("Attempt", "number"),
            "Started",
            ("Took", "number"),
            ("Outputs", "text"),
            ("Reason", "text"),
        ],
        (
            (
                task.task,
                cells.Cell(task.state.value, tone=TASK_TONES[task.state]),
                f"{task.cluster}/{task.pool}" if task.cluster else words.NOTHING,
                str(task.attempt) if task.attempt else words.NOTHING,
                words.clock_time(task.started_at),
                words.duration(
                    task.ended_at - task.started_at if task.ended_at and task.started_at else None
                ),
                _outputs(task),
                _reason(task),
            )
            for task in tasks
        ),
    )


def _outputs(task: dispatches.TaskRun) -> str:
    shown = {
        name: f"{value:.4g}" if isinstance(value, float) else str(value)
        for name, value in task.outputs.items()
    }
    return ", ".join(
        f"{name} {value[:19]}..." if value.startswith("sha256:") else f"{name} {value}"
        for name, value in sorted(shown.items())
    )


def _reason(task: dispatches.TaskRun) -> str:
    waits = f"waits for {', '.join(task.waiting_for)}" if task.waiting_for else ""
    return task.message or waits or task.reason.value


def deployments(serving: Sequence[dispatches.Deployment]) -> cells.Table:
    """Return what serves now."""
    return cells.table(
        "What serves",
        ["Pipeline", "State", "Model", "From run", ("Swaps", "number"), "Since", "Address"],
        (
            (
                one.pipeline,
                cells.Cell("serving", tone=cells.Tone.OK)
                if one.serving == one.wanted
                else cells.Cell("not yet", tone=cells.Tone.WARN),
                (one.serving or words.NOTHING)[:19],
                cells.Cell(one.run_id, href=f"/runs/{one.run_id}"),
                str(one.swaps),
                words.instant(one.swapped_at),
                one.endpoint,
            )
            for one in serving
        ),
    )


def clusters(
    known: fleet.Fleet,
    health: Mapping[str, records.ClusterHealth],
    attempts: Sequence[dispatches.Attempt],
) -> cells.Table:
    """Return every pool with its price, its health and what its running attempts hold."""
    rows: list[tuple[cells.Cell | str, ...]] = []
    for cluster in known.clusters:
        seen = health.get(cluster.name)
        up = cluster.reachable and (seen is None or seen.reachable)
        for pool in cluster.pools:
            held = [a for a in attempts if (a.cluster, a.pool) == (cluster.name, pool.name)]
            has = pool.shape.cpu_cores * pool.node_count
            rows.append(
                (
                    f"{cluster.name}/{pool.name}",
                    cells.Cell("answers", tone=cells.Tone.OK)
                    if up
                    else cells.Cell("does not answer", tone=cells.Tone.BAD),
                    cluster.provider.value,
                    cluster.region,
                    f"{pool.node_count} x {pool.shape.machine}",
                    pool.shape.gpu_model or words.NOTHING,
                    f"{words.money(pool.price_micro_dollars_per_hour)}/h",
                    f"{sum(a.held.cpu_cores for a in held):.2f} of {has:g} cores",
                    ", ".join(a.attempt_id for a in held) or words.NOTHING,
                )
            )
    return cells.table(
        "Clusters",
        [
            "Pool",
            "State",
            "Provider",
            "Region",
            "Nodes",
            "GPU",
            ("A node costs", "number"),
            ("Held", "number"),
            ("By", "text"),
        ],
        rows,
    )
