"""A plan while it is searched for: which option each job takes, and when it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engine.model.specs import Join
from placement.problem import transfers
from placement.problem.instance import Instance, Job, Option
from placement.search.timeline import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Options and starts (milliseconds after `as_of`) of the jobs that are placed."""

    options: Mapping[int, Option]
    starts: Mapping[int, int]

    def end_ms(self, job: int) -> int:
        """Return when a placed job ends at its planned level; a serve job when it starts."""
        return self.starts[job] + self.options[job].duration_ms


EMPTY = Draft(options={}, starts={})


def objective(instance: Instance, options: Mapping[int, Option]) -> int:
    """Return the money of a choice of options, moves of data included, in micro-dollars."""
    own = sum(option.objective for option in options.values())
    return own + sum(moved(instance, options, range(len(instance.edges))))


def moved(instance: Instance, options: Mapping[int, Option], edges: Iterable[int]) -> Iterable[int]:
    """Yield what the data on each of some edges cost to move."""
    for index in edges:
        edge = instance.edges[index]
        source, target = options.get(edge.source), options.get(edge.target)
        if source is not None and target is not None:
            volume, chance = edge.volume_gib, edge.probability
            yield transfers.cost(volume, chance, source.cluster, target.cluster)


def unplaced_weight(instance: Instance, options: Mapping[int, Option]) -> int:
    """Return the SLA weight of the jobs that have no place."""
    return sum(job.weight for job in instance.jobs if job.index not in options)


def spent(instance: Instance, options: Mapping[int, Option], line: int) -> int:
    """Return what counts against a pipeline's budget: serving by the hour, or a run."""
    of = instance.lines[line]
    jobs = [instance.jobs[index] for index in of.jobs if index in options]
    total = of.spent + sum(options[j.index].cost for j in jobs if j.serve == of.budget_is_serving)
    if of.budget_is_serving:
        return total
    own = [
        index
        for index, edge in enumerate(instance.edges)
        if instance.jobs[edge.source].line == line
    ]
    return total + sum(moved(instance, options, own))


def over_budget(instance: Instance, options: Mapping[int, Option], line: int) -> bool:
    """Whether a pipeline costs more than it may."""
    budget = instance.lines[line].budget
    return budget is not None and spent(instance, options, line) > budget


def may_run(job: Job, placed: Mapping[int, Option]) -> bool:
    """Whether the jobs that must come first have a place."""
    waits = [upstream in placed for upstream in job.upstream]
    return not waits or (any(waits) if job.spec.join is Join.ANY else all(waits))


def ready_ms(job: Job, draft: Draft) -> int:
    """Return when the last of the jobs that come first has ended."""
    ends = [draft.end_ms(upstream) for upstream in job.upstream if upstream in draft.options]
    return max([job.release_ms, *ends])


def board_of(instance: Instance, draft: Draft, *, without: Iterable[int] = ()) -> Board:
    """Return what a draft takes, some of its jobs left out."""
    left_out = set(without)
    board = Board(instance)
    for index, option in draft.options.items():
        if index not in left_out:
            board.put(instance.jobs[index], option, draft.starts[index])
    return board


def timed(
    instance: Instance, options: Mapping[int, Option], hoped: Mapping[int, int]
) -> Draft | None:
    """Return the plan in which each job starts as early as it can, in the order of `hoped`.

    Exact: every start is the first at which the job fits beside those before it. None when a
    job would be late, which then asks for another order.
    """
    board = Board(instance)
    draft = Draft(options={}, starts={})
    depth = {job.index: number for number, job in enumerate(instance.jobs)}
    for index in sorted(options, key=lambda i: (hoped[i], depth[i])):
        job, option = instance.jobs[index], options[index]
        start = board.earliest(job, option, ready_ms(job, draft), job.latest_ms)
        if start is None:
            return None
        board.put(job, option, start)
        draft = Draft(
            options={**draft.options, index: option}, starts={**draft.starts, index: start}
        )
    return draft
