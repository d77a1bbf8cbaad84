"""Plans as pages show them: where each task runs and why, what was promised, what was refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from api.report import phrases, words
from api.web import cells
from engine.model import plans, profiles, resources, specs


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why one task runs where it does: all candidates, break-evens, the profile's evidence."""

    task: str
    candidates: cells.Table
    break_evens: tuple[str, ...]
    profile: cells.Table
    evidence: str


def plan_list(stored: Sequence[plans.Plan]) -> cells.Table:
    """Return all plans, newest first."""
    return cells.table(
        "Plans",
        ["Plan", "Pipelines", "As of", "Mode", ("A run costs", "number"), ("Gap", "number")],
        (
            (
                cells.Cell(plan.plan_id, href=f"/plans/{plan.plan_id}"),
                ", ".join(pipeline.name for pipeline in plan.request.pipelines),
                words.instant(plan.request.as_of),
                plan.request.mode.value,
                words.money(sum(p.run_cost_micro_dollars for p in plan.placement.promises)),
                words.share(plan.placement.gap),
            )
            for plan in stored
        ),
    )


def assignments(plan: plans.Plan) -> cells.Table:
    """Return where and when each task runs."""
    return cells.table(
        "Where each task runs",
        [
            "Task",
            "Where",
            "Machine",
            "Start",
            "End P95",
            ("Slack", "number"),
            ("Cost", "number"),
            ("Why", "text"),
        ],
        [_assignment(one) for one in plan.placement.assignments]
        + [_unplaced(one) for one in plan.placement.unplaced],
    )


def _assignment(one: plans.Assignment) -> tuple[cells.Cell | str, ...]:
    serving = one.end_seconds_p50 is None
    cost = words.money(one.cost_micro_dollars) + ("/h" if serving else "")
    return (
        cells.Cell(one.task, href=f"#why-{one.task}"),
        f"{one.cluster}/{one.pool}",
        one.machine if one.node_count == 1 else f"{one.node_count} x {one.machine}",
        words.clock_time(one.start_seconds),
        words.clock_time(one.end_seconds_p95),
        words.duration(one.slack_seconds),
        cost,
        one.why,
    )


def _unplaced(one: plans.Unplaced) -> tuple[cells.Cell | str, ...]:
    nothing = words.NOTHING
    return (
        one.task,
        cells.Cell("not placed", tone=cells.Tone.BAD),
        *([nothing] * 5),
        phrases.refusal(one.refusal),
    )


def promises(plan: plans.Plan) -> list[tuple[str, str]]:
    """Return what the plan promises, as pairs of name and value."""
    pairs: list[tuple[str, str]] = []
    for one in plan.placement.promises:
        if one.keep_forecast is not None:
            asked = f"{one.keep_forecast:.3f} (asked {one.keep_asked:g})"
            pairs.append((f"{one.pipeline}: deadline kept with probability", asked))
            pairs.append(("Deadline", words.instant(one.deadline_seconds)))
        pairs.append(("A run costs", words.money(one.run_cost_micro_dollars)))
        pairs.append(("Serving costs", f"{words.money(one.serving_micro_dollars_per_hour)}/h"))
    pairs.append(("At most above the best possible", words.share(plan.placement.gap)))
    return pairs


def sharing(plan: plans.Plan) -> cells.Table:
    """Return which tasks share nodes, and what that saves."""
    return cells.table(
        "Tasks that share machines",
        ["Pool", ("Tasks", "text"), ("Nodes, each alone", "number"), ("Nodes, shared", "number")],
        (
            (
                f"{one.cluster}/{one.pool}",
                ", ".join(one.tasks),
                str(one.nodes_alone),
                str(one.nodes_shared),
            )
            for one in plan.placement.sharing
        ),
    )


def reasons(plan: plans.Plan) -> list[Reasons]:
    """Return the reasons of every task, in the order of the plan."""
    return [
        Reasons(
            task=one.task,
            candidates=_candidates(one),
            break_evens=tuple(_break_even(b) for b in one.break_evens),
            profile=_profile(plan.profiles[plans.task_key(one.pipeline, one.task)]),
            evidence=_evidence(plan.profiles[plans.task_key(one.pipeline, one.task)]),
        )
        for one in plan.placement.explanations
    ]


_TONES = {
    plans.Ruling.CHOSEN: cells.Tone.OK,
    plans.Ruling.POSSIBLE: cells.Tone.BUSY,
    plans.Ruling.REFUSED: cells.Tone.QUIET,
}


def _candidates(one: plans.Explanation) -> cells.Table:
    return cells.table(
        f"Candidates for {one.task}",
        [
            "Candidate",
            "Machine",
            "Verdict",
            "End P95",
            ("Cost", "number"),
            ("Against the plan", "number"),
            ("Because", "text"),
        ],
        (
            (
                f"{verdict.cluster}/{verdict.pool}",
                verdict.machine,
                cells.Cell(verdict.ruling.value, tone=_TONES[verdict.ruling]),
                words.clock_time(verdict.end_seconds_p95),
                words.money(verdict.cost_micro_dollars),
                f"+ {words.money(verdict.delta_micro_dollars)}"
                if verdict.delta_micro_dollars is not None
                else words.NOTHING,
                phrases.refusal(verdict.binding) if verdict.binding else "",
            )
            for verdict in one.verdicts
        ),
    )


def _break_even(one: plans.BreakEven) -> str:
    place = f"{one.cluster}/{one.pool}"
    if one.turning is plans.Turning.PRICE:
        return f"it would move to {place} if that cost under {words.money(one.value)}/h"
    if one.turning is plans.Turning.DEADLINE:
        return f"it would move to {place} if the deadline were before {words.instant(one.value)}"
    return f"it would move to {place} if it needed under {words.amount(one.value, one.unit)}"


def _profile(profile: profiles.Profile) -> cells.Table:
    rows: list[tuple[str, ...]] = []
    if profile.duration_seconds is not None:
        values = [words.duration(value) for value in profile.duration_seconds.values]
        rows.append(("duration", *values))
    for resource in resources.Resource:
        slots = profile.use.get(resource, ())
        if slots:
            levels = [profile.peak(resource, level) for level in profiles.QUANTILE_LEVELS]
            rows.append((resource.value, *(words.amount(v, resource.unit) for v in levels)))
    numbers = [("P50", "number"), ("P80", "number"), ("P90", "number")]
    more = [("P95", "number"), ("P99", "number")]
    return cells.table(f"Profile of {profile.task}", ["Needs", *numbers, *more], rows)


def _evidence(profile: profiles.Profile) -> str:
    known = profile.evidence
    parts = [f"Forecast from {known.method.value}"]
    if known.like_run_count:
        nearest = known.like_runs[0] if known.like_runs else None
        near = f", nearest {nearest.name}" if nearest else ""
        parts.append(f"{known.like_run_count} runs{near}")
    if known.backtest_error is not None:
        parts.append(f"median off by {words.share(known.backtest_error)} in the back-test")
    if known.coverage_p95 is not None:
        parts.append(f"P95 covered {words.share(known.coverage_p95)}")
    if known.note:
        parts.append(known.note)
    return "; ".join(parts) + "."


def title(plan: plans.Plan) -> str:
    """Return the plan's headline."""
    names = ", ".join(pipeline.name for pipeline in plan.request.pipelines)
    count = sum(len(pipeline.tasks) for pipeline in plan.request.pipelines)
    serving = any(
        task.kind is specs.TaskKind.SERVE
        for pipeline in plan.request.pipelines
        for task in pipeline.tasks
    )
    return f"{names}: {count} tasks" + (", one of them serving" if serving else "")
