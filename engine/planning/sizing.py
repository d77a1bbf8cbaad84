"""The loop that sizes running services anew each hour, from what they were seen to use.

It writes a recommendation for each service. Where the policy says so, it also asks for a resize:
the planner then makes a plan in which the service holds what was recommended, and dispatching
restarts the server under it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.model.alarms import Action, ActionKind, ActionState, Guard
from engine.model.dispatches import Attempt, Deployment
from engine.model.errors import ConflictError
from engine.model.identifiers import SuperAlarmId
from engine.model.plans import task_key
from engine.model.records import (
    ABSENT,
    ACTIONS,
    DEPLOYMENTS,
    SERVICE_SIZES,
    SIGNALS,
    TERMS,
    Check,
    Put,
    Term,
    Write,
)
from engine.model.resources import Resource
from engine.model.signals import Signal
from engine.model.sizing import (
    USE_SIGNALS,
    ServiceSize,
    ServiceUse,
    SizedAmount,
    SizingPolicy,
    use_subject,
)
from engine.model.specs import Scalar, TaskSpec
from engine.planning import running
from engine.ports import Clock, Ledger, ServiceSizer

HOURS_READ = 168
_SAMPLES = 60
_SIGNALS_READ = 50_000
RESIZED_FIELDS = {
    Resource.CPU: "cpu_cores",
    Resource.MEMORY: "memory_gib",
}
"""What a resize changes, and the parameter and wish that say so; of others people are told."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Hours that end at an instant, and how they are cut into samples."""

    ends_at: float
    hour_seconds: float

    @property
    def starts_at(self) -> float:
        """The instant from which signals count."""
        return self.ends_at - HOURS_READ * self.hour_seconds

    def cut(
        self, signals: Sequence[Signal], join: Callable[[list[float]], float], samples: int
    ) -> tuple[tuple[float, ...], ...]:
        """Return (hours, samples) of joined values, NaN where there is none."""
        cells: dict[int, list[float]] = {}
        width = self.hour_seconds / samples
        for signal in signals:
            if self.starts_at <= signal.at < self.ends_at:
                cells.setdefault(int((signal.at - self.starts_at) / width), []).append(signal.value)
        return tuple(
            tuple(
                join(cells[hour * samples + place]) if hour * samples + place in cells else math.nan
                for place in range(samples)
            )
            for hour in range(HOURS_READ)
        )


class ServiceSizing:
    """Recommends sizes of all running services; one `step` looks at each of them once.

    hour_seconds: of the engine's clock. term: when given, nothing is written after a newer engine
        took over.
    """

    def __init__(
        self,
        ledger: Ledger,
        sizer: ServiceSizer,
        clock: Clock,
        policy: SizingPolicy,
        *,
        hour_seconds: float = 3_600.0,
        term: Term | None = None,
    ) -> None:
        self._ledger = ledger
        self._sizer = sizer
        self._clock = clock
        self._policy = policy
        self._hour_seconds = hour_seconds
        self._term = term

    def step(self) -> bool:
        """Size every service that runs; return whether there was one."""
        now = self._clock.now()
        services = services_running(self._ledger, Grid(now, self._hour_seconds))
        if not services:
            return False
        sizes = self._sizer.sizes(services, self._policy, at=now)
        writes: list[Write] = [Put(SERVICE_SIZES, size) for size in sizes]
        if self._policy.applies:
            writes += [
                Put(ACTIONS, action, ABSENT)
                for size in sizes
                if (action := self._resize(size)) is not None
            ]
        fence = [] if self._term is None else [Check(TERMS, "engine", self._term.number)]
        try:
            self._ledger.commit("size.services", [*fence, *writes])
        except ConflictError:
            return False
        return True

    def _resize(self, size: ServiceSize) -> Action | None:
        """Return the resize that a recommendation asks for, None where there is nothing to do."""
        changes = [amount for amount in size.changes if amount.resource in RESIZED_FIELDS]
        open_ones = self._ledger.select(
            ACTIONS,
            where={
                "kind": ActionKind.RESIZE.value,
                "pipeline": size.pipeline,
                "state": (ActionState.WANTED.value, ActionState.STARTED.value),
            },
        )
        if not changes or open_ones:
            return None
        return Action(
            action_id=f"resize-{size.pipeline}-{size.at:.0f}",
            kind=ActionKind.RESIZE,
            state=ActionState.WANTED,
            super_alarm_id=SuperAlarmId(""),
            subject=f"task:{task_key(size.pipeline, size.task)}",
            policy="services are sized by what they use",
            wanted_at=size.at,
            pipeline=size.pipeline,
            guards=tuple(_guard(amount) for amount in changes),
            parameters=parameters_of(changes),
        )


