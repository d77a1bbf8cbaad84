"""What explanations say is true, by a checker that shares no code with placement."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from benchmarks.placement.checking import explained as checking
from benchmarks.placement.checking import wishes
from benchmarks.placement.checking.explained import Tally
from benchmarks.placement.checking.requests import Requests
from benchmarks.placement.checking.tight_requests import TightRequests
from engine.model.errors import MACHINE_WISH
from engine.model.plans import Explanation, PlacementProblem, Refusal, Verdict
from placement.account.assignments import assignment
from placement.account.clashes import infeasible
from placement.account.explanations import explained
from placement.account.standing import Standing
from placement.search import moves
from placement.search.draft import EMPTY
from placement.settling import Settled, settled

pytestmark = pytest.mark.slow

SEEDS = st.integers(min_value=1_000, max_value=100_000)
WORK = 0.3
CALM = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def planned(seed: int) -> tuple[PlacementProblem, Settled, tuple[Explanation, ...]]:
    problem = Requests(seed, work_limit=WORK).request()
    found = settled(problem)
    instance, plan = found.instance, found.plan or EMPTY
    shown = {
        job.key: assignment(instance, plan, job, found.outlooks[job.line])
        for job in instance.jobs
        if job.index in plan.options
    }
    return problem, found, explained(instance, plan, shown, problem.request.seed)


def tallied(
    problem: PlacementProblem, found: Settled, explanations: tuple[Explanation, ...]
) -> Tally:
    tally = Tally()
    checking.check("plan", checking.world_of(problem, found), explanations, tally)
    return tally


@settings(CALM, max_examples=10)
@given(seed=SEEDS)
def test_no_delta_is_negative_and_all_that_is_said_holds(seed: int) -> None:
    tally = tallied(*planned(seed))
    faults = [*tally.wrong_deltas, *tally.wrong_refusals, *tally.unconfirmed]
    assert (tally.negative, faults) == (0, [])


@settings(CALM, max_examples=10)
@given(seed=SEEDS)
def test_a_task_looked_at_alone_moves_as_in_the_whole_plan(seed: int) -> None:
    found = settled(Requests(seed, work_limit=WORK).request())
    instance, plan = found.instance, found.plan or EMPTY
    standing = Standing(instance, plan)
    for job in instance.jobs:
        place, bench = standing.place(job), moves.bench(instance, plan, job)
        for option in job.options:
            alone = place.moved(option)
            whole = moves.moved(instance, plan, bench, option)
            assert (alone is None) == (whole is None)
            if alone is not None and whole is not None:
                assert alone.starts.items() <= whole.starts.items()
            change = moves.delta(instance, plan, job, option)
            assert moves.delta(place.instance, place.plan, job, option) == change


@settings(CALM, max_examples=15)
@given(seed=SEEDS)
def test_wishes_that_are_named_clash_and_their_relaxations_end_it(seed: int) -> None:
    problem = TightRequests(seed, work_limit=1.0).request()
    found = settled(problem)
    assume(found.plan is None)
    clashes = infeasible(problem, proven=found.proven).clashes
    assume(not clashes[0].wish.startswith(MACHINE_WISH))
    assert list(wishes.faults(problem, clashes)) == []


def refusal(verdict: Verdict) -> Refusal:
    assert verdict.binding is not None
    return verdict.binding


def worse(explanation: Explanation) -> Explanation:
    """Return an explanation with every number a little wrong."""
    verdicts = tuple(
        replace(v, delta_micro_dollars=v.delta_micro_dollars + 1)
        if v.delta_micro_dollars is not None
        else replace(v, binding=replace(refusal(v), needs="nothing"))
        for v in explanation.verdicts
    )
    turned = tuple(replace(b, value=b.value * 0.9) for b in explanation.break_evens)
    return replace(explanation, verdicts=verdicts, break_evens=turned)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_checker_finds_what_is_wrong(seed: int) -> None:
    problem, found, explanations = planned(seed)
    tally = tallied(problem, found, tuple(map(worse, explanations)))
    assert len(tally.wrong_refusals) >= tally.refusals
    assert tally.wrong_deltas
    assert len(tally.unconfirmed) >= sum(tally.break_evens.values()) > 0
