"""How soon plans of hundreds to ten thousand tasks are there, how good they are, and whether valid.

Requests of pipelines on 50 clusters, so many nodes that not all of it fits where it is cheapest,
go through the planner's own door: `placement.settling`, then everything that is told of the plan.
The plan is held against `benchmarks.placement.checking`, written from the definitions: every task,
every pool and quota at every time, and every node. Time is CPU time of the process, so that what
else runs on the machine does not count.
"""

import argparse
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from benchmarks import frame
from benchmarks.placement.checking import explained, large_plan, whole_plan
from engine.model.plans import Incumbent, PlacementProblem
from placement.placing import shown
from placement.settling import settled
from placement.watching import Lookout

TASKS = "300,1000,3000,10000"
QUICK_TASKS = "300"
CLUSTERS = 50
WORK_LIMIT = 4.0
FIRST_SECONDS_MAX = 20.0
GIB_MAX = 4.0
TASKS_PER_NODE = 16
"""So many tasks for a node of the fleet, on average."""


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--sizes", default="", help=f"tasks of the plans [{TASKS}]")
    group.add_argument("--work", type=float, default=WORK_LIMIT, help="work limit of each plan")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    sizes = context.options.get("sizes") or (QUICK_TASKS if context.quick else TASKS)
    work = float(context.options.get("work") or WORK_LIMIT)
    for size in (int(word) for word in str(sizes).split(",")):
        yield from of_size(size, work)


@dataclass
class _Notes:
    """Remembers when the first plan was told of."""

    began: float
    first: float = 0.0
    told: list[Incumbent] = field(default_factory=list)

    def found(self, incumbent: Incumbent) -> None:
        """Notes a better plan."""
        self.first = self.first or time.process_time() - self.began
        self.told.append(incumbent)

    def wants_end(self) -> bool:
        """Nobody is in a hurry."""
        return False


def of_size(tasks: int, work: float) -> Iterator[frame.Figure]:
    """Yields what one plan takes and what it is worth."""
    problem = crowded(tasks, work)
    notes = _Notes(time.process_time())
    found = settled(problem, Lookout(notes))
    searched = time.process_time() - notes.began
    placement = shown(found, problem.request)
    told = time.process_time() - notes.began - searched
    assert found.plan is not None
    nodes = {found.instance.jobs[i].key: taken for i, taken in found.plan.nodes.items()}
    faults = whole_plan.faults(explained.world_of(problem, found), nodes)
    anchor = f"{len(placement.assignments)} placed, {len(placement.unplaced)} left out"
    name = f"{tasks:,} tasks"
    first = notes.first
    yield frame.at_most(f"{name}: first plan", first, FIRST_SECONDS_MAX, unit="s", anchor=anchor)
    yield frame.informs(f"{name}: search in all", searched, unit="s")
    yield frame.informs(f"{name}: account of the plan", told, unit="s")
    yield frame.informs(
        f"{name}: gap", 100 * placement.gap, unit="%", anchor=f"{len(notes.told)} plans were told"
    )
    first_fault = f"first: {faults[0]}" if faults else ""
    yield frame.at_most(f"{name}: faults", len(faults), 0, anchor=first_fault)
    gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    yield frame.at_most(f"{name}: memory so far", gib, GIB_MAX, unit="GiB")


def crowded(tasks: int, work: float) -> PlacementProblem:
    """Returns a request on a fleet that is small beside it."""
    nodes = max(round(tasks / TASKS_PER_NODE / CLUSTERS), 1)
    problem = large_plan.problem(tasks, CLUSTERS, seed=0, nodes=(1, 2 * nodes))
    return replace(problem, request=replace(problem.request, work_limit=work))
