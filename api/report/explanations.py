"""Why a task runs where it does: every candidate with its verdict, and what would change it."""

from __future__ import annotations

from api.report import phrases, plans, training, words
from api.report.tables import PLAIN, Column, Style, following, paragraph, table
from engine.model.errors import NotFoundError
from engine.model.plans import (
    Assignment,
    BreakEven,
    Explanation,
    Plan,
    Ruling,
    Turning,
    Verdict,
    task_key,
)
from engine.model.profiles import Profile
from engine.model.resources import Resource

_COLUMNS = (
    Column(title="CANDIDATE"),
    Column(title="VERDICT"),
    Column(title="P95 END", right=True),
    Column(title="COST", right=True),
    Column(title="BECAUSE"),
)
_ROUNDING_MICRO_DOLLARS = 1
"""By how much an hour of a service is off for what the plan counts in whole micro-dollars."""

_ORDER = {Ruling.CHOSEN: 0, Ruling.POSSIBLE: 1, Ruling.REFUSED: 2}


def explanation_text(plan: Plan, task: str = "", style: Style = PLAIN, *, waits: str = "") -> str:
    """Return the explanation of one task (`TASK` or `PIPELINE/TASK`), or of every task.

    waits: what the task waits for at present, as a sentence; "" where it does not wait.

    Raises:
        NotFoundError: when the plan has no such task.
    """
    chosen = explanations_of(plan, task)
    blocks = [_one(plan, explanation, style) for explanation in chosen]
    if waits:
        blocks.append(paragraph(f"It waits for: {waits}", style))
    commands = _commands(plan, chosen[0]) if chosen else [f"berth apply {plan.plan_id}"]
    return "\n\n".join([*blocks, following(*commands)])


def explanations_of(plan: Plan, task: str = "") -> tuple[Explanation, ...]:
    """Return the explanation of one task (`TASK` or `PIPELINE/TASK`), or of every task.

    Raises:
        NotFoundError: when the plan has no such task.
    """
    every = plan.placement.explanations
    chosen = tuple(item for item in every if task in {"", item.task, _key(item)})
    if task and not chosen:
        known = ", ".join(item.task for item in every)
        message = f"plan {plan.plan_id} has no task {task!r}; it has {known or 'none'}"
        raise NotFoundError(message, fix=f"berth explain {plan.plan_id}")
    return chosen


def _key(explanation: Explanation) -> str:
    return task_key(explanation.pipeline, explanation.task)


def _one(plan: Plan, explanation: Explanation, style: Style) -> str:
    """Return heading, candidates, profile and break-evens of one task."""
    assignment = plan.assignment(explanation.pipeline, explanation.task)
    verdicts = sorted(
        explanation.verdicts,
        key=lambda v: (_ORDER[v.ruling], v.delta_micro_dollars or 0, v.cluster, v.pool),
    )
    rows = [_row(plan, verdict, assignment, style) for verdict in verdicts]
    profile = plan.profiles.get(_key(explanation))
    sentences = [] if profile is None else [profile_text(profile)]
    choice = training.choice_of(plan, explanation.pipeline, explanation.task)
    workers = [] if choice is None else [training.options_text(choice, style)]
    if choice is not None:
        sentences.append(training.sentence(choice))
    if profile is not None and profile.scaling is not None:
        sentences.append(training.known_by(profile.scaling))
    if explanation.break_evens:
        turns = "; ".join(turning_point(plan, item, style) for item in explanation.break_evens)
        sentences.append(f"It would move if: {turns}.")
    return "\n\n".join(
        [
            style.bold(heading(plan, explanation, assignment, style)),
            table(_COLUMNS, rows, style),
            *workers,
            "\n".join(paragraph(sentence, style) for sentence in sentences),
        ]
    ).rstrip()


def heading(
    plan: Plan, explanation: Explanation, assignment: Assignment | None, style: Style
) -> str:
    """Return the sentence that says where a task runs, from when, for how long, at what cost."""
    if assignment is None:
        return f"{explanation.task} was not placed."
    near, fine = plan.request.as_of, plans.is_fine(plan)
    start = phrases.clock(assignment.start_seconds, near=near, zone=style.zone, seconds=fine)
    text = f"{explanation.task} runs on {plans.where(plan, assignment)} from {start}"
    paid = cost(assignment.cost_micro_dollars, assignment)
    if assignment.end_seconds_p50 is None or assignment.end_seconds_p95 is None:
        return f"{text} until it is replaced, {paid}."
    median = words.duration(assignment.end_seconds_p50 - assignment.start_seconds)
    worst = words.duration(assignment.end_seconds_p95 - assignment.start_seconds)
    return f"{text}, {median} (P95 {worst}), {paid}."


