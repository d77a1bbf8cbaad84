"""A plan within milliseconds, so that no solve ever comes back empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from placement.problem import lateness
from placement.problem.bonds import strands
from placement.problem.instance import Instance, Job, Option
from placement.search import draft as drafts
from placement.search.board import Board
from placement.search.draft import Draft

Taste = Callable[[Option, int, int], tuple[int, ...]]
"""Orders the ways to place a job, from the option, its start and what it adds to the money."""

_Way = tuple[tuple[int, ...], Option, int, int]
"""How good a way is (the less the better), its option, its start, and the money that it adds."""


def greedy(instance: Instance) -> Draft:
    """Return the best of two simple plans: each job where it is cheapest, or ends first."""
    plans = [_place(instance, taste) for taste in (cheapest, soonest)]
    return min(plans, key=lambda plan: value(instance, plan))


def value(instance: Instance, plan: Draft) -> tuple[int, int]:
    """Return what is minimised: unplaced SLA weight first, money second."""
    unplaced = drafts.unplaced_weight(instance, plan.options)
    late = lateness.total(instance, plan.options, plan.starts)
    return unplaced, drafts.objective(instance, plan.options) + late


def cheapest(option: Option, start: int, money: int) -> tuple[int, ...]:
    """Prefer little money."""
    return (money, start + option.duration_ms, option.pool_index)


def soonest(option: Option, start: int, money: int) -> tuple[int, ...]:
    """Prefer an early end."""
    return (start + option.duration_ms, money, option.pool_index)


def urgency(instance: Instance, number: int) -> tuple[float, int, int]:
    """Return by what pipelines are placed one after the other: weight first, then deadline."""
    line = instance.lines[number]
    deadline = instance.end_ms if line.deadline_ms is None else line.deadline_ms
    return (-line.spec.sla.weight, deadline, number)


def due_ms(instance: Instance, job: Job) -> int:
    """Return when a job is to have ended: a deadline at a price is kept too where that is easy."""
    deadline = None if job.serve else instance.lines[job.line].deadline_ms
    return job.latest_ms if deadline is None else min(job.latest_ms, deadline)


def place_line(
    instance: Instance, board: Board, jobs: Sequence[int], taste: Taste, room: int | None
) -> Draft:
    """Put the jobs of one pipeline on a board, one after the other; return their places.

    Jobs that find none are left out, and so are those that need them. room: most money that may
    be added; None for no limit.
    """
    draft = Draft(options={}, starts={}, nodes={})
    options, starts, nodes = dict[int, Option](), dict[int, int](), dict[int, tuple[int, ...]]()
    draft = Draft(options=options, starts=starts, nodes=nodes)
    for index in jobs:
        job = instance.jobs[index]
        if not drafts.may_run(job, options):
            continue
        found = _best(instance, board, job, draft, (taste, room))
        if found is None:
            continue
        option, start, money = found
        nodes.update(board.put(job, option, start))
        options[index], starts[index] = option, start
        room = None if room is None else room - money
    return draft


def _place(instance: Instance, taste: Taste) -> Draft:
    """Place job by job, the pipelines that weigh most and end first before the others."""
    board = Board(instance)
    options, starts, nodes = dict[int, Option](), dict[int, int](), dict[int, tuple[int, ...]]()
    room = instance.budget
    for number in sorted(range(len(instance.lines)), key=lambda n: urgency(instance, n)):
        jobs = instance.lines[number].jobs
        trial = board.copy() if instance.whole else board
        placed = place_line(instance, trial, jobs, taste, room)
        if instance.whole and len(placed.options) < len(jobs):
            continue
        board = trial
        options.update(placed.options)
        starts.update(placed.starts)
        nodes.update(placed.nodes)
        if room is not None:
            room -= drafts.line_value(instance, options, number)[1]
    return Draft(options=options, starts=starts, nodes=nodes)


def _latest_ms(job: Job, best: _Way | None, due: int, taste: Taste) -> int:
    """Return when a way must have ended that may still be better than the best so far."""
    if best is None or best[0][0]:
        return job.latest_ms
    end = best[2] + best[1].duration_ms
    return min(job.latest_ms, due, end if taste is soonest else due)


def _best(
    instance: Instance, board: Board, job: Job, placed: Draft, wish: tuple[Taste, int | None]
) -> tuple[Option, int, int] | None:
    """Return the option and start that taste best of those in time and within the budget.

    Ways that leave time for the jobs that wait for this one, and a place for those that must stand
    beside it, come before those that do not. The money that the way adds stands third.
    """
    taste, room = wish
    ready = drafts.ready_ms(job, placed)
    budget = instance.lines[job.line].budget
    due = due_ms(instance, job)
    best: _Way | None = None
    for option in job.options:
        money = drafts.added(instance, placed.options, job, option)
        if room is not None and money > room:
            continue
        if budget is not None and drafts.over_budget(
            instance, {**placed.options, job.index: option}, job.line
        ):
            continue
        # The earliest end that can be is enough to see that a way is no better than the best.
        stranded = bool(job.bonds) and strands(placed.options, job, option)
        late = stranded or ready + option.duration_ms > due - job.tail_ms
        if best is not None and (int(late), *taste(option, ready, money)) >= best[0]:
            continue
        start = board.earliest(job, option, ready, _latest_ms(job, best, due - job.tail_ms, taste))
        if start is None:
            continue
        late = stranded or start + option.duration_ms > due - job.tail_ms
        way = ((int(late), *taste(option, start, money)), option, start, money)
        best = way if best is None or way[0] < best[0] else best
    return None if best is None else best[1:]
