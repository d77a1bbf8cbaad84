"""A plan within milliseconds, so that no solve ever comes back empty."""

from __future__ import annotations

from collections.abc import Callable

from placement.problem.instance import Instance, Job, Option
from placement.search import draft as drafts
from placement.search.draft import Draft
from placement.search.timeline import Board

Taste = Callable[[Option, int, int], tuple[int, ...]]
"""Orders the ways to place a job, from the option, its start and what it adds to the money."""


def greedy(instance: Instance) -> Draft:
    """Return the best of two simple plans: each job where it is cheapest, or ends first."""
    plans = [_place(instance, taste) for taste in (_cheapest, _soonest)]
    return min(plans, key=lambda plan: value(instance, plan))


def value(instance: Instance, plan: Draft) -> tuple[int, int]:
    """Return what is minimised: unplaced SLA weight first, money second."""
    unplaced = drafts.unplaced_weight(instance, plan.options)
    return unplaced, drafts.objective(instance, plan.options)


def _cheapest(option: Option, start: int, money: int) -> tuple[int, ...]:
    return (money, start + option.duration_ms, option.pool_index)


def _soonest(option: Option, start: int, money: int) -> tuple[int, ...]:
    return (start + option.duration_ms, money, option.pool_index)


def _place(instance: Instance, taste: Taste) -> Draft:
    """Place job by job, the pipelines that weigh most and end first before the others."""
    board = Board(instance)
    options: dict[int, Option] = {}
    starts: dict[int, int] = {}
    for number in sorted(range(len(instance.lines)), key=lambda n: _urgency(instance, n)):
        for index in instance.lines[number].jobs:
            job = instance.jobs[index]
            if not drafts.may_run(job, options):
                continue
            ready = drafts.ready_ms(job, Draft(options=options, starts=starts))
            found = _best(instance, board, job, options, ready, taste)
            if found is not None:
                options[index], starts[index] = found
                board.put(job, *found)
    return Draft(options=options, starts=starts)


def _urgency(instance: Instance, number: int) -> tuple[float, int, int]:
    line = instance.lines[number]
    deadline = instance.end_ms if line.deadline_ms is None else line.deadline_ms
    return (-line.spec.sla.weight, deadline, number)


def _best(
    instance: Instance,
    board: Board,
    job: Job,
    placed: dict[int, Option],
    ready: int,
    taste: Taste,
) -> tuple[Option, int] | None:
    """Return the option and start that taste best of those in time and within the budget.

    Ways that leave time for the jobs that wait for this one come before those that do not.
    """
    ways: list[tuple[tuple[int, ...], Option, int]] = []
    before = drafts.objective(instance, placed) if instance.edges else 0
    for option in job.options:
        start = board.earliest(job, option, ready, job.latest_ms)
        tried = {**placed, job.index: option}
        if start is None or drafts.over_budget(instance, tried, job.line):
            continue
        money = int(option.objective)
        if instance.edges:
            money = drafts.objective(instance, tried) - before
        late = start + option.duration_ms > job.latest_ms - job.tail_ms
        ways.append(((int(late), *taste(option, start, money)), option, start))
    if not ways:
        return None
    _, option, start = min(ways, key=lambda way: way[0])
    return option, start
