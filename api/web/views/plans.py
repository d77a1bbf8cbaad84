"""Plans as pages show them: where each task runs and why, what was promised, what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from api.report import explanations, phrases, training, words
from api.report import plans as plan_report
from api.report.profiles import grounds_of
from api.report.tables import PLAIN
from api.web import cells
from engine.model import plans, profiles, resources, specs

_TONES = {
    plans.Ruling.CHOSEN: cells.Tone.OK,
    plans.Ruling.POSSIBLE: cells.Tone.BUSY,
    plans.Ruling.REFUSED: cells.Tone.QUIET,
}
_ORDER = list(_TONES)
NEARLY_CERTAIN = 0.9995


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why one task runs where it does: all candidates, break-evens, the profile's evidence."""

    task: str
    anchor: str
    place: str
    sentence: str
    candidates: cells.Table
    turning_points: tuple[str, ...]
    profile: cells.Table
    grounds: tuple[str, ...]
    evidence: str


def plan_list(stored: Sequence[plans.Plan], now: float) -> cells.Table:
    """Return all plans, newest first."""
    return cells.table(
        "Plans",
        [
            "Plan",
            "Pipelines",
            "Made",
            "Mode",
            ("A run costs", "number"),
            ("Serving costs", "number"),
            ("Deadline kept", "number"),
            ("Above the best by at most", "number"),
        ],
        (_plan_row(plan, now) for plan in stored),
    )


def _plan_row(plan: plans.Plan, now: float) -> tuple[cells.Cell | str, ...]:
    promises = plan.placement.promises
    kept = [one.keep_forecast for one in promises if one.keep_forecast is not None]
    missing = len(plan.placement.unplaced)
    mode = plan.request.mode.value
    return (
        cells.link(plan.plan_id, "/plans"),
        ", ".join(pipeline.name for pipeline in plan.request.pipelines),
        cells.moment(plan.request.as_of, now),
        cells.Cell(f"{mode}, {missing} not placed", tone=cells.Tone.BAD) if missing else mode,
        words.money(sum(one.run_cost_micro_dollars for one in promises)),
        f"{words.money(sum(one.serving_micro_dollars_per_hour for one in promises))}/h",
        chance(min(kept)) if kept else words.NOTHING,
        words.share(plan.placement.gap),
    )


def assignments(plan: plans.Plan) -> cells.Table:
    """Return where and when each task runs, in the order of the pipelines."""
    order = {
        (pipeline.name, task.name): number
        for number, (pipeline, task) in enumerate(
            (pipeline, task) for pipeline in plan.request.pipelines for task in pipeline.tasks
        )
    }
    rows = [
        (order.get((one.pipeline, one.task), len(order)), _assignment(plan, one))
        for one in plan.placement.assignments
    ] + [
        (order.get((one.pipeline, one.task), len(order)), _unplaced(plan, one))
        for one in plan.placement.unplaced
    ]
    return cells.table(
        "Where each task runs",
        [
            "Task",
            "Where",
            "When",
            "Start",
            "End, P95",
            ("Slack", "number"),
            ("Cost", "number"),
            ("Chance", "number"),
            ("Why", "text"),
        ],
        (row for _, row in sorted(rows, key=lambda pair: pair[0])),
    )


def _assignment(plan: plans.Plan, one: plans.Assignment) -> tuple[cells.Cell | str, ...]:
    nodes = f"{one.node_count} \N{MULTIPLICATION SIGN} " if one.node_count > 1 else ""
    cost = words.money(one.cost_micro_dollars)
    return (
        cells.Cell(_name(plan, one.pipeline, one.task), href=f"#{anchor(one.pipeline, one.task)}"),
        cells.Cell(cells.place(one.cluster, one.pool), note=f"{nodes}{one.machine}"),
        cells.Cell("", bar=_bar(plan, one)),
        _clock(plan, one.start_seconds),
        _clock(plan, one.end_seconds_p95),
        words.duration(one.slack_seconds),
        f"{cost}/h" if one.end_seconds_p50 is None else cost,
        words.share(one.probability, digits=0),
        one.why,
    )


