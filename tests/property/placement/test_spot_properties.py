"""Whatever spot does, the deadline is kept; and what comes later changes nothing before it."""

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.placement import _spot_anchors as anchors
from benchmarks.placement import _spot_replay as replays
from placement.spot.lifetimes import learn
from placement.spot.policy import SpotPolicy
from placement.spot.task import Machine, Observation, SpotTask

CALM = settings(max_examples=30, deadline=None, derandomize=True)
STEP = 300.0


def task(*, slack_hours: float, changeover: float = 720.0, step: float = STEP) -> SpotTask:
    return SpotTask(
        work_seconds=3 * 3600.0,
        deadline_seconds=(3 + slack_hours) * 3600.0,
        changeover_seconds=changeover,
        step_seconds=step,
        spot_price=0.3 / 3600,
        on_demand_price=1.0 / 3600,
    )


def availability(seed: int, steps: int) -> list[bool]:
    """Spells whose lengths range from one step to most of the trace."""
    chance = random.Random(seed)
    found: list[bool] = []
    while len(found) < steps:
        found += [bool(len(found) % 2)] * int(chance.paretovariate(0.8))
        found += [chance.random() < 0.5]
    return found[:steps]


def cost_of(wanted: SpotTask, is_up: list[bool], policy: SpotPolicy) -> replays.Outcome:
    trace = replays.trace_of("random", is_up, wanted.step_seconds)
    found = replays.replay(trace, 0, wanted, lambda seen: policy.decide(seen).machine)
    return replays.checked(trace, 0, wanted, found)


@CALM
@given(
    seed=st.integers(0, 10**6),
    slack_hours=st.floats(0.5, 4.0),
    changeover=st.sampled_from((0.0, 60.0, 720.0, 1700.0)),
    step=st.sampled_from((195.0, 300.0, 1200.0)),
)
def test_no_deadline_is_missed(
    seed: int, slack_hours: float, changeover: float, step: float
) -> None:
    wanted = task(slack_hours=slack_hours, changeover=changeover, step=step)
    is_up = availability(seed, int(wanted.deadline_seconds / step) + 1)
    policy = SpotPolicy.from_history(wanted, availability(seed + 1, 300))
    assert not cost_of(wanted, is_up, policy).is_late


@CALM
@given(
    slack_hours=st.floats(0.3, 2.0),
    taken_after=st.integers(0, 5),
    step=st.sampled_from((200.0, 900.0)),
)
def test_no_deadline_is_missed_against_an_adversary(
    slack_hours: float, taken_after: int, step: float
) -> None:
    """Spot is offered whenever it is not used, and taken away soon after it is."""
    wanted = task(slack_hours=slack_hours, step=step)
    policy = SpotPolicy(wanted, learn([True] * 500, step))
    left, passed, delay, used = wanted.work_seconds, 0.0, 0.0, 0
    machine = Machine.NONE
    while left > 1e-6 and passed < wanted.deadline_seconds:
        is_up = machine is not Machine.SPOT or used <= taken_after
        machine = machine if machine is not Machine.SPOT or is_up else Machine.NONE
        observation = Observation(
            work_left_seconds=left,
            time_left_seconds=wanted.deadline_seconds - passed,
            machine=machine,
            changeover_left_seconds=delay,
            spot_is_up=is_up,
            spot_age_seconds=0.0,
        )
        chosen = policy.decide(observation).machine
        delay = delay if chosen is machine else wanted.changeover_seconds
        used = used + 1 if chosen is Machine.SPOT is machine else 0
        machine = chosen
        if machine is not Machine.NONE:
            lost = min(delay, step)
            delay, left = delay - lost, left - (step - lost)
        passed += step
    assert left <= 1e-6
    assert passed + left <= wanted.deadline_seconds + 1e-6


@CALM
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 40))
def test_the_future_changes_nothing_before_it(seed: int, cut: int) -> None:
    wanted = task(slack_hours=1.0)
    policy = SpotPolicy(wanted, learn((), STEP))
    is_up = availability(seed, 60)
    other = is_up[:cut] + [not up for up in is_up[cut:]]
    runs = [cost_of(wanted, trace, policy).machines[:cut] for trace in (is_up, other)]
    assert runs[0] == runs[1]


def test_more_time_costs_little_more_on_any_trace_and_less_on_average() -> None:
    tight, loose = task(slack_hours=1.0), task(slack_hours=3.0)
    policies = [SpotPolicy(wanted, learn((), STEP)) for wanted in (tight, loose)]
    costs = [
        [cost_of(wanted, availability(seed, 80), policy).cost for seed in range(60)]
        for wanted, policy in zip((tight, loose), policies, strict=True)
    ]
    assert sum(costs[1]) < sum(costs[0])
    # Waiting may be in vain: at worst it loses the changeovers that more slack has room for.
    assert max(after - before for before, after in zip(*costs, strict=True)) < 2.0


def test_the_same_input_gives_the_same_decisions() -> None:
    wanted, is_up = task(slack_hours=1.0), availability(7, 60)
    history = availability(8, 300)
    runs = [cost_of(wanted, is_up, SpotPolicy.from_history(wanted, history)) for _ in range(2)]
    assert runs[0] == runs[1]


def test_anchors_keep_the_deadline_and_none_beats_who_knows_the_future() -> None:
    wanted = task(slack_hours=2.0)
    rules: tuple[Callable[[SpotTask], replays.Choice], ...] = (
        anchors.greedy,
        anchors.uniform_progress,
    )
    for seed in range(20):
        trace = replays.trace_of("random", availability(seed, 61), STEP)
        bound = anchors.omniscient(trace, [0], wanted)[0]
        for rule in rules:
            found = replays.replay(trace, 0, wanted, rule(wanted))
            found = replays.checked(trace, 0, wanted, found)
            assert not found.is_late
            assert bound <= found.cost + 1e-6
