"""Single moves: one job goes elsewhere, all others keep their place, starts follow.

A move is evaluated exactly: the job and those that wait for it are taken out, and each is put
back at its first possible start; all other jobs stay where and when they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from placement.problem import lateness
from placement.problem.instance import Instance, Job, Option
from placement.search import draft as drafts
from placement.search.board import Board
from placement.search.draft import Draft

SWEEP_LIMIT = 50
"""Sweeps over all jobs in which single moves are looked for; each gains, most plans need three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A plan from which one job and those that wait for it were taken, ready for moves."""

    job: Job
    board: Board
    rest: Draft
    followers: tuple[int, ...]


def bench(instance: Instance, plan: Draft, job: Job, board: Board | None = None) -> Bench:
    """Take a job and those that wait for it out of a plan.

    board: what the whole plan takes, where that is at hand; it is not changed.
    """
    followers = tuple(index for index in job.descendants if index in plan.options)
    here = drafts.board_of(instance, plan) if board is None else board.copy()
    gone = [index for index in (job.index, *followers) if index in plan.options]
    for index in gone:
        here.remove(instance.jobs[index], plan.options[index], plan.starts[index])
    return Bench(
        job=job,
        board=here,
        rest=drafts.without(plan, gone),
        followers=tuple(sorted(followers, key=lambda i: (plan.starts[i], i))),
    )


def moved(instance: Instance, plan: Draft, at: Bench, option: Option) -> Draft | None:
    """Return the plan in which the job takes an option; None when that cannot be."""
    options: dict[int, Option] = {**plan.options, at.job.index: option}
    dearer = instance.budget is not None and delta(instance, plan, at.job, option) > 0
    if drafts.over_budget(instance, options, at.job.line):
        return None
    if dearer and drafts.over_all(instance, options):
        return None
    if instance.whole and any(i not in options for i in instance.lines[at.job.line].jobs):
        return None
    return retimed(instance, at, options)


def retimed(instance: Instance, at: Bench, options: Mapping[int, Option]) -> Draft | None:
    """Return the plan with new starts for the job and those that wait for it, if they fit."""
    board = at.board.copy()
    placed = dict(at.rest.options)
    starts = dict(at.rest.starts)
    nodes = dict(at.rest.nodes)
    draft = Draft(options=placed, starts=starts, nodes=nodes)
    for index in (at.job.index, *at.followers):
        job, option = instance.jobs[index], options[index]
        if not drafts.may_run(job, placed):
            return None
        start = board.earliest(job, option, drafts.ready_ms(job, draft), job.latest_ms)
        if start is None:
            return None
        nodes[index] = board.put(job, option, start)
        placed[index], starts[index] = option, start
    return draft


def delta(instance: Instance, plan: Draft, job: Job, option: Option) -> int:
    """Return the change of the objective when a job takes an option, in micro-dollars."""
    old = plan.options.get(job.index)
    before = drafts.added(instance, plan.options, job, old) if old else 0
    return drafts.added(instance, plan.options, job, option) - before


def change(instance: Instance, plan: Draft, job: Job, option: Option, after: Draft) -> int:
    """Return the change of the objective when a move leads to a plan, lateness included.

    Both plans may be of the job's pipeline alone: a move makes no other later.
    """
    before, then = (lateness.cost(instance, d.options, d.starts, job.line) for d in (plan, after))
    return delta(instance, plan, job, option) + then - before


def closed(instance: Instance, plan: Draft) -> Draft:
    """Return the plan after every single move that places more or costs less."""
    for _ in range(SWEEP_LIMIT):
        better = _swept(instance, plan)
        if better is plan:
            return plan
        plan = better
    return plan


def _swept(instance: Instance, plan: Draft) -> Draft:
    """Return the plan after one look at every job; the same plan when nothing was gained."""
    board: Board | None = None
    for job in instance.jobs:
        placed = job.index in plan.options
        if instance.whole and not placed:
            continue
        gains = [(delta(instance, plan, job, o), o.pool_index, o) for o in job.options]
        late = lateness.late_ms(instance, plan.options, plan.starts, job.line) > 0
        worth = [gain for gain in gains if gain[0] < 0 or late or not placed]
        if not worth or not drafts.may_run(job, plan.options):
            continue
        board = drafts.board_of(instance, plan) if board is None else board
        better = _moved_best(instance, plan, bench(instance, plan, job, board), worth)
        if better is not None:
            plan, board = better, None
    return plan


def _moved_best(
    instance: Instance, plan: Draft, at: Bench, worth: list[tuple[int, int, Option]]
) -> Draft | None:
    placed, ways = at.job.index in plan.options, sorted(worth, key=lambda gain: gain[:2])
    if instance.lines[at.job.line].late_price and placed:
        return _least_late(instance, plan, at, [option for _, _, option in ways])
    for _, _, option in ways:
        better = moved(instance, plan, at, option)
        if better is not None:
            return better
    return None


def _least_late(
    instance: Instance, plan: Draft, at: Bench, options: Sequence[Option]
) -> Draft | None:
    """Return the plan after the move that saves most, where ends cost money too."""
    best: tuple[int, Draft] | None = None
    for option in options:
        after = moved(instance, plan, at, option)
        if after is None:
            continue
        saved = change(instance, plan, at.job, option, after)
        if saved < (0 if best is None else best[0]):
            best = (saved, after)
    return None if best is None else best[1]
