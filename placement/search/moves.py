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
"""Sweeps in which single moves are looked for; each gains, most plans need three."""


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
    job = at.job
    if not drafts.may_run(job, at.rest.options):
        return None
    if at.board.earliest(job, option, drafts.ready_ms(job, at.rest), job.latest_ms) is None:
        return None  # most moves end here, before anything is copied
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
        nodes.update(board.put(job, option, start))
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
    sweep = _Sweep(instance, plan)
    for _ in range(SWEEP_LIMIT):
        if not sweep.over_all_jobs():
            break
        for _ in range(SWEEP_LIMIT):
            if not sweep.where_room_was_made():
                break
    return sweep.plan


class _Sweep:
    """A plan with its board, and when what was last changed.

    A job whose better options are as full as they were when it was looked at last need not be
    looked at again; all are looked at once more in the end.
    """

    def __init__(self, instance: Instance, plan: Draft) -> None:
        self._instance = instance
        self.plan = plan
        self._board: Board | None = None
        self._now = 0
        self._looked = [-1] * len(instance.jobs)
        self._freed = [0] * len(instance.buckets)
        self._changed = [0] * len(instance.lines)

    def over_all_jobs(self) -> bool:
        """Make the moves of every job that gain; return whether there were any."""
        return sum(self._look(job) for job in self._instance.jobs) > 0

    def where_room_was_made(self) -> bool:
        """The same for the jobs that may find room where there was none."""
        return sum(self._look(job) for job in self._instance.jobs if self._may_gain(job)) > 0

    def _may_gain(self, job: Job) -> bool:
        looked, jobs = self._looked[job.index], self._instance.jobs
        return (
            self._instance.budget is not None
            or self._changed[job.line] > looked
            or any(self._freed[bucket] > looked for o in job.options for bucket in o.buckets)
            # Who it is bound to may have let it in, or go, without any room being made there.
            or any(self._changed[jobs[bond.other].line] > looked for bond in job.bonds)
        )

    def _look(self, job: Job) -> bool:
        """Make the best move of a job that gains, if any does."""
        instance, plan = self._instance, self.plan
        self._looked[job.index] = self._now
        placed = job.index in plan.options
        if instance.whole and not placed:
            return False
        worth = _worth(instance, plan, job)
        if not worth or not drafts.may_run(job, plan.options):
            return False
        if self._board is None:
            self._board = drafts.board_of(instance, plan)
        at = bench(instance, plan, job, self._board)
        better = _moved_best(instance, plan, at, worth)
        if better is None:
            return False
        self._now += 1
        for index in (job.index, *at.followers):
            for option in (plan.options.get(index), better.options[index]):
                for bucket in option.buckets if option is not None else ():
                    self._freed[bucket] = self._now
        self._changed[job.line] = self._now
        self.plan, self._board = better, _board_after(instance, at, better)
        return True


def _board_after(instance: Instance, at: Bench, better: Draft) -> Board:
    """Return what a plan takes in which a job was moved, and those that wait for it followed."""
    board = at.board
    for index in (at.job.index, *at.followers):
        option, start = better.options[index], better.starts[index]
        board.put(instance.jobs[index], option, start, better.nodes.get(index, ()))
    return board


def _worth(instance: Instance, plan: Draft, job: Job) -> list[tuple[int, int, Option]]:
    """Return the options that would gain: all for a job without a place, else the cheaper ones.

    All too where its pipeline ends late at a price: a dearer one may save more than it costs.
    """
    gains: list[tuple[int, int, Option]] = []
    taken = plan.options.get(job.index)
    late = lateness.late_ms(instance, plan.options, plan.starts, job.line) > 0
    most = None if taken is None or late else drafts.added(instance, plan.options, job, taken)
    for option in job.options:
        money = drafts.added(instance, plan.options, job, option)
        if most is None or money < most:
            gains.append((money, option.pool_index, option))
    return gains


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
