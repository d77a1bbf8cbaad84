"""Whether explanations are true, and how long one task of a plan of ten thousand takes to explain.

Random requests of many shapes are planned, and everything their explanations say is held against
`benchmarks.placement.checking`, which was written from the definitions and shares no code with
`placement`: every delta (an exact move of that task, all others staying), every refusal (which
limit binds, with which numbers), every break-even (a re-solve one step to either side of it). Small
requests that cannot be kept are tried by brute force: the wishes that are named clash, none of them
can be spared, and each relaxation is enough where a little less is not. Time is CPU time of one
thread, so that what else runs on the machine does not count.
"""

import argparse
import gc
import random
import time
from collections.abc import Iterator

from benchmarks import frame
from benchmarks.placement.checking import explained, large_plan, wishes
from benchmarks.placement.checking.requests import Requests
from benchmarks.placement.checking.tight_requests import TightRequests
from engine.model.errors import MACHINE_WISH, InfeasibleError
from placement.account.assignments import assignment
from placement.account.clashes import infeasible
from placement.account.explanations import Explainer
from placement.account.explanations import explained as explain
from placement.account.promises import outlook
from placement.search.draft import EMPTY
from placement.settling import settled

PLANS = 1_000
QUICK_PLANS = 40
CLASHES_SHARE = 5
"""One infeasible request for so many plans."""
REQUESTS_MAX = 20
"""So many requests are drawn at most for one that is infeasible."""
WORK_LIMIT = 0.5
TASKS = 10_000
QUICK_TASKS = 1_000
CLUSTERS = 50
EXPLAINED = 200
MILLISECONDS_MAX = 50.0


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the options of this benchmark."""
    group.add_argument("--plans", type=int, default=0, help=f"random plans [{PLANS}]")
    group.add_argument("--seed", type=int, default=0, help="seed of the random requests [0]")
    group.add_argument("--tasks", type=int, default=0, help=f"tasks of the large plan [{TASKS}]")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    plans = context.options.get("plans") or (QUICK_PLANS if context.quick else PLANS)
    seed = int(context.options.get("seed") or 0)
    yield from of_plans(plans, seed)
    yield from of_clashes(max(plans // CLASHES_SHARE, 1), seed)
    yield from of_time(context.options.get("tasks") or (QUICK_TASKS if context.quick else TASKS))


def of_plans(plans: int, seed: int) -> Iterator[frame.Figure]:
    """Yields what is wrong with explanations of random plans."""
    draw = Requests(seed, work_limit=WORK_LIMIT)
    tally = explained.Tally()
    for number in range(plans):
        problem = draw.request()
        found = settled(problem)
        instance, plan = found.instance, found.plan or EMPTY
        shown = {
            job.key: assignment(instance, plan, job, found.outlooks[job.line])
            for job in instance.jobs
            if job.index in plan.options
        }
        world = explained.world_of(problem, found)
        explained.check(
            f"plan {number}", world, explain(instance, plan, shown, problem.request.seed), tally
        )
    yield frame.informs("random plans", tally.plans, anchor=f"seed {seed}, {tally.tasks} tasks")
    yield frame.at_most("negative deltas", tally.negative, 0, anchor=f"of {tally.deltas}")
    yield _none("deltas that an exact move does not confirm", tally.wrong_deltas, tally.deltas)
    yield _none("refusals that are not as named", tally.wrong_refusals, tally.refusals)
    for kind, count in sorted(tally.break_evens.items()):
        yield frame.informs(f"break-evens: {kind}", count)
    every = sum(tally.break_evens.values())
    yield _none("break-evens that a re-solve does not confirm", tally.unconfirmed, every)


def of_clashes(wanted: int, seed: int) -> Iterator[frame.Figure]:
    """Yields what is wrong with the clashes that infeasible requests are refused with."""
    draw = TightRequests(seed, work_limit=2 * WORK_LIMIT)
    faults: list[str] = []
    clashes = relaxations = machines = 0
    for number in range(wanted * REQUESTS_MAX):
        if clashes + machines == wanted:
            break
        problem = draw.request()
        found = settled(problem)
        if found.plan is not None:
            continue
        error: InfeasibleError = infeasible(problem, proven=found.proven)
        if error.clashes and error.clashes[0].wish.startswith(MACHINE_WISH):
            machines += 1
            homeless = [
                clash.wish.removeprefix(MACHINE_WISH).partition(":")[0] for clash in error.clashes
            ]
            found_faults = list(wishes.homeless_faults(problem, homeless))
        else:
            clashes += 1
            relaxations += len(error.clashes)
            found_faults = list(wishes.faults(problem, error.clashes))
        faults += [f"request {number}: {fault}" for fault in found_faults]
    yield frame.informs("infeasible requests: wishes that clash", clashes)
    yield frame.informs("infeasible requests: no machine at all", machines)
    yield _none("clashes and relaxations that brute force refutes", faults, clashes + relaxations)


def of_time(tasks: int) -> Iterator[frame.Figure]:
    """Yields how long single tasks of a large plan take to explain."""
    instance, plan = large_plan.plan(large_plan.problem(tasks, CLUSTERS, seed=0))
    chosen = random.Random(0).sample(list(instance.jobs), min(EXPLAINED, len(instance.jobs)))
    shown = {}
    for job in chosen:
        if job.index in plan.options:
            line = instance.lines[job.line]
            shown[job.key] = assignment(instance, plan, job, outlook(instance, plan, line, 0))
    began = time.process_time()
    explainer = Explainer(instance, plan, shown, 0)
    index_seconds = time.process_time() - began
    # What the plan itself is made of is not looked through for garbage while one task is explained.
    gc.collect()
    gc.freeze()
    taken = []
    for job in chosen:
        began = time.process_time()
        explainer.explain(job.key)
        taken.append((time.process_time() - began) * 1000)
    gc.unfreeze()
    anchor = f"{len(instance.pools)} pools, {len(plan.options)} placed, {len(chosen)} explained"
    name = f"explaining one task of a {tasks:,}-task plan"
    taken.sort()
    yield frame.informs(f"{name}: index, once", index_seconds, unit="s")
    yield frame.informs(f"{name}: median", taken[len(taken) // 2], unit="ms", anchor=anchor)
    slowest = taken[-1]
    yield frame.at_most(f"{name}: slowest", slowest, MILLISECONDS_MAX, unit="ms", anchor=anchor)


def _none(name: str, faults: list[str], of: int) -> frame.Figure:
    anchor = f"of {of}" + (f"; first: {faults[0]}" if faults else "")
    return frame.at_most(name, len(faults), 0, anchor=anchor)