def parameters_of(changes: Sequence[SizedAmount]) -> dict[str, Scalar]:
    """Return the amounts of a resize, by the name of the wish that says the same."""
    return {RESIZED_FIELDS[amount.resource]: amount.wanted for amount in changes}


def _guard(amount: SizedAmount) -> Guard:
    return Guard(
        name=f"{amount.resource.value}: {amount.why}",
        allows=True,
        needs=amount.wanted,
        has=amount.held,
        unit=amount.resource.unit,
    )


def services_running(ledger: Ledger, grid: Grid) -> tuple[ServiceUse, ...]:
    """Return the servers that run, with what they used in the hours of a grid."""
    live = {attempt.attempt_id: attempt for attempt in running.live_attempts(ledger)}
    found: list[ServiceUse] = []
    for stored in ledger.select(DEPLOYMENTS):
        deployment = stored.value
        attempt = live.get(deployment.attempt_id) if deployment.attempt_id else None
        if attempt is not None:
            found.append(_use(ledger, deployment, attempt, grid))
    return tuple(found)


def _use(ledger: Ledger, deployment: Deployment, attempt: Attempt, grid: Grid) -> ServiceUse:
    subject = use_subject(deployment.pipeline, attempt.task)
    used = {
        resource: grid.cut(signals, _joined(resource), _SAMPLES)
        for name, resource in USE_SIGNALS.items()
        if (signals := _signals(ledger, f"{subject}|{name}", grid))
    }
    asked = _signals(ledger, f"model:{deployment.pipeline}|requests", grid)
    counts = grid.cut(asked, sum, 1)
    spec = _spec(ledger, attempt)
    return ServiceUse(
        pipeline=deployment.pipeline,
        task=attempt.task,
        cluster=attempt.cluster,
        pool=attempt.pool,
        held=attempt.held,
        used=used,
        requests=tuple(count / grid.hour_seconds for (count,) in counts),
        stated=_stated(spec),
        promised=None if spec is None else spec.serving,
    )


def _joined(resource: Resource) -> Callable[[list[float]], float]:
    """Return how values of one sample are joined: memory is a maximum, the others a mean."""
    if resource in {Resource.MEMORY, Resource.GPU_MEMORY}:
        return max
    return lambda values: sum(values) / len(values)


def _signals(ledger: Ledger, series: str, grid: Grid) -> list[Signal]:
    stored = ledger.select(
        SIGNALS,
        where={"series": series},
        order_by="at",
        since=grid.starts_at,
        limit=_SIGNALS_READ,
    )
    return [each.value for each in stored]


def _spec(ledger: Ledger, attempt: Attempt) -> TaskSpec | None:
    """Return the task as it was submitted, None where nobody knows."""
    from_store = running.spec_of(ledger, attempt.pipeline)
    return None if from_store is None else from_store.task(attempt.task)


def _stated(spec: TaskSpec | None) -> tuple[Resource, ...]:
    """Return the resources on which a person insists."""
    return tuple(
        resource
        for resource, name in RESIZED_FIELDS.items()
        if spec is not None and getattr(spec.wishes, name) is not None
    )
