"""Pure rules: room in pools, retries, memory, time limits, what is left of a running task."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.dispatching import admission, forecasts, orders, retrying
from engine.dispatching.admission import Holders
from engine.model.dispatches import Attempt, AttemptState, Reason
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId, ClusterName, PipelineName, RunId, TaskName
from engine.model.plans import Assignment
from engine.model.profiles import Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import TaskKind, TaskSpec
from engine.testing import samples

ETL = TaskSpec(name=TaskName("etl"), kind=TaskKind.ETL, retries=1)
SERVE = TaskSpec(name=TaskName("serve"), kind=TaskKind.SERVE, retries=1)


def attempt(
    number: int = 1,
    state: AttemptState = AttemptState.FAILED,
    reason: Reason = Reason.EXIT_CODE,
    held: Resources = samples.HELD,
    intended_at: float = 0.0,
) -> Attempt:
    return Attempt(
        attempt_id=AttemptId(f"r-1.etl.{number}"),
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        task=TaskName("etl"),
        number=number,
        executor="local",
        cluster=ClusterName("a"),
        pool=samples.POOL,
        held=held,
        state=state,
        intended_at=intended_at,
        fence=1,
        reason=reason,
    )


def assigned(clusters: Fleet, held: Resources = samples.HELD) -> Assignment:
    plan = samples.plan(samples.chain(), clusters)
    return replace(plan.placement.assignments[0], held=held)


def asked(clusters: Fleet, needed: Resources = samples.HELD) -> admission.Asked:
    return admission.Asked(RunId("r-1"), assigned(clusters), needed)


def live(number: int = 1) -> Attempt:
    return attempt(number, state=AttemptState.RUNNING)


class TestAdmission:
    def test_what_fits_beside_the_others_may_start(self) -> None:
        clusters = samples.fleet("a", node_count=1)
        judgement = admission.admit(asked(clusters), clusters, Holders.of([live()]))
        assert judgement.may_start

    def test_what_does_not_fit_waits_for_those_ahead(self) -> None:
        clusters = samples.fleet("a", node_count=1)
        ahead = [live(), live(2)]
        judgement = admission.admit(asked(clusters), clusters, Holders.of(ahead))
        assert judgement.reason is Reason.CAPACITY
        assert judgement.waiting_for == ("heart/etl", "heart/etl")
        assert judgement.message == "cpu: needs 3, has 2 cores"

    def test_what_never_fits_waits_for_its_pool(self) -> None:
        clusters = samples.fleet("a", node_count=1)
        needed = Resources(gpu_count=1.0)
        judgement = admission.admit(asked(clusters, needed), clusters, Holders())
        assert (judgement.reason, judgement.waiting_for) == (Reason.CAPACITY, (samples.POOL,))

    def test_attempts_elsewhere_hold_nothing_here(self) -> None:
        clusters = samples.fleet("a", node_count=1)
        other = replace(live(), cluster=ClusterName("b"))
        judgement = admission.admit(asked(clusters), clusters, Holders.of([other] * 9))
        assert judgement.may_start

    @pytest.mark.parametrize("names", [(), ("a",)])
    def test_a_cluster_that_is_gone_or_down_is_waited_for(self, names: tuple[str, ...]) -> None:
        known = samples.FixedFleet(samples.fleet(*names))
        known.down.add("a")
        judgement = admission.admit(asked(samples.fleet("a")), known.fleet(), Holders())
        assert (judgement.reason, judgement.waiting_for) == (Reason.CLUSTER_DOWN, ("a",))

    def test_a_task_needs_what_all_of_its_nodes_hold(self) -> None:
        place = replace(assigned(samples.fleet("a")), node_count=3)
        assert admission.need(place) == samples.HELD.times(3)

    def test_a_pool_is_found_whether_or_not_it_answers(self) -> None:
        clusters = samples.fleet("a")
        assert admission.pool_of(clusters, "a", samples.POOL) is not None
        assert admission.pool_of(clusters, "a", "other") is None
        assert admission.pool_of(clusters, "b", samples.POOL) is None


class TestRetries:
    @pytest.mark.parametrize(
        ("reason", "expected"), [(Reason.EXIT_CODE, True), (Reason.GATE, False)]
    )
    def test_only_what_may_pass_is_tried_again(self, reason: Reason, *, expected: bool) -> None:
        assert retrying.may_retry(ETL, [attempt(reason=reason)], 0.0) is expected

    def test_failures_are_bounded_by_the_task(self) -> None:
        assert not retrying.may_retry(ETL, [attempt(1), attempt(2)], 0.0)

    def test_an_attempt_lost_with_its_cluster_is_no_failure(self) -> None:
        lost = attempt(state=AttemptState.LOST, reason=Reason.CLUSTER_DOWN)
        assert retrying.may_retry(ETL, [lost] * 10, 0.0)
        assert retrying.may_retry(ETL, [*[lost] * 10, attempt()], 0.0)

    def test_even_lost_attempts_are_bounded(self) -> None:
        lost = attempt(state=AttemptState.LOST)
        assert not retrying.may_retry(ETL, [lost] * retrying.MOST_ATTEMPTS, 0.0)

    def test_a_server_is_forgiven_what_is_long_ago(self) -> None:
        old = [attempt(1), attempt(2)]
        new = attempt(3, intended_at=90_000.0)
        assert retrying.may_retry(SERVE, [*old, new], 90_001.0)
        assert not retrying.may_retry(ETL, [*old, new], 90_001.0)

    def test_memory_grows_with_every_time_it_ran_out(self) -> None:
        assert retrying.memory_factor(2) == 2.25

    @pytest.mark.parametrize(("times", "factor"), [(0, 1.0), (1, 1.2), (2, 2.0), (3, 3.0)])
    def test_memory_grows_as_the_profile_says_and_beyond_it_by_a_factor(
        self, times: int, factor: float
    ) -> None:
        plan = samples.plan(samples.chain(), samples.fleet("a"))
        profile = plan.profiles["heart/etl"]
        held = profile.peak(Resource.MEMORY, retrying.HELD_LEVEL)
        profile = replace(profile, memory_retries_gib=(0.5 * held, 1.2 * held, 2.0 * held))
        assert retrying.memory_factor(times, profile) == pytest.approx(factor)

    def test_a_profile_that_says_nothing_of_retries_leaves_the_factor(self) -> None:
        plan = samples.plan(samples.chain(), samples.fleet("a"))
        assert retrying.memory_factor(1, plan.profiles["heart/etl"]) == 1.5


class TestTimeLimit:
    def test_a_server_has_none(self) -> None:
        plan = samples.plan(samples.chain(), samples.fleet("a"))
        assert orders.time_limit_seconds(plan, "heart", SERVE) is None

    @pytest.mark.parametrize(("p99", "limit"), [(20.0, 600.0), (100.0, 1_000.0)])
    def test_it_is_ten_times_what_hardly_ever_passes(self, p99: float, limit: float) -> None:
        plan = samples.plan(samples.chain(), samples.fleet("a"))
        profile = replace(plan.profiles["heart/etl"], duration_seconds=Quantiles.constant(p99))
        plan = replace(plan, profiles={"heart/etl": profile})
        assert orders.time_limit_seconds(plan, "heart", ETL) == limit

    def test_a_task_without_a_profile_has_ten_minutes(self) -> None:
        plan = replace(samples.plan(samples.chain(), samples.fleet("a")), profiles={})
        assert orders.time_limit_seconds(plan, "heart", ETL) == 600.0


class TestForecasts:
    @given(st.floats(0, 30), st.floats(0.01, 0.99))
    def test_time_left_grows_with_the_level(self, elapsed: float, level: float) -> None:
        low = forecasts.remaining_seconds(samples.DURATION, elapsed, level / 2)
        high = forecasts.remaining_seconds(samples.DURATION, elapsed, level)
        assert 0.0 <= low <= high

    @given(st.floats(5.1, 19.9))
    def test_the_level_is_the_inverse_of_the_quantile(self, elapsed: float) -> None:
        level = forecasts.level_of(samples.DURATION, elapsed)
        assert samples.DURATION.at(level) == pytest.approx(elapsed)

    def test_nothing_is_left_past_all_of_it(self) -> None:
        assert forecasts.remaining_seconds(samples.DURATION, 21.0, 0.95) == 0.0

    def test_at_the_start_all_is_left(self) -> None:
        assert forecasts.remaining_seconds(samples.DURATION, 0.0, 0.95) == 16.0
