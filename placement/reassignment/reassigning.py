"""Looks for a better assignment: chains of ruin and recreate that share what they find.

`reassign` is what the rest of the engine calls. It starts from a feasible assignment, never
returns a worse one and may be stopped at any moment. Two chains run side by side in synchronous
rounds, in one thread or in two; which of them is carried on is decided after each round, so the
number of threads changes nothing but the time it takes.

Method: simulated annealing over shifts and swaps (`annealing`) and over ruin and recreate of few
machines (`ruining`; after Schrimpf et al., "Record breaking optimization results using the ruin
and recreate principle", Journal of Computational Physics 159, 2000), side by side in each round,
with falling prices on what such a search runs out of: room, above all the room that moved
processes still hold on the machines where they started. Unless machines have very many processes,
the search also passes through assignments that lack room, at a price that rises until none is left
(strategic oscillation, after Glover, Decision Sciences 8, 1977); only feasible ones are kept.

Where the few large processes end is luck, whatever the time of a cooling. So instances with not
too many processes a machine are cooled several times where there are steps enough: first anew,
then, for two thirds of the steps, warmed up from the best, which moves what stands in the way of a
large process but not them all.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from concurrent import futures

import numpy as np

from engine.model import errors
from placement.reassignment import annealing, ruining, schedule
from placement.reassignment import instance as problem
from placement.reassignment import memory as memories
from placement.reassignment import state as states

CHAINS = 2
# A step is one ruin, or so many shifts and swaps, which take about as long.
TRIES_OF_STEP = 250
# The better chain's assignment replaces the other's after this many rounds.
SHARING_ROUNDS = 8


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to search; the first limit that is met ends it.

    Attributes:
        steps: Most steps of each chain. Where only this ends the search, the answer is the same
            on every machine and with any number of workers.
        seconds: Most seconds on the clock that the caller gives; infinite unless said.
        workers: Threads, one or two.
        seed: Of the random numbers.
    """

    steps: int = 10_000
    seconds: float = float("inf")
    workers: int = 1
    seed: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The best assignment that was found.

    Attributes:
        assignment: (P,), machine of each process; feasible.
        cost: Its cost.
        initial_cost: The cost of the assignment at the start.
        steps: Steps of each chain.
    """

    assignment: problem.Integers
    cost: int
    initial_cost: int
    steps: int


@dataclasses.dataclass(slots=True)
class _Chain:
    """One chain: its counters and what it remembers."""

    state: states.State
    memory: memories.Memory


def reassign(
    instance: problem.Instance,
    initial: problem.Integers,
    effort: Effort,
    *,
    clock: Callable[[], float],
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Returns the best assignment found within the effort.

    Args:
        instance: The machines, the processes and what things cost.
        initial: (P,), where each process is now; must be feasible.
        effort: The limits of the search.
        clock: Seconds from any moment; read only where the effort has a limit of seconds.
        stop: Asked between rounds; ends the search when it says so.

    Raises:
        InvalidInputError: The assignment does not fit the instance.
        InfeasibleError: The assignment breaks a hard limit.

    Two processes overload the first of two machines; one of them moves:

    >>> import numpy as np
    >>> from placement.reassignment import instance as problem
    >>> from placement.reassignment.reassigning import Effort, reassign
    >>> empty = np.zeros((0, 2), dtype=np.int64)
    >>> two_machines = problem.Instance(
    ...     capacity=np.array([[10], [10]]), safety_capacity=np.array([[5], [5]]),
    ...     transient=np.array([False]), load_weight=np.array([1]),
    ...     neighbourhood=np.array([0, 0]), location=np.array([0, 0]),
    ...     machine_move_cost=np.zeros((2, 2), dtype=np.int32), service=np.array([0, 1]),
    ...     requirement=np.array([[4], [4]]), process_move_cost=np.array([2, 1]),
    ...     spread_minimum=np.array([0, 0]), dependencies=empty,
    ...     balances=np.zeros((0, 4), dtype=np.int64),
    ...     process_move_weight=1, service_move_weight=0, machine_move_weight=0,
    ... )
    >>> better = reassign(two_machines, np.array([0, 0]), Effort(steps=200), clock=lambda: 0.0)
    >>> better.assignment.tolist(), better.initial_cost, better.cost
    ([0, 1], 3, 1)
    """
    _check_places(instance, initial)
    # Neighbours in this order are of like size, which is what `annealing` wants.
    order = np.argsort(instance.requirement @ instance.load_weight, kind="stable")
    tables = states.tables(_ordered(instance, order), initial[order])
    _check_limits(tables, initial[order])
    first = states.state(tables, initial[order])
    initial_cost = int(first.totals[states.COST])
    if instance.processes == 0 or instance.machines == 1:
        return Outcome(
            assignment=initial.copy(), cost=initial_cost, initial_cost=initial_cost, steps=0
        )
    seeds = np.random.SeedSequence(effort.seed).generate_state(CHAINS)
    copies = [first, *(states.state(tables, initial[order]) for _ in range(CHAINS - 1))]
    chains = [
        _Chain(state=state, memory=memories.memory(state, int(seed)))
        for state, seed in zip(copies, seeds, strict=True)
    ]
    steps = _search(tables, chains, effort, clock, stop)
    best = _best(chains)
    assignment = np.empty_like(initial)
    assignment[order] = best.memory.best
    return Outcome(
        assignment=assignment,
        cost=int(best.memory.marks[memories.BEST_COST]),
        initial_cost=initial_cost,
        steps=steps,
    )


