"""How runs are: states, forecast ends, and what each waiting task waits for."""

from __future__ import annotations

from collections.abc import Sequence

from api.report import phrases, remedies, words
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.model.dispatches import Reason, Run, RunState, TaskState
from engine.model.progress import RunStatus, TaskStatus

_COLUMNS = (
    Column(title="TASK"),
    Column(title="STATE"),
    Column(title="WHERE"),
    Column(title="TRY", right=True, rank=2),
    Column(title="TOOK", right=True),
    Column(title="END P50", right=True, rank=2),
    Column(title="P95", right=True, rank=3),
    Column(title="REASON", rank=1),
)
_RUN_COLUMNS = (
    Column(title="RUN"),
    Column(title="PIPELINE"),
    Column(title="STATE"),
    Column(title="CAUSE"),
    Column(title="STARTED", right=True),
    Column(title="TOOK", right=True),
    Column(title="PLAN", rank=2),
    Column(title="REASON", rank=1),
)


def status_text(statuses: Sequence[RunStatus], style: Style = PLAIN, *, now: float) -> str:
    """Return runs with their tasks; without any, what to do to see some."""
    if not statuses:
        return f"Nothing runs and nothing ran.\n\n{following('berth plan FILE')}"
    blocks = [run_text(status, style, now=now) for status in statuses]
    return "\n\n".join([*blocks, following(*_commands(statuses))])


def run_text(status: RunStatus, style: Style = PLAIN, *, now: float) -> str:
    """Return one run with its tasks."""
    rows = [_row(task, style, now) for task in status.tasks]
    blocks = [style.bold(_heading(status, style, now)), table(_COLUMNS, rows, style)]
    blocks += [
        paragraph(f"A try of {task.task} failed: {remedies.remedy_text(task.remedy)}.", style)
        for task in status.tasks
        if task.remedy is not None
    ]
    return "\n\n".join(blocks)


def _heading(status: RunStatus, style: Style, now: float) -> str:
    """Return the line about a run: state, forecast end against the deadline, endpoint."""
    run = status.run
    parts = [f"{run.pipeline} {run.run_id}: {run.state.value}"]
    done = sum(task.state.is_terminal for task in status.tasks)
    parts.append(f"{done} of {phrases.plural(len(status.tasks), 'task')} ended")
    if status.end_seconds_p50 is not None:
        end = phrases.clock(status.end_seconds_p50, near=now, zone=style.zone, seconds=True)
        parts.append(f"ends {end}")
    if status.end_seconds_p95 is not None:
        end = phrases.clock(status.end_seconds_p95, near=now, zone=style.zone, seconds=True)
        parts.append(f"P95 {end}")
    if status.deadline_seconds is not None and run.state is RunState.ACTIVE:
        left = status.deadline_seconds - now
        told = f"in {words.duration(left)}" if left >= 0 else f"{words.duration(-left)} ago"
        parts.append(f"deadline {told}")
    if status.endpoint:
        parts.append(f"serves at {status.endpoint}")
    if run.reason:
        parts.append(run.reason)
    return phrases.printable(", ".join(parts))


def _row(task: TaskStatus, style: Style, now: float) -> tuple[str, ...]:
    place = f"{task.cluster}/{task.pool}" if task.cluster else words.NOTHING
    took = ""
    if task.started_at is not None:
        took = words.duration((task.ended_at or max(now, task.started_at)) - task.started_at)
    return (
        task.task,
        task.state.value,
        place,
        str(task.attempt) if task.attempt > 1 else "",
        took,
        _end(task.end_seconds_p50, style, now),
        _end(task.end_seconds_p95, style, now),
        waiting_text(task),
    )


def _end(at: float | None, style: Style, now: float) -> str:
    return "" if at is None else phrases.clock(at, near=now, zone=style.zone, seconds=True)


def waiting_text(task: TaskStatus) -> str:
    """Return why a task is in its state, and what it waits for by name."""
    if task.state is TaskState.SUCCEEDED:
        return ""
    reason = task.reason.value
    names = ", ".join(task.waiting_for)
    if task.reason is Reason.UPSTREAM and names:
        reason = f"waits for {names}"
    elif names:
        reason = f"{reason}: {names}"
    return f"{reason}: {task.message}" if task.message and reason else reason or task.message


def runs_text(runs: Sequence[Run], style: Style = PLAIN, *, now: float) -> str:
    """Return a line for each run."""
    if not runs:
        return f"Nothing has run yet.\n\n{following('berth plan FILE', 'berth apply PLAN')}"
    rows = [
        (
            run.run_id,
            run.pipeline,
            run.state.value,
            run.cause.value,
            phrases.clock(run.created_at, near=now, zone=style.zone, seconds=True),
            words.duration((run.ended_at or now) - run.created_at),
            run.plan_id,
            run.reason,
        )
        for run in runs
    ]
    return f"{table(_RUN_COLUMNS, rows, style)}\n\n{following(f'berth status {runs[0].run_id}')}"


def cancelling_text(run: Run, *, serves: bool) -> str:
    """Return what cancelling a run would do.

    serves: whether the model of the run is the one that its pipeline serves.
    """
    named = f"{run.run_id} of {run.pipeline}"
    if run.state is RunState.ACTIVE:
        return f"call off {named}"
    if serves:
        return f"stop serving {run.pipeline}: withdraw the model of {run.run_id}"
    return f"change nothing: {named} has ended already, {run.state.value}"


def cancelled_text(run: Run, style: Style = PLAIN, *, now: float) -> str:
    """Return what cancelling a run came to."""
    told = f"{run.run_id} of {run.pipeline} is called off"
    if run.reason:
        told = f"{run.reason}: the model of {run.run_id} is withdrawn"
    grace = "what runs of it is stopped within its cluster's grace period"
    return f"{paragraph(f'{told}; {grace}.', style)}\n\n{runs_text([run], style, now=now)}"


def submitted_text(runs: Sequence[Run], style: Style = PLAIN, *, again: bool) -> str:
    """Return what applying a plan came to."""
    lines = [
        f"{run.pipeline} runs as {run.run_id} under plan {run.plan_id}"
        + (" (it was applied before; nothing new was started)." if again else ".")
        for run in runs
    ]
    first = runs[0].run_id
    told = "\n".join(paragraph(line, style) for line in lines)
    return f"{told}\n\n{following(f'berth watch {first}', f'berth status {first}')}"


def _commands(statuses: Sequence[RunStatus]) -> list[str]:
    """Return what to do next: watch what runs, read the log of what failed."""
    for status in statuses:
        for task in status.tasks:
            if task.state is TaskState.FAILED:
                return [f"berth logs {status.run.run_id} {task.task}"]
    active = [status.run for status in statuses if status.run.state is RunState.ACTIVE]
    if active:
        return [f"berth watch {active[0].run_id}", f"berth cancel {active[0].run_id}"]
    return ["berth alarms", f"berth explain {statuses[0].run.plan_id}"]