def _row(
    plan: Plan, verdict: Verdict, assignment: Assignment | None, style: Style
) -> tuple[str, ...]:
    near = plan.request.as_of
    end = verdict.end_seconds_p95
    return (
        f"{verdict.cluster}/{verdict.pool}  {verdict.machine}",
        _ruling(verdict, assignment),
        words.NOTHING
        if end is None
        else phrases.clock(end, near=near, zone=style.zone, seconds=plans.is_fine(plan)),
        cost(verdict.cost_micro_dollars, assignment),
        because(plan, verdict, assignment, style),
    )


def _ruling(verdict: Verdict, assignment: Assignment | None) -> str:
    if verdict.ruling is Ruling.POSSIBLE and verdict.delta_micro_dollars is not None:
        return f"+ {cost(verdict.delta_micro_dollars, assignment)}"
    return verdict.ruling.value


def cost(micro_dollars: float | None, assignment: Assignment | None) -> str:
    """Return what a candidate of a task costs: of a run, by the hour where the task serves."""
    hourly = assignment is not None and assignment.end_seconds_p50 is None
    text = words.money(micro_dollars)
    return f"{text}/h" if hourly and micro_dollars is not None else text


def because(plan: Plan, verdict: Verdict, assignment: Assignment | None, style: Style) -> str:
    """Return what speaks against a candidate, or for the chosen one."""
    if verdict.binding is not None:
        return phrases.refusal(verdict.binding, near=plan.request.as_of, zone=style.zone)
    if verdict.ruling is Ruling.CHOSEN:
        return assignment.why if assignment else ""
    delta = verdict.delta_micro_dollars or 0
    if delta == 0:
        return "costs the same"
    base = assignment.cost_micro_dollars if assignment else 0
    text = f"costs {words.share(delta / base, digits=0)} more" if base else "costs more"
    there = verdict.cost_micro_dollars
    beside = 0 if there is None else delta - (there - base)
    if assignment is None or beside <= _ROUNDING_MICRO_DOLLARS:
        return text
    return f"{text}, {cost(beside, assignment)} of it for data, moves or lateness"


def profile_text(profile: Profile) -> str:
    """Return what the profile forecasts and on what evidence."""
    evidence = profile.evidence
    if profile.duration_seconds is None:
        need = f"{phrases.plural(profile.replicas, 'replica')} at the peak"
    else:
        median = words.duration(profile.duration_seconds.p50)
        need = f"{median} at the median (P95 {words.duration(profile.duration_seconds.p95)})"
        if profile.scaling is not None:
            need += f" by {phrases.plural(profile.replicas, 'worker')}"
    peaks = ", ".join(
        f"{resource.value} {words.readable(profile.peak(resource), resource.unit)}"
        for resource in Resource
        if profile.peak(resource) > 0
    )
    text = f"Profile: {need}; P95 peaks: {peaks or 'nothing'}; from {evidence.method.value}"
    if evidence.like_run_count:
        text += f", {phrases.plural(evidence.like_run_count, 'like run')}"
    if evidence.like_runs:
        nearest = evidence.like_runs[0]
        text += f" (nearest: {nearest.name}, {words.duration(nearest.duration_seconds)})"
    text += "."
    if evidence.coverage_p95 is not None:
        text += f" P95 covers {words.share(evidence.coverage_p95, digits=0)} of them."
    if evidence.note:
        text += f" {evidence.note[0].upper()}{evidence.note[1:].rstrip('.')}."
    return text


def turning_point(plan: Plan, item: BreakEven, style: Style) -> str:
    """Return one break-even as a condition."""
    place = f"{item.cluster}/{item.pool}"
    if item.turning is Turning.PRICE:
        return f"{place} cost under {words.money(item.value)}/h"
    if item.turning is Turning.DEADLINE:
        fine = plans.is_fine(plan)
        time = phrases.clock(item.value, near=plan.request.as_of, zone=style.zone, seconds=fine)
        return f"the deadline were before {time} (to {place})"
    return f"memory were under {words.amount(item.value, item.unit)} (to {place})"


def _commands(plan: Plan, explanation: Explanation) -> list[str]:
    down = plan.assignment(explanation.pipeline, explanation.task)
    change = [] if down is None else [f"berth what-if {plan.plan_id} --cluster {down.cluster}=down"]
    return [*change, f"berth apply {plan.plan_id}"]