def _search(
    tables: states.Tables,
    chains: list[_Chain],
    effort: Effort,
    clock: Callable[[], float],
    stop: Callable[[], bool],
) -> int:
    """Runs rounds until a limit is met; returns the steps that each chain has made."""
    plan = schedule.schedule(tables)
    pace = schedule.Pace(effort.steps, effort.seconds, clock)
    number, cooling = 0, 0
    paced = False
    with futures.ThreadPoolExecutor(max_workers=min(effort.workers, CHAINS)) as threads:
        while (steps := pace.next_steps()) > 0 and not stop():
            progress = pace.progress()
            if not paced and progress >= schedule.PACED_FROM:
                plan, paced = plan.of_steps(pace.whole_steps()), True
                pace.cut(plan.coolings)
            if plan.number(progress) > cooling:
                cooling = plan.number(progress)
                if plan.is_rewarmed(cooling):
                    _take_best(tables, chains)
            heat = plan.at(progress)
            if plan.within(progress) >= schedule.GIVE_UP_FROM:
                _give_up(tables, chains)
            running = [
                threads.submit(_run, tables, chain, steps, plan.recipe, heat) for chain in chains
            ]
            for future in running:
                future.result()
            pace.done(steps)
            number += 1
            if number % SHARING_ROUNDS == 0:
                _share(chains, heat.lack_price)
    return pace.steps_done


def _run(
    tables: states.Tables, chain: _Chain, steps: int, recipe: schedule.Recipe, heat: schedule.Heat
) -> None:
    """Runs so many steps, ruins after the others."""
    state, memory = chain.state, chain.memory
    ruins = round(recipe.ruin_share * steps)
    tries = (steps - ruins) * TRIES_OF_STEP
    prices = (heat.temperature, heat.held_price, heat.room_price, heat.lack_price)
    annealing.anneal(tables, state, memory, tries, prices, recipe.relays)
    ruining.ruin(tables, state, memory, ruins, heat.temperature, heat.held_price, heat.lack_price)


def _share(chains: list[_Chain], lack_price: float) -> None:
    """Lets every chain go on from the cheapest present assignment."""
    totals = [chain.state.totals for chain in chains]
    costs = [int(total[states.COST]) + lack_price * int(total[states.LACK]) for total in totals]
    leader = chains[costs.index(min(costs))]
    for chain in chains:
        if chain is not leader:
            chain.state = copy.deepcopy(leader.state)
            memories.forget_way(chain.memory)


def _take_best(tables: states.Tables, chains: list[_Chain]) -> None:
    """Lets every chain go on from the best that one of them remembers."""
    best = _best(chains).memory.best
    for chain in chains:
        chain.state = states.state(tables, best)
        memories.forget_way(chain.memory)


def _best(chains: list[_Chain]) -> _Chain:
    """Returns the chain that remembers the cheapest assignment."""
    return min(chains, key=lambda chain: int(chain.memory.marks[memories.BEST_COST]))


def _give_up(tables: states.Tables, chains: list[_Chain]) -> None:
    """Takes chains that still lack room back to the best that they remember."""
    for chain in chains:
        if chain.state.totals[states.LACK] > 0:
            chain.state = states.state(tables, chain.memory.best)
            memories.forget_way(chain.memory)


def _ordered(instance: problem.Instance, order: problem.Integers) -> problem.Instance:
    """Returns the instance with its processes in another order."""
    return dataclasses.replace(
        instance,
        service=instance.service[order],
        requirement=instance.requirement[order],
        process_move_cost=instance.process_move_cost[order],
    )


def _check_places(instance: problem.Instance, initial: problem.Integers) -> None:
    """Refuses a start that does not fit the instance."""
    fix = "give each process a machine of the instance"
    what = ""
    if initial.shape != (instance.processes,):
        what = f"has shape {initial.shape} for {instance.processes} processes"
    elif initial.size and not 0 <= initial.min() <= initial.max() < instance.machines:
        worst = int(np.argmax((initial < 0) | (initial >= instance.machines)))
        what = f"puts process {worst} on machine {int(initial[worst])} of {instance.machines}"
    if what:
        fault = errors.Fault(code="S001", message=f"the initial assignment {what}", fix=fix)
        raise errors.InvalidInputError("initial assignment", [fault])


def _check_limits(tables: states.Tables, initial: problem.Integers) -> None:
    """Refuses a start that breaks hard limits."""
    broken = states.broken_limits(tables, initial)
    if broken:
        message = f"the initial assignment breaks hard limits: {'; '.join(broken)}"
        raise errors.InfeasibleError(message, fix="start from a feasible assignment")
