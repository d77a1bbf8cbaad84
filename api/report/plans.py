"""The plan as a table: where and when each task runs, what it costs, and what was not placed."""

from __future__ import annotations

from collections import Counter

from api.report import phrases, training, words
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.model.plans import Assignment, Plan, Promise, Ruling, Unplaced
from engine.model.specs import TaskKind

_FINE_BELOW_SECONDS = 2 * 3_600
_COLUMNS = (
    Column(title="TASK"),
    Column(title="WHERE"),
    Column(title="START", right=True),
    Column(title="END P95", right=True),
    Column(title="SLACK", right=True),
    Column(title="COST", right=True),
    Column(title="CHANCE", right=True, rank=2),
    Column(title="WHY", rank=1),
)


def plan_text(plan: Plan, style: Style = PLAIN, *, solved_seconds: float | None = None) -> str:
    """Return a plan as people read it.

    solved_seconds: wall-clock time of planning, which is no part of the plan.
    """
    blocks = [
        "\n".join(_heading(plan, promise, style) for promise in plan.placement.promises),
        table(_COLUMNS, _rows(plan, style), style),
        "\n".join(paragraph(line, style) for line in _sentences(plan, solved_seconds)),
        following(*_commands(plan)),
    ]
    return "\n\n".join(block for block in blocks if block)


def is_fine(plan: Plan) -> bool:
    """Return whether the times of a plan are so close that seconds must be told."""
    as_of = plan.request.as_of
    ends = [a.end_seconds_p95 for a in plan.placement.assignments if a.end_seconds_p95 is not None]
    return max(ends, default=as_of) - as_of < _FINE_BELOW_SECONDS


def where(plan: Plan, assignment: Assignment) -> str:
    """Return the cluster with what is held there: `eu-cpu-1, 16 cpu`, `eu-a100-2, 4 A100`."""
    held = assignment.held
    if held.gpu_count:
        model = "GPU"
        for cluster in plan.request.fleet.clusters:
            for pool in cluster.pools:
                if (cluster.name, pool.name) == (assignment.cluster, assignment.pool):
                    model = pool.shape.gpu_model or model
        return f"{assignment.cluster}, {held.gpu_count * assignment.node_count:g} {model}"
    nodes = f"{assignment.node_count} \N{MULTIPLICATION SIGN} " if assignment.node_count > 1 else ""
    return f"{assignment.cluster}, {nodes}{held.cpu_cores:.2g} cpu"


def _heading(plan: Plan, promise: Promise, style: Style) -> str:
    """Return the first line about a pipeline: tasks, GPUs, deadline."""
    tasks = next((p.tasks for p in plan.request.pipelines if p.name == promise.pipeline), ())
    parts = [phrases.plural(len(tasks), "task")]
    gpus = [
        a.held.gpu_count * a.node_count
        for a in plan.placement.assignments
        if a.pipeline == promise.pipeline
    ]
    if any(gpus):
        unit = "GPU" if sum(gpus) == 1 else "GPUs"
        parts.append(f"{words.amount(sum(gpus))} {unit} at most")
    if promise.deadline_seconds is not None:
        as_of = plan.request.as_of
        time = phrases.clock(
            promise.deadline_seconds, near=as_of, zone=style.zone, seconds=is_fine(plan)
        )
        left = promise.deadline_seconds - as_of
        relative = f"in {words.duration(left)}" if left >= 0 else f"{words.duration(-left)} ago"
        parts.append(f"deadline {time} {style.zone} ({relative})")
    return style.bold(f"{phrases.printable(promise.pipeline)}: {', '.join(parts)}")


def _rows(plan: Plan, style: Style) -> list[list[str]]:
    """Return a row for each task, in the order in which they were written."""
    several = len(plan.request.pipelines) > 1
    order = {
        (pipeline.name, task.name): (number, index, task.kind)
        for number, pipeline in enumerate(plan.request.pipelines)
        for index, task in enumerate(pipeline.tasks)
    }
    rows: dict[tuple[int, int], list[str]] = {}
    for assignment in plan.placement.assignments:
        number, index, kind = order[assignment.pipeline, assignment.task]
        rows[number, index] = _placed(plan, assignment, kind, style, several=several)
    for missing in plan.placement.unplaced:
        number, index, _ = order[missing.pipeline, missing.task]
        rows[number, index] = _unplaced(plan, missing, style, several=several)
    return [rows[key] for key in sorted(rows)]


