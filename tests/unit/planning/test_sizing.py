"""Services that run are sized each hour, and take their new size where the policy says so."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest

from engine.dispatching import submit
from engine.model.alarms import Action, ActionKind, ActionState
from engine.model.dispatches import Run, TaskState
from engine.model.plans import PlanRequest
from engine.model.records import (
    ACTIONS,
    DEPLOYMENTS,
    PIPELINES,
    PLANS,
    RUNS,
    SERVICE_SIZES,
    SIGNALS,
    Delete,
)
from engine.model.resources import Resource
from engine.model.signals import Layer, Signal
from engine.model.sizing import ServiceSize, ServiceUse, SizedAmount, SizingPolicy
from engine.model.specs import Serving, TaskKind
from engine.planning import ActionReconciler, Planner, ServiceSizing, running
from engine.ports import Ledger
from engine.store import begin_term
from engine.testing import samples
from engine.testing.clocks import ManualClock
from tests.support.planning import FirstPlacer, put, serving, set_task

HOUR = 3_600.0


class Halver:
    """Recommends half of what is held, and remembers what it was asked (port `ServiceSizer`)."""

    def __init__(self) -> None:
        self.asked: Sequence[ServiceUse] = ()

    def sizes(
        self, services: Sequence[ServiceUse], policy: SizingPolicy, *, at: float
    ) -> tuple[ServiceSize, ...]:
        self.asked = services
        return tuple(
            ServiceSize(
                pipeline=each.pipeline,
                task=each.task,
                at=at,
                cluster=each.cluster,
                pool=each.pool,
                amounts=(_half(each, Resource.MEMORY), _half(each, Resource.GPU_MEMORY)),
            )
            for each in services
        )


def _half(service: ServiceUse, resource: Resource) -> SizedAmount:
    held = service.held.of(resource)
    return SizedAmount(
        resource=resource,
        held=held,
        wanted=held / 2,
        used_most=held / 4,
        changes=resource not in service.stated,
        method="half",
        allowed=0.01,
        short=0.0,
        held_over_used=2.0,
        hours=9,
        services=1,
        why="it is too much",
    )


@pytest.fixture
def sizer() -> Halver:
    return Halver()


@pytest.fixture
def run(ledger: Ledger, clock: ManualClock, planner: Planner, request_for: PlanRequest) -> Run:
    """A run of `heart` that serves on eu-1, two hours after 1970."""
    clock.advance(2 * HOUR)
    plan = planner.plan(request_for, [])
    submitted = submit(ledger, clock, plan, "heart")
    for task in ("etl", "train", "package"):
        set_task(ledger, submitted.run_id, task, TaskState.SUCCEEDED)
    serving(ledger, submitted.run_id, "eu-1")
    return submitted


def sizing(
    ledger: Ledger, sizer: Halver, clock: ManualClock, *, applies: bool = False
) -> ServiceSizing:
    return ServiceSizing(ledger, sizer, clock, SizingPolicy(applies=applies))


def saw(ledger: Ledger, subject: str, name: str, *values: tuple[float, float]) -> None:
    for at, value in values:
        signal = Signal(name=name, layer=Layer.MACHINE, subject=subject, at=at, value=value)
        put(ledger, (SIGNALS, signal))


def resize(ledger: Ledger) -> Action:
    (found,) = ledger.select(ACTIONS, where={"kind": ActionKind.RESIZE.value})
    return found.value


def test_without_services_nothing_is_sized(
    ledger: Ledger, sizer: Halver, clock: ManualClock
) -> None:
    assert not sizing(ledger, sizer, clock).step()


def test_a_service_whose_attempt_has_ended_is_not_sized(
    ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock
) -> None:
    (stored,) = ledger.select(DEPLOYMENTS)
    put(ledger, (DEPLOYMENTS, dataclasses.replace(stored.value, attempt_id=None)))
    sizing(ledger, sizer, clock).step()
    assert sizer.asked == ()


def test_a_recommendation_is_kept_and_nothing_else_done(
    ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock
) -> None:
    assert sizing(ledger, sizer, clock).step()
    stored = ledger.get(SERVICE_SIZES, run.pipeline)
    assert stored is not None
    assert stored.value.changes
    assert not ledger.select(ACTIONS)


def test_use_comes_by_hours_that_end_now(
    ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock
) -> None:
    now = clock.now()
    memory, cores = "service_memory_gib", "service_cpu_cores"
    saw(ledger, "service:heart/serve", memory, (now - 90, 1.0), (now - 80, 3.0), (now + 5, 9.0))
    saw(ledger, "service:heart/serve", cores, (now - 90, 1.0), (now - 80, 3.0))
    saw(ledger, "model:heart", "requests", (now - 90, 7_200.0))
    sizing(ledger, sizer, clock).step()
    (asked,) = sizer.asked
    assert asked.used[Resource.MEMORY][-1][-2] == 3.0
    assert asked.used[Resource.CPU][-1][-2] == 2.0
    assert asked.requests[-1] == 2.0


def test_wishes_are_told(ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock) -> None:
    sizing(ledger, sizer, clock).step()
    assert sizer.asked[0].stated == ()
    promised = Serving(availability=0.999)
    spec = running.spec_of(ledger, run.pipeline)
    assert spec is not None
    tasks = [
        dataclasses.replace(each, serving=promised) if each.name == "serve" else each
        for each in spec.tasks
    ]
    put(ledger, (PIPELINES, dataclasses.replace(spec, tasks=tuple(tasks))))
    sizing(ledger, sizer, clock).step()
    assert sizer.asked[0].promised == promised
    ledger.commit("test", [Delete(PIPELINES, run.pipeline)])
    sizing(ledger, sizer, clock).step()
    assert sizer.asked[0].stated == ()
    assert sizer.asked[0].promised is None


@pytest.mark.parametrize(
    ("resource", "promised", "share"),
    [
        (Resource.MEMORY, None, 0.01),
        (Resource.MEMORY, Serving(), 0.01),
        (Resource.MEMORY, Serving(availability=0.9), 0.01),
        (Resource.GPU_MEMORY, Serving(availability=0.999), 0.001),
        (Resource.MEMORY, Serving(availability=1.0), 1e-4),
        (Resource.CPU, None, 0.05),
        (Resource.CPU, Serving(availability=0.999), 0.05),
        (Resource.GPU, Serving(latency_ms_p99=50.0), 0.01),
    ],
)
def test_what_may_be_short_follows_from_the_promise(
    resource: Resource, promised: Serving | None, share: float
) -> None:
    assert SizingPolicy().allowed(resource, promised) == pytest.approx(share)


def test_a_resize_is_asked_for_once(
    ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock
) -> None:
    for _ in range(2):
        sizing(ledger, sizer, clock, applies=True).step()
        clock.advance(HOUR)
    held = samples.HELD.memory_gib
    assert resize(ledger).parameters == {"memory_gib": held / 2}


def test_an_engine_whose_term_is_over_writes_nothing(
    ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock
) -> None:
    term = begin_term(ledger, clock, "old")
    begin_term(ledger, clock, "new")
    late = ServiceSizing(ledger, sizer, clock, SizingPolicy(), term=term)
    assert not late.step()
    assert not ledger.select(SERVICE_SIZES)


@pytest.fixture
def reconciler(
    ledger: Ledger, planner: Planner, source: samples.FixedFleet, clock: ManualClock
) -> ActionReconciler:
    return ActionReconciler(ledger, planner, source, clock)


@pytest.fixture
def asked(ledger: Ledger, run: Run, sizer: Halver, clock: ManualClock) -> Run:
    """The same run, whose server is to be halved."""
    sizing(ledger, sizer, clock, applies=True).step()
    return run


def test_a_resize_becomes_a_plan_with_the_new_size(
    ledger: Ledger, asked: Run, reconciler: ActionReconciler
) -> None:
    assert reconciler.step()
    action, run = resize(ledger), ledger.get(RUNS, asked.run_id)
    assert run is not None
    assert (action.state, action.plan_id) == (ActionState.STARTED, run.value.plan_id)
    plan = ledger.get(PLANS, run.value.plan_id)
    assert plan is not None
    servers = [t for t in plan.value.request.pipelines[0].tasks if t.kind is TaskKind.SERVE]
    assert [t.wishes.memory_gib for t in servers] == [samples.HELD.memory_gib / 2]
    assert not [a for a in plan.value.request.fixed if a.task == "serve"]


def test_a_size_without_room_is_refused(
    ledger: Ledger, asked: Run, reconciler: ActionReconciler, placer: FirstPlacer
) -> None:
    placer.full = True
    reconciler.step()
    action = resize(ledger)
    assert action.state is ActionState.FAILED
    assert "no cluster has room for 'serve' of the new size: memory" in action.result


def test_a_server_that_went_is_not_resized(
    ledger: Ledger, asked: Run, reconciler: ActionReconciler
) -> None:
    ledger.commit("test", [Delete(DEPLOYMENTS, asked.pipeline)])
    reconciler.step()
    assert "nothing serves 'heart' any more" in resize(ledger).result
