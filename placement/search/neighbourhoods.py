"""Better plans by CP-SAT on a few pipelines at a time, all others held."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from placement.problem.instance import Instance
from placement.search import draft as drafts
from placement.search.chains import Chains
from placement.search.draft import Draft
from placement.search.orders import Goal, Scope, Task
from placement.search.recreate import Workplace
from placement.search.relaxation import Relaxed
from placement.search.solver import solve

NEIGHBOURHOOD_OPTIONS = 120
"""Few enough that most neighbourhoods are solved to the end; larger ones improved less."""

LEAST_LINES = 2

ROUND_WORK = 0.2
LEAST_WORK = 0.05
"""What a round counts at least, because building a model is work too."""

MOST_ROUNDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Whether every job must keep a place, the seed, what is asked and told between rounds."""

    all_placed: bool
    seed: int
    stopped: Callable[[], bool]
    found: Callable[[Draft], None]
    chains: Chains


@dataclass(frozen=True, slots=True, kw_only=True)
class Improved:
    """The plan after all rounds, and why solves failed."""

    plan: Draft
    troubles: tuple[str, ...]


def improved(
    instance: Instance, alone: Relaxed, effort: Effort, plan: Draft, left: float
) -> Improved:
    """Solve a few pipelines at a time, those that lose most by the others first."""
    chance = random.Random(effort.seed)  # noqa: S311 - a search order, nothing secret
    place = Workplace(instance, plan, effort.chains)
    wishes = [drafts.line_worth(instance, alone.draft, n) for n in range(len(instance.lines))]
    tired: set[int] = set()
    for _ in range(MOST_ROUNDS):
        if left <= 0 or effort.stopped():
            break
        fresh = [line for line in _regrets(place, wishes) if line not in tired]
        if not fresh:
            break
        lines = _neighbours(instance, alone, place, fresh[0], chance)
        tired.add(fresh[0])
        better, work, trouble = _resolved(instance, effort, place, lines)
        if trouble:
            return Improved(plan=place.plan, troubles=(trouble,))
        left -= max(work, LEAST_WORK)
        if better:
            effort.found(place.plan)
            tired -= set(lines)
    return Improved(plan=place.plan, troubles=())


def _regrets(place: Workplace, wishes: Sequence[tuple[int, int]]) -> Sequence[int]:
    """Return the pipelines that are not as good as they would be alone, worst first."""
    loss = {
        n: (now[0] - then[0], now[1] - then[1])
        for n, (now, then) in enumerate(zip(place.values, wishes, strict=True))
    }
    return sorted(
        (n for n in loss if loss[n] > (0, 0)), key=lambda n: (-loss[n][0], -loss[n][1], n)
    )


def _neighbours(
    instance: Instance, alone: Relaxed, place: Workplace, line: int, chance: random.Random
) -> list[int]:
    """Return a pipeline with others that stand on the pools it would rather have."""
    wanted = {
        alone.draft.options[index].pool_index
        for index in instance.lines[line].jobs
        if index in alone.draft.options
    }
    others = [number for number in range(len(instance.lines)) if number != line]
    chance.shuffle(others)
    # Who is bound to stand beside it can often move only together with it.
    bonded = instance.bonded(line)
    others.sort(
        key=lambda number: (number not in bonded, -_standing(instance, place, number, wanted))
    )
    chosen = [line]
    size = _options(instance, line)
    for number in others:
        size += _options(instance, number)
        if size > NEIGHBOURHOOD_OPTIONS and len(chosen) >= LEAST_LINES:
            break
        chosen.append(number)
    return chosen


def _standing(instance: Instance, place: Workplace, number: int, wanted: set[int]) -> int:
    """Return how many jobs of a pipeline stand on some pools."""
    jobs = instance.lines[number].jobs
    return sum(i in place.options and place.options[i].pool_index in wanted for i in jobs)


def _options(instance: Instance, number: int) -> int:
    return sum(len(instance.jobs[index].options) for index in instance.lines[number].jobs)


def _resolved(
    instance: Instance, effort: Effort, place: Workplace, lines: Sequence[int]
) -> tuple[bool, float, str]:
    """Make the best change in some pipelines; return whether there was one, the work, troubles."""
    before = place.value
    held = place.part(lines)
    place.take_out(lines)
    jobs = tuple(index for number in sorted(lines) for index in instance.lines[number].jobs)
    task = Task(
        goal=Goal.BEST,
        all_placed=effort.all_placed,
        seed=effort.seed,
        work_limit=ROUND_WORK,
        hint=held,
    )
    room = None if instance.budget is None else instance.budget - place.paid
    outcome = solve(instance, task, Scope(jobs=jobs, taken=place.board, budget=room))
    found = outcome.draft
    standing = None
    if found is not None:
        board = place.board.copy()
        standing = drafts.timed(instance, found.options, found.starts, board)
    if standing is not None:
        place.put_back(lines, standing)
        if place.value < before:
            return True, outcome.work, ""
        place.take_out(lines)
    place.put_back(lines, held)
    return False, outcome.work, outcome.trouble
