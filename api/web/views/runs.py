"""Runs, their tasks and attempts, and what serves now, as pages show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from api.report import remedies, words
from api.report import sizes as sizes_report
from api.web import cells
from api.web.views import plans as plan_views
from engine.model import dispatches
from engine.model.identifiers import PipelineName
from engine.model.sizing import ServiceSize

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
ATTEMPT_TONES = {
    dispatches.AttemptState.INTENDED: cells.Tone.BUSY,
    dispatches.AttemptState.RUNNING: cells.Tone.BUSY,
    dispatches.AttemptState.SUSPENDING: cells.Tone.BUSY,
    dispatches.AttemptState.SUSPENDED: cells.Tone.QUIET,
    dispatches.AttemptState.SUCCEEDED: cells.Tone.OK,
    dispatches.AttemptState.FAILED: cells.Tone.BAD,
    dispatches.AttemptState.LOST: cells.Tone.BAD,
    dispatches.AttemptState.STOPPED: cells.Tone.QUIET,
}
_FIRST_OUTPUTS = ("best", "quality", "passed", "model", "rows")


def run_list(runs: Sequence[dispatches.Run], now: float) -> cells.Table:
    """Return runs in the order given."""
    return cells.table(
        "Runs",
        ["Run", "State", "Pipeline", ("Why", ""), "Plan", "Started", ("Took", "number")],
        (
            (
                cells.link(run.run_id, "/runs"),
                cells.Cell(run.state.value, tone=RUN_TONES[run.state]),
                run.pipeline,
                why(run),
                cells.link(run.plan_id, "/plans"),
                cells.moment(run.created_at, now),
                words.duration((run.ended_at or now) - run.created_at),
            )
            for run in runs
        ),
    )


def why(run: dispatches.Run) -> cells.Cell:
    """Return why a run exists; a retraining links to its super-alarm."""
    if run.cause is dispatches.RunCause.RETRAIN and run.reason:
        return cells.Cell(f"retrain, {run.reason}", href=f"/alarms/{run.reason}")
    return cells.Cell(run.cause.value, note=run.reason)


def task_list(tasks: Sequence[dispatches.TaskRun], run: dispatches.Run, now: float) -> cells.Table:
    """Return the tasks of one run in the order given; each links to why it runs where it does."""
    return cells.table(
        "Tasks",
        [
            "Task",
            "State",
            ("Where", ""),
            "When",
            "Started",
            ("Took", "number"),
            ("Attempts", "number"),
            ("Outputs, or why not", "text"),
        ],
        (
            (
                cells.Cell(
                    task.task,
                    href=f"/plans/{run.plan_id}#{plan_views.anchor(task.pipeline, task.task)}",
                ),
                cells.Cell(task.state.value, tone=TASK_TONES[task.state]),
                cells.place(task.cluster, task.pool),
                cells.Cell("", bar=_bar(task, run, now)) if task.started_at else words.NOTHING,
                words.clock_time(task.started_at),
                words.duration((task.ended_at or now) - task.started_at)
                if task.started_at
                else words.NOTHING,
                str(task.attempt) if task.attempt else words.NOTHING,
                _told(task),
            )
            for task in tasks
        ),
    )


def _bar(task: dispatches.TaskRun, run: dispatches.Run, now: float) -> cells.Bar:
    """Return when a task ran, on the axis of its run."""
    ended = run.ended_at or now
    full = max(ended - run.created_at, 1.0)

    def across(at: float) -> float:
        return round(100 * min(1.0, max(0.0, (at - run.created_at) / full)), 1)

    start = min(across(task.started_at or now), 99.0)
    return cells.Bar(start, max(1.0, across(task.ended_at or now) - start))


def _told(task: dispatches.TaskRun) -> cells.Cell:
    """Return what a task made, or else what it waits for or what went wrong."""
    if task.state is dispatches.TaskState.SUCCEEDED and task.outputs:
        return cells.Cell(_outputs(task))
    waits = ", ".join(task.waiting_for)
    reason = "" if task.reason is dispatches.Reason.COMPLETED else task.reason.value
    return cells.Cell(task.message or reason, note=f"waits for {waits}" if waits else "")


def _outputs(task: dispatches.TaskRun) -> str:
    """Return the outputs, those that people look for first."""
    names = sorted(
        task.outputs,
        key=lambda n: (
            _FIRST_OUTPUTS.index(n) if n in _FIRST_OUTPUTS else len(_FIRST_OUTPUTS),
            n,
        ),
    )
    return ", ".join(f"{name.replace('_', ' ')} {_value(task.outputs[name])}" for name in names)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}"
    return short(value) if isinstance(value, str) else f"{value:,}"


def short(digest: str | None) -> str:
    """Return the first characters of a digest, by which people tell it from others."""
    if digest is None:
        return words.NOTHING
    return digest[:19] if digest.startswith("sha256:") else digest


def attempt_list(attempts: Sequence[dispatches.Attempt]) -> cells.Table:
    """Return every start of a task, with what it held and used."""
    return cells.table(
        "Attempts",
        [
            "Attempt",
            "State",
            ("Why", "text"),
            "Where",
            ("Memory used", "number"),
            ("CPU used", "number"),
            ("Took", "number"),
            ("Exit code", "number"),
            ("What follows", "text"),
        ],
        [_attempt(attempt) for attempt in attempts],
    )


def _attempt(attempt: dispatches.Attempt) -> tuple[cells.Cell | str, ...]:
    used = attempt.usage
    peak_gib = used.memory_gib_peak if used else None
    return (
        attempt.attempt_id,
        cells.Cell(attempt.state.value, tone=ATTEMPT_TONES[attempt.state]),
        attempt.message or attempt.reason.value,
        cells.place(attempt.cluster, attempt.pool),
        f"{words.readable(peak_gib, 'GiB')} of {words.readable(attempt.held.memory_gib, 'GiB')}",
        words.duration(used.cpu_seconds if used else None),
        words.duration(used.duration_seconds if used else None),
        words.NOTHING if attempt.exit_code is None else str(attempt.exit_code),
        _follows(attempt),
    )


def _follows(attempt: dispatches.Attempt) -> cells.Cell:
    """Return the remedy of a failed attempt, with what was weighed."""
    if attempt.remedy is None:
        return cells.Cell(words.NOTHING)
    weighed = remedies.options_text(attempt.remedy)
    note = f"weighed: {weighed}" if weighed else ""
    return cells.Cell(remedies.remedy_text(attempt.remedy), note=note)


def deployments(
    serving: Sequence[dispatches.Deployment], sizes: Mapping[PipelineName, ServiceSize], now: float
) -> cells.Table:
    """Return what serves now, and by pipeline what it should hold where that repays a restart."""
    return cells.table(
        "What serves",
        [
            "Pipeline",
            "State",
            "Model",
            "From run",
            "Since",
            ("Swaps", "number"),
            "Address",
            ("Should hold", "text"),
        ],
        (
            (
                one.pipeline,
                cells.Cell("serving", tone=cells.Tone.OK)
                if one.serving == one.wanted
                else cells.Cell("not the wanted model", tone=cells.Tone.WARN),
                short(one.serving),
                cells.link(one.run_id, "/runs"),
                cells.moment(one.swapped_at, now),
                str(one.swaps),
                one.endpoint or words.NOTHING,
                _should_hold(sizes.get(one.pipeline)),
            )
            for one in serving
        ),
    )


def _should_hold(size: ServiceSize | None) -> str:
    """Return what a service should hold; a dash while too little is known to say."""
    if size is None:
        return words.NOTHING
    return sizes_report.changes_in_words(size) or "as much as now"