def _unplaced(plan: plans.Plan, one: plans.Unplaced) -> tuple[cells.Cell | str, ...]:
    nothing = words.NOTHING
    return (
        cells.Cell(_name(plan, one.pipeline, one.task), href=f"#{anchor(one.pipeline, one.task)}"),
        cells.Cell("not placed", tone=cells.Tone.BAD),
        *([nothing] * 6),
        phrases.refusal(one.refusal, near=plan.request.as_of),
    )


def _bar(plan: plans.Plan, one: plans.Assignment) -> cells.Bar:
    """Return when a task runs between the first start and the last end; serving goes on."""
    began = plan.request.as_of
    ends = [a.end_seconds_p95 for a in plan.placement.assignments if a.end_seconds_p95 is not None]
    full = max([*ends, *(a.start_seconds for a in plan.placement.assignments), began + 1.0]) - began

    def across(at: float) -> float:
        return round(100 * min(1.0, max(0.0, (at - began) / full)), 1)

    start = across(one.start_seconds)
    if one.end_seconds_p50 is None or one.end_seconds_p95 is None:
        return cells.Bar(start, 100 - start)
    middle, end = across(one.end_seconds_p50), across(one.end_seconds_p95)
    return cells.Bar(start, max(1.0, middle - start), max(0.0, end - middle))


def _name(plan: plans.Plan, pipeline: str, task: str) -> str:
    return task if len(plan.request.pipelines) == 1 else plans.task_key(pipeline, task)


def anchor(pipeline: str, task: str) -> str:
    """Return the id of the part of a plan's page that says why a task runs where it does."""
    return f"why-{pipeline}-{task}"


def _clock(plan: plans.Plan, at: float | None) -> str:
    if at is None:
        return words.NOTHING
    return phrases.clock(at, near=plan.request.as_of, seconds=plan_report.is_fine(plan))


def promises(plan: plans.Plan) -> list[tuple[str, str]]:
    """Return what the plan promises, as pairs of name and value."""
    pairs: list[tuple[str, str]] = []
    for one in plan.placement.promises:
        of = "" if len(plan.placement.promises) == 1 else f" ({one.pipeline})"
        if one.keep_forecast is not None:
            asked = f"{chance(one.keep_forecast)}, asked {words.share(one.keep_asked, digits=0)}"
            pairs.append((f"Deadline kept with probability{of}", asked))
            pairs.append((f"Deadline{of}", _deadline(plan, one)))
        p95 = words.money(one.run_cost_micro_dollars_p95)
        pairs.append((f"A run costs{of}", f"{words.money(one.run_cost_micro_dollars)}, P95 {p95}"))
        if one.serving_micro_dollars_per_hour:
            hourly = words.money(one.serving_micro_dollars_per_hour)
            pairs.append((f"Serving costs{of}", f"{hourly}/h"))
        if one.latency_ms_p99 is not None:
            pairs.append((f"Latency, P99{of}", words.amount(one.latency_ms_p99, "ms")))
        if one.availability is not None:
            pairs.append((f"Availability{of}", words.share(one.availability, digits=2)))
    best = "proven" if plan.placement.optimal else f"within {words.share(plan.placement.gap)}"
    pairs.append(("Best possible", best))
    return pairs


def chance(probability: float | None) -> str:
    """Return a probability in per cent; what is not quite certain is never told as certain."""
    if probability is not None and probability >= NEARLY_CERTAIN:
        return "over 99.9 %"
    return words.share(probability)


def _deadline(plan: plans.Plan, one: plans.Promise) -> str:
    if one.deadline_seconds is None:
        return words.NOTHING
    left = words.duration(one.deadline_seconds - plan.request.as_of)
    return f"{_clock(plan, one.deadline_seconds)}, {left} after the plan"


def limits(plan: plans.Plan) -> str:
    """Return how many candidates each limit ruled out."""
    counts = Counter(
        verdict.binding.limit.value
        for one in plan.placement.explanations
        for verdict in one.verdicts
        if verdict.binding is not None
    )
    ruled = ", ".join(f"{count} by {limit}" for limit, count in counts.most_common())
    return f"Candidates ruled out: {ruled}." if ruled else "No candidate was ruled out."


