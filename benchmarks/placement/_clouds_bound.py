"""What no plan of a world of clouds can be cheaper than: a linear programme over slots of time.

A task may be split over pools and over time, as long as it does as much work, within the hours in
which its chain leaves it time; what runs in a slot takes room in sum of the pool, not node by node.
Every plan is such a plan too, so that the least money of these bounds the money of all. Nothing
here knows Berth or the anchor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from ortools.math_opt.python import mathopt

from benchmarks.frame import BenchmarkError
from benchmarks.placement._clouds_world import Pipeline, Way, World

SLOT_HOURS = 1.0
SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """The hours in which a task may run at all, however its chain runs."""

    begins: float
    ends: float

    def hours_in(self, slot: int) -> float:
        """Return how much of a slot lies in the window."""
        first, last = slot * SLOT_HOURS, (slot + 1) * SLOT_HOURS
        return max(min(self.ends, last) - max(self.begins, first), 0.0)


@dataclass(slots=True, kw_only=True)
class _Model:
    """The programme while it is made; loads: by pool, slot and resource what is taken."""

    world: World
    model: mathopt.Model
    money: list[mathopt.LinearTerm] = field(default_factory=list)
    loads: dict[tuple[int, int, int], list[mathopt.LinearTerm]] = field(default_factory=dict)


def least_usd(world: World, alone_usd: Mapping[str, float]) -> float:
    """Return money that no plan goes below in which some pipelines are kept.

    alone_usd: by the name of each of them the least that it costs in an empty world.

    Raises:
        BenchmarkError: The programme was not solved.
    """
    made = _Model(world=world, model=mathopt.Model())
    for pipeline in world.pipelines:
        if pipeline.name in alone_usd:
            before = len(made.money)
            _add_pipeline(made, pipeline)
            own = mathopt.fast_sum(made.money[before:])
            made.model.add_linear_constraint(own >= alone_usd[pipeline.name])
    for (pool, _, resource), terms in made.loads.items():
        has = world.pools[pool].room[resource] * world.pools[pool].nodes * SLOT_HOURS
        made.model.add_linear_constraint(mathopt.fast_sum(terms) <= has)
    made.model.minimize(mathopt.fast_sum(made.money))
    result = mathopt.solve(
        made.model,
        mathopt.SolverType.HIGHS,
        params=mathopt.SolveParameters(time_limit=timedelta(seconds=SECONDS)),
    )
    if result.termination.reason is not mathopt.TerminationReason.OPTIMAL:
        raise BenchmarkError(f"no bound on {world.name!r}: {result.termination.detail}")
    return float(result.objective_value())


def _add_pipeline(made: _Model, pipeline: Pipeline) -> None:
    """Add a chain: each task stands once, its data move, and all of it takes no longer than may."""
    shares: list[dict[int, mathopt.Variable]] = []
    hours: list[mathopt.LinearTerm] = []
    running: dict[int, list[mathopt.Variable]] = {}
    for position, window in enumerate(_windows(made.world, pipeline)):
        ways = made.world.ways[pipeline.name, pipeline.tasks[position].name]
        of_task = {way.pool.index: made.model.add_variable(lb=0.0, ub=1.0) for way in ways}
        made.model.add_linear_constraint(mathopt.fast_sum(of_task.values()) == 1.0)
        for way in ways:
            share = of_task[way.pool.index]
            made.money.append(way.usd * share)
            hours.append(way.hours * share)
            for slot, run in _runs(made, way, share, window):
                running.setdefault(slot, []).append(run)
        shares.append(of_task)
    may = pipeline.deadline_hour - pipeline.earliest_hour
    made.model.add_linear_constraint(mathopt.fast_sum(hours) <= may)
    for runs in running.values():
        # Tasks of a chain follow one another.
        made.model.add_linear_constraint(mathopt.fast_sum(runs) <= SLOT_HOURS)
    _add_data(made, pipeline, shares)


def _windows(world: World, pipeline: Pipeline) -> list[_Window]:
    """Return when each task may run if the others of its chain are as quick as they can be."""
    least = [
        min(way.hours for way in world.ways[pipeline.name, task.name]) for task in pipeline.tasks
    ]
    return [
        _Window(
            begins=pipeline.earliest_hour + sum(least[:position]),
            ends=pipeline.deadline_hour - sum(least[position + 1 :]),
        )
        for position in range(len(least))
    ]


def _runs(
    made: _Model, way: Way, share: mathopt.Variable, window: _Window
) -> Iterator[tuple[int, mathopt.Variable]]:
    """Yield for each slot the hours that a task runs on a pool in it."""
    runs = []
    for slot in range(int(window.begins / SLOT_HOURS), int(window.ends / SLOT_HOURS) + 1):
        most = window.hours_in(slot)
        if most <= 0.0:
            continue
        run = made.model.add_variable(lb=0.0, ub=most)
        if most < way.hours:
            made.model.add_linear_constraint(run <= most * share)
        for resource, part in enumerate(way.part):
            if part > 0.0:
                terms = made.loads.setdefault((way.pool.index, slot, resource), [])
                terms.append(part * way.nodes * run)
        runs.append(run)
        yield slot, run
    made.model.add_linear_constraint(mathopt.fast_sum(runs) == way.hours * share)


def _add_data(made: _Model, pipeline: Pipeline, shares: list[dict[int, mathopt.Variable]]) -> None:
    """Add what moving data costs, from the cluster of each task to that of the next."""
    world = made.world
    before = {pipeline.data_cluster: mathopt.LinearExpression() + 1.0}
    for position, of_task in enumerate(shares):
        by_cluster: dict[str, list[mathopt.Variable]] = {}
        for pool, share in of_task.items():
            by_cluster.setdefault(world.pools[pool].cluster, []).append(share)
        here = {name: mathopt.fast_sum(there) for name, there in by_cluster.items()}
        flows = {
            (source, target): made.model.add_variable(lb=0.0)
            for source in before
            for target in here
        }
        for source, leaves in before.items():
            out = mathopt.fast_sum(flows[source, target] for target in here)
            made.model.add_linear_constraint(out == leaves)
        for target, comes in here.items():
            into = mathopt.fast_sum(flows[source, target] for source in before)
            made.model.add_linear_constraint(into == comes)
        for (source, target), flow in flows.items():
            usd = world.read_usd(pipeline, position, source, target)
            if usd > 0.0:
                made.money.append(usd * flow)
        before = here
