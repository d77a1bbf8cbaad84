"""What a solve is asked, about which part of a problem, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from placement.problem.instance import Instance
from placement.search.board import Board
from placement.search.draft import Draft


class Goal(Enum):
    """What a solve minimises."""

    BEST = "SLA weight that has no place first, money second"
    MONEY = "money"
    SPENT = "what counts against the budget of one pipeline"
    END = "when the last job of one pipeline ends"


class Verdict(Enum):
    """What a solve found out."""

    OPTIMAL = "best plan, proven"
    FEASIBLE = "a plan"
    INFEASIBLE = "no plan, proven"
    UNKNOWN = "nothing within the work limit"


Told = Callable[[Draft, int, int], bool]
"""Told of a better draft, for pools in sum, with the bound so far on the goal's quantity and what a
unit of weight counts in it; says whether to go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One solve.

    all_placed: every job must have a place; else those that have none cost their weight.
    hint: a plan to start from. weight_at_most: bound on the weight without a place.
    line: the pipeline that `SPENT` and `END` are about. told: who looks on.
    """

    goal: Goal
    all_placed: bool
    seed: int
    work_limit: float
    hint: Draft | None = None
    weight_at_most: int | None = None
    line: int = 0
    told: Told | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a solve returned.

    draft: of the jobs that were free. bound: the least value any plan could have, of the goal's
        quantity; `BEST` counts a unit of weight as `dear` micro-dollars. trouble: why the
        solver could not be used; "" when it could.
    """

    verdict: Verdict
    draft: Draft | None
    bound: int
    work: float
    dear: int = 1
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The part of an instance that a solve is about.

    jobs: those that are free, whole pipelines; taken: what all others take, None to look at no
        capacity at all. budget: most that the free jobs may cost together.
    """

    jobs: tuple[int, ...]
    taken: Board | None
    budget: int | None = None


def everything(instance: Instance) -> Scope:
    """Return the scope in which every job is free and capacity counts."""
    return Scope(
        jobs=tuple(range(len(instance.jobs))), taken=Board(instance), budget=instance.budget
    )
