"""A plan while it is searched for: which option each job takes, and when it starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.model.fleet import Cluster
from engine.model.specs import Join
from placement.problem import lateness, transfers
from placement.problem.instance import Instance, Job, Option
from placement.search.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Options and starts (milliseconds after `as_of`) of the jobs that are placed.

    nodes: which nodes of their pools they take; of jobs that are not in it, nobody has looked.
    """

    options: Mapping[int, Option]
    starts: Mapping[int, int]
    nodes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

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
        origin = edge.origin or (source.cluster if source else None)
        if origin is not None and target is not None:
            yield _transfer(instance, index, origin, target.cluster)


def _transfer(instance: Instance, index: int, source: Cluster, target: Cluster) -> int:
    """Return what the data of an edge cost; searches ask for the same ones all the time."""
    key = (index, source.name, target.name)
    known = instance.transfers.get(key)
    if known is None:
        edge = instance.edges[index]
        known = transfers.cost(edge.volume_gib, edge.probability, source, target)
        instance.transfers[key] = known
    return known


def added(instance: Instance, options: Mapping[int, Option], job: Job, option: Option) -> int:
    """Return what a job without a place would add to the money of a choice of options."""
    edges = instance.job_edges[job.index]
    if not edges:
        return int(option.objective)
    return option.objective + sum(
        moved(instance, {**_ends(instance, options, edges), job.index: option}, edges)
    )


def _ends(
    instance: Instance, options: Mapping[int, Option], edges: Iterable[int]
) -> dict[int, Option]:
    """Return the options of the jobs at the ends of some edges."""
    ends = {
        end
        for index in edges
        for end in (instance.edges[index].source, instance.edges[index].target)
    }
    return {end: options[end] for end in ends if end in options}


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
    return total + sum(moved(instance, options, instance.line_edges[line]))


def line_value(instance: Instance, options: Mapping[int, Option], line: int) -> tuple[int, int]:
    """Return the unplaced weight and the money of one pipeline."""
    jobs = instance.lines[line].jobs
    unplaced = sum(instance.jobs[index].weight for index in jobs if index not in options)
    money = sum(options[index].objective for index in jobs if index in options)
    return unplaced, money + sum(moved(instance, options, instance.line_edges[line]))


def line_worth(instance: Instance, draft: Draft, line: int) -> tuple[int, int]:
    """Return the unplaced weight of one pipeline and its money with what its lateness costs."""
    weight, money = line_value(instance, draft.options, line)
    return weight, money + lateness.cost(instance, draft.options, draft.starts, line)


def over_budget(instance: Instance, options: Mapping[int, Option], line: int) -> bool:
    """Whether a pipeline costs more than it may."""
    budget = instance.lines[line].budget
    return budget is not None and spent(instance, options, line) > budget


def over_all(instance: Instance, options: Mapping[int, Option]) -> bool:
    """Whether all jobs together cost more than the plan may."""
    return instance.budget is not None and objective(instance, options) > instance.budget


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
    # Those that begin first take their nodes first, where nodes are not known.
    for index in sorted(draft.options, key=lambda i: (draft.starts[i], i)):
        if index not in left_out:
            nodes = draft.nodes.get(index, ())
            board.put(instance.jobs[index], draft.options[index], draft.starts[index], nodes)
    return board


def without(draft: Draft, jobs: Iterable[int]) -> Draft:
    """Return a draft with some jobs left out."""
    options, starts, nodes = dict(draft.options), dict(draft.starts), dict(draft.nodes)
    for index in jobs:
        for of in (options, starts, nodes):
            of.pop(index, None)
    return Draft(options=options, starts=starts, nodes=nodes)


def timed(
    instance: Instance,
    options: Mapping[int, Option],
    hoped: Mapping[int, int],
    board: Board | None = None,
) -> Draft | None:
    """Return the plan in which each job starts as early as it can, in the order of `hoped`.

    Exact: every start is the first at which the job fits beside those before it, node by node.
    None when a job would be late, which then asks for another order. board: what others take
    already; it is written to.
    """
    board = Board(instance) if board is None else board
    placed: dict[int, Option] = {}
    starts: dict[int, int] = {}
    nodes: dict[int, tuple[int, ...]] = {}
    draft = Draft(options=placed, starts=starts, nodes=nodes)
    # Jobs stand in the order of their pipelines, so that upstream jobs come first among equals.
    for index in sorted(options, key=lambda i: (hoped[i], i)):
        job, option = instance.jobs[index], options[index]
        start = board.earliest(job, option, ready_ms(job, draft), job.latest_ms)
        if start is None:
            return None
        nodes.update(board.put(job, option, start))
        placed[index], starts[index] = option, start
    return draft
