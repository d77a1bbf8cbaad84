"""Single moves: one job goes elsewhere, all others keep their place, starts follow.

A move is evaluated exactly: the job and those that wait for it are taken out, and each is put
back at its first possible start; all other jobs stay where and when they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from placement.problem.instance import Instance, Job, Option
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.timeline import Board

ROUND_LIMIT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A plan from which one job and those that wait for it were taken, ready for moves."""

    job: Job
    board: Board
    rest: Draft
    followers: tuple[int, ...]


def bench(instance: Instance, plan: Draft, job: Job) -> Bench:
    """Take a job and those that wait for it out of a plan."""
    followers = tuple(index for index in job.descendants if index in plan.options)
    gone = {job.index, *followers}
    rest = Draft(
        options={i: o for i, o in plan.options.items() if i not in gone},
        starts={i: s for i, s in plan.starts.items() if i not in gone},
    )
    return Bench(
        job=job,
        board=drafts.board_of(instance, rest),
        rest=rest,
        followers=tuple(sorted(followers, key=lambda i: (plan.starts[i], i))),
    )


def moved(instance: Instance, plan: Draft, at: Bench, option: Option) -> Draft | None:
    """Return the plan in which the job takes an option; None when that cannot be."""
    options: dict[int, Option] = {**plan.options, at.job.index: option}
    if drafts.over_budget(instance, options, at.job.line):
        return None
    return retimed(instance, at, options)


def retimed(instance: Instance, at: Bench, options: Mapping[int, Option]) -> Draft | None:
    """Return the plan with new starts for the job and those that wait for it, if they fit."""
    board = at.board.copy()
    placed = dict(at.rest.options)
    starts = dict(at.rest.starts)
    for index in (at.job.index, *at.followers):
        job, option = instance.jobs[index], options[index]
        if not drafts.may_run(job, placed):
            return None
        ready = drafts.ready_ms(job, Draft(options=placed, starts=starts))
        start = board.earliest(job, option, ready, job.latest_ms)
        if start is None:
            return None
        board.put(job, option, start)
        placed[index], starts[index] = option, start
    return Draft(options=placed, starts=starts)


def delta(instance: Instance, plan: Draft, job: Job, option: Option) -> int:
    """Return the change of the objective when a job takes an option, in micro-dollars."""
    touched = [
        index
        for index, edge in enumerate(instance.edges)
        if job.index in {edge.source, edge.target}
    ]
    old = plan.options.get(job.index)
    new = {**plan.options, job.index: option}
    before = sum(drafts.moved(instance, plan.options, touched)) + (old.objective if old else 0)
    return option.objective + sum(drafts.moved(instance, new, touched)) - before


def closed(instance: Instance, plan: Draft) -> Draft:
    """Return the plan after every single move that places more or costs less."""
    for _ in range(ROUND_LIMIT):
        better = _improved(instance, plan)
        if better is None:
            return plan
        plan = better
    return plan


def _improved(instance: Instance, plan: Draft) -> Draft | None:
    for job in instance.jobs:
        placed = job.index in plan.options
        gains = [(delta(instance, plan, job, o), o.pool_index, o) for o in job.options]
        worth = [gain for gain in gains if gain[0] < 0 or not placed]
        if not worth:
            continue
        at = bench(instance, plan, job)
        for _, _, option in sorted(worth, key=lambda gain: gain[:2]):
            better = moved(instance, plan, at, option)
            if better is not None:
                return better
    return None