def sharing(plan: plans.Plan) -> cells.Table:
    """Return which tasks share nodes, and what that saves."""
    return cells.table(
        "Tasks that share machines",
        ["Pool", ("Nodes, each alone", "number"), ("Nodes, shared", "number"), ("Tasks", "text")],
        (
            (
                cells.place(one.cluster, one.pool),
                str(one.nodes_alone),
                str(one.nodes_shared),
                ", ".join(_name(plan, *key.split("/", 1)) for key in one.tasks),
            )
            for one in plan.placement.sharing
        ),
    )


def reasons(plan: plans.Plan) -> list[Reasons]:
    """Return the reasons of every task, in the order of the plan."""
    return [_reasons(plan, one) for one in plan.placement.explanations]


def _reasons(plan: plans.Plan, one: plans.Explanation) -> Reasons:
    profile = plan.profiles[plans.task_key(one.pipeline, one.task)]
    chosen = plan.assignment(one.pipeline, one.task)
    choice = training.choice_of(plan, one.pipeline, one.task)
    said = [explanations.heading(plan, one, chosen, PLAIN)]
    return Reasons(
        task=_name(plan, one.pipeline, one.task),
        anchor=anchor(one.pipeline, one.task),
        place=cells.place(chosen.cluster, chosen.pool) if chosen else "not placed",
        sentence=" ".join(said if choice is None else [*said, training.sentence(choice)]),
        candidates=_candidates(plan, one, chosen),
        turning_points=tuple(
            explanations.turning_point(plan, item, PLAIN) for item in one.break_evens
        ),
        profile=_profile(profile),
        grounds=grounds_of(profile),
        evidence=explanations.profile_text(profile),
    )


def _candidates(
    plan: plans.Plan, one: plans.Explanation, chosen: plans.Assignment | None
) -> cells.Table:
    ordered = sorted(
        one.verdicts,
        key=lambda v: (_ORDER.index(v.ruling), v.delta_micro_dollars or 0, v.cluster, v.pool),
    )
    return cells.table(
        f"Candidates for {one.task}",
        [
            "Candidate",
            "Verdict",
            ("Because", "text"),
            ("Against the plan", "number"),
            ("Cost", "number"),
            "End, P95",
        ],
        (
            (
                cells.Cell(cells.place(verdict.cluster, verdict.pool), note=verdict.machine),
                cells.Cell(verdict.ruling.value, tone=_TONES[verdict.ruling]),
                _because(plan, verdict, chosen),
                f"+ {explanations.cost(verdict.delta_micro_dollars, chosen)}"
                if verdict.ruling is plans.Ruling.POSSIBLE
                else words.NOTHING,
                explanations.cost(verdict.cost_micro_dollars, chosen),
                _clock(plan, verdict.end_seconds_p95),
            )
            for verdict in ordered
        ),
    )


def _because(
    plan: plans.Plan, verdict: plans.Verdict, chosen: plans.Assignment | None
) -> cells.Cell:
    """Return the one limit that binds, with the others behind it."""
    others = "; ".join(phrases.refusal(item, near=plan.request.as_of) for item in verdict.also)
    text = explanations.because(plan, verdict, chosen, PLAIN)
    return cells.Cell(text, note=f"also {others}" if others else "")


def _profile(profile: profiles.Profile) -> cells.Table:
    rows: list[tuple[str, ...]] = []
    if profile.duration_seconds is not None:
        values = [words.duration(value) for value in profile.duration_seconds.values]
        rows.append(("duration", *values))
    for resource in resources.Resource:
        if profile.use.get(resource, ()):
            levels = [profile.peak(resource, level) for level in profiles.QUANTILE_LEVELS]
            rows.append((resource.value, *(words.readable(v, resource.unit) for v in levels)))
    levels_of_head = [(f"P{100 * level:.0f}", "number") for level in profiles.QUANTILE_LEVELS]
    return cells.table(f"Profile of {profile.task}", ["Needs", *levels_of_head], rows)


def title(plan: plans.Plan) -> str:
    """Return the plan's headline."""
    names = ", ".join(pipeline.name for pipeline in plan.request.pipelines)
    tasks = [task for pipeline in plan.request.pipelines for task in pipeline.tasks]
    serving = any(task.kind is specs.TaskKind.SERVE for task in tasks)
    ended = sum(map(len, plan.request.done.values()))
    return (
        f"{names}: {phrases.plural(len(tasks), 'task')}"
        + (", one of them serving" if serving else "")
        + (f", {ended} ended already" if ended else "")
    )