def _placed(
    plan: Plan, assignment: Assignment, kind: TaskKind, style: Style, *, several: bool
) -> list[str]:
    as_of, fine = plan.request.as_of, is_fine(plan)
    end = assignment.end_seconds_p95
    cost = words.money(assignment.cost_micro_dollars)
    return [
        f"{assignment.pipeline}/{assignment.task}" if several else assignment.task,
        where(plan, assignment),
        phrases.clock(assignment.start_seconds, near=as_of, zone=style.zone, seconds=fine),
        words.NOTHING
        if end is None
        else phrases.clock(end, near=as_of, zone=style.zone, seconds=fine),
        phrases.brief(assignment.slack_seconds),
        f"{cost}/h" if kind is TaskKind.SERVE else cost,
        "" if assignment.probability >= 1 else words.share(assignment.probability, digits=0),
        assignment.why,
    ]


def _unplaced(plan: Plan, missing: Unplaced, style: Style, *, several: bool) -> list[str]:
    name = f"{missing.pipeline}/{missing.task}" if several else missing.task
    because = phrases.refusal(missing.refusal, near=plan.request.as_of, zone=style.zone)
    return [name, "not placed", *[words.NOTHING] * 4, "", because]


def _sentences(plan: Plan, solved_seconds: float | None) -> list[str]:
    """Return what stands below the table: totals, promises, limits that bind, bound and gap."""
    placement = plan.placement
    lines = [_total(promise) for promise in placement.promises]
    for sharing in placement.sharing:
        if sharing.nodes_alone > sharing.nodes_shared:
            names = ", ".join(name.partition("/")[2] for name in sharing.tasks)
            alone = phrases.plural(sharing.nodes_alone, "node")
            lines.append(
                f"Shared: {names} on {sharing.cluster}/{sharing.pool}: {sharing.nodes_shared} "
                f"instead of {alone}."
            )
    lines += [training.sentence(choice) for choice in plan.workers]
    lines += _binding(plan)
    solved = "" if solved_seconds is None else f", solved in {words.duration(solved_seconds)}"
    if placement.optimal and placement.unplaced:
        quality = "and no plan can place more"
    elif placement.optimal:
        quality = "proven to be the best possible"
    else:
        quality = f"at most {words.share(placement.gap)} above the best possible"
    return [*lines, f"Plan {plan.plan_id}{solved}, {quality}. Nothing was changed."]


def _total(promise: Promise) -> str:
    """Return the costs and promises of one pipeline as a sentence."""
    cost = words.money(promise.run_cost_micro_dollars)
    p95 = promise.run_cost_micro_dollars_p95
    text = f"Total {cost}"
    if p95 > promise.run_cost_micro_dollars:
        text += f" (P95 {words.money(p95)})"
    if promise.serving_micro_dollars_per_hour:
        text += f" and {words.money(promise.serving_micro_dollars_per_hour)}/h"
    text += "."
    if promise.late_seconds > 0:
        cost = words.money(promise.late_micro_dollars)
        text += f" Planned to end {words.duration(promise.late_seconds)} late, which costs {cost}."
    if promise.keep_forecast is not None:
        text += (
            f" Deadline kept with probability {promise.keep_forecast:.2f}"
            f" (you asked for {promise.keep_asked:.2f})."
        )
    if promise.latency_ms_p99 is not None:
        text += f" P99 {words.amount(promise.latency_ms_p99, 'ms')}."
    if promise.availability is not None:
        text += f" Availability {words.share(promise.availability, digits=3)}."
    return text


def _binding(plan: Plan) -> list[str]:
    """Return which limits ruled out candidates that would have been cheaper, and how often."""
    cheaper: list[str] = []
    counts: Counter[str] = Counter()
    placed = {(a.pipeline, a.task): a for a in plan.placement.assignments}
    for explanation in plan.placement.explanations:
        chosen = placed.get((explanation.pipeline, explanation.task))
        for verdict in explanation.verdicts:
            if verdict.ruling is not Ruling.REFUSED or verdict.binding is None:
                continue
            counts[verdict.binding.limit.value] += 1
            cost = verdict.cost_micro_dollars
            if chosen is not None and cost is not None and cost < chosen.cost_micro_dollars:
                cheaper.append(f"{verdict.binding.limit.value} of {explanation.task}")
    lines = []
    if cheaper:
        named = "; ".join(dict.fromkeys(cheaper))
        lines.append(f"Binding: {named}: without it a cheaper place would do.")
    if counts:
        most = ", ".join(f"{count} by {limit}" for limit, count in counts.most_common(4))
        lines.append(f"Candidates ruled out: {most}.")
    return lines


def _commands(plan: Plan) -> list[str]:
    """Return the next sensible commands: the dearest task is the one worth explaining."""
    placed = [a for a in plan.placement.assignments if a.end_seconds_p95 is not None]
    dearest = max(placed, key=lambda a: a.cost_micro_dollars, default=None)
    missing = plan.placement.unplaced
    task = missing[0].task if missing else dearest.task if dearest else ""
    apply = [] if missing else [f"berth apply {plan.plan_id}"]
    change = f"berth what-if {plan.plan_id} --set deadline=..."
    return [f"berth explain {plan.plan_id} {task}".rstrip(), *apply, change]
