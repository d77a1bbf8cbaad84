"""How one package follows another: what should be there, and when the state moves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executors.kubernetes.serving.rollout import (
    BLUE,
    GREEN,
    Phase,
    Rules,
    Seen,
    State,
    Strategy,
    asked,
    desired,
    moved,
)

OLD, NEW = "sha256:old", "sha256:new"


def live(strategy: Strategy, **rules: float) -> State:
    two = {"replicas_least": 2, "replicas_most": 2}
    return State(package=OLD, rules=Rules(strategy=strategy, **{**two, **rules}))


def pods(package: str, replicas: int = 2, *, well: bool = True, failed: bool = False) -> Seen:
    return Seen(package=package, replicas=replicas, is_complete=well, has_failed=failed)


def begun(strategy: Strategy, **rules: float) -> State:
    state = live(strategy, **rules)
    return asked(state, NEW, state.rules, 0.0)


def test_the_first_package_rolls_in_whatever_the_strategy() -> None:
    rules = Rules(strategy=Strategy.CANARY)
    state = asked(State(), NEW, rules, 0.0)
    assert state.phase is Phase.ROLLING
    assert desired(state, {}).deployments[BLUE].package == NEW


def test_a_rolling_update_stays_in_its_deployment() -> None:
    state = begun(Strategy.ROLLING)
    assert set(desired(state, {}).deployments) == {BLUE}
    assert moved(state, {BLUE: pods(NEW, well=False)}, 1.0) == state
    after = moved(state, {BLUE: pods(NEW)}, 1.0)
    assert (after.phase, after.package, after.former) == (Phase.STEADY, NEW, OLD)


@pytest.mark.parametrize("strategy", Strategy)
def test_a_package_that_does_not_come_up_takes_nothing_away(strategy: Strategy) -> None:
    state = begun(strategy)
    comes = BLUE if strategy is Strategy.ROLLING else GREEN
    after = moved(state, {BLUE: pods(OLD), comes: pods(NEW, failed=True, well=False)}, 1.0)
    assert (after.package, after.failed, after.target) == (OLD, NEW, "")
    assert {c: each.package for c, each in desired(after, {}).deployments.items()} == {BLUE: OLD}


def test_a_canary_is_looked_at_before_all_follow() -> None:
    state = begun(Strategy.CANARY, canary_seconds=10.0)
    assert desired(state, {}).deployments[GREEN].replicas_most == 1
    seen = {BLUE: pods(OLD), GREEN: pods(NEW, 1)}
    state = moved(state, seen, 5.0)
    assert moved(state, seen, 14.0).phase is Phase.CANARY
    grows = moved(state, seen, 15.0)
    assert grows.phase is Phase.GROWING
    assert moved(grows, seen, 16.0) == grows, "one pod is not all of them"
    after = moved(grows, {BLUE: pods(OLD), GREEN: pods(NEW)}, 17.0)
    assert (after.phase, after.colour, after.package) == (Phase.STEADY, GREEN, NEW)
    assert set(desired(after, {}).deployments) == {GREEN}


def test_a_canary_that_ails_is_looked_at_anew() -> None:
    state = begun(Strategy.CANARY, canary_seconds=10.0)
    state = moved(state, {GREEN: pods(NEW, 1)}, 5.0)
    state = moved(state, {GREEN: pods(NEW, 1, well=False)}, 9.0)
    assert moved(state, {GREEN: pods(NEW, 1)}, 20.0).phase is Phase.CANARY


def test_blue_and_green_turn_all_requests_at_once() -> None:
    state = begun(Strategy.BLUE_GREEN, keep_seconds=60.0)
    assert desired(state, {}).selected == BLUE
    after = moved(state, {BLUE: pods(OLD), GREEN: pods(NEW)}, 1.0)
    assert (after.phase, desired(after, {}).selected) == (Phase.KEEPING, GREEN)
    assert set(desired(after, {}).deployments) == {BLUE, GREEN}
    steady = moved(after, {}, 61.0)
    assert set(desired(steady, {}).deployments) == {GREEN}


def test_what_is_kept_takes_over_again_at_once() -> None:
    state = begun(Strategy.BLUE_GREEN)
    kept = moved(state, {BLUE: pods(OLD), GREEN: pods(NEW)}, 1.0)
    back = asked(kept, OLD, kept.rules, 2.0)
    assert (back.colour, back.package, back.former) == (BLUE, OLD, NEW)
    assert desired(back, {}).selected == BLUE


@pytest.mark.parametrize("strategy", Strategy)
def test_going_back_while_it_is_under_way_gives_it_up(strategy: Strategy) -> None:
    state = begun(strategy)
    back = asked(state, OLD, state.rules, 1.0)
    assert {c: each.package for c, each in desired(back, {}).deployments.items()} == {BLUE: OLD}


def test_asking_twice_changes_nothing() -> None:
    state = replace(begun(Strategy.CANARY), since=5.0)
    assert asked(state, NEW, state.rules, 9.0) == state


def test_the_pods_that_come_are_as_many_as_the_autoscaler_has() -> None:
    state = replace(begun(Strategy.BLUE_GREEN), rules=Rules(replicas_least=1, replicas_most=9))
    assert desired(state, {BLUE: pods(OLD, 5)}).deployments[GREEN].replicas_least == 5


def test_what_was_kept_gets_no_requests_when_another_way_is_taken() -> None:
    kept = moved(begun(Strategy.BLUE_GREEN), {BLUE: pods(OLD), GREEN: pods(NEW)}, 1.0)
    rolls = asked(kept, "sha256:newest", Rules(strategy=Strategy.ROLLING), 2.0)
    assert desired(rolls, {BLUE: pods(OLD), GREEN: pods(NEW)}).selected == GREEN
    assert desired(rolls, {GREEN: pods(NEW)}).selected == ""
