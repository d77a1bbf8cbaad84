"""Who gives way when a more important task needs the room.

The importance of a task is the weight of its pipeline's SLA. Where one waits for capacity, running
attempts of lower weight in its pool are suspended: as few as make enough room, the least important
first, and of those the ones that lose the least work. Where all of them would not be enough, none
is. Nobody's own promise is broken by it: an attempt whose run would not keep its deadline or budget
afterwards is left alone, and so are services, tasks that must not be interrupted, and those that
gave way several times already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce

from engine.dispatching import forecasts, progress
from engine.dispatching.admission import Asked, Holders, cluster_of, shortage
from engine.dispatching.desk import Desk, RunView
from engine.dispatching.suspending import suspender
from engine.model.dispatches import Attempt, AttemptState, Suspension, TaskRun, TaskState
from engine.model.fleet import Fleet
from engine.model.identifiers import AttemptId
from engine.model.records import ATTEMPTS, Put, Stored
from engine.model.resources import Resources
from engine.model.specs import BudgetPeriod, TaskKind

SUSPENSIONS_MOST = 3
"""How often one attempt gives way; then it is left alone."""
_LATE = 0.95


@dataclass(frozen=True, slots=True)
class _Candidate:
    stored: Stored[Attempt]
    view: RunView

    @property
    def weight(self) -> float:
        return self.view.spec.sla.weight


@dataclass(slots=True)
class Rooms:
    """Makes room in one step; who may give way in a pool is looked for once.

    live: attempts that are not over; those that give way are replaced in it.
    """

    desk: Desk
    fleet: Fleet
    live: dict[AttemptId, Stored[Attempt]]
    holders: Holders
    _known: dict[tuple[str, str], list[_Candidate]] = field(default_factory=dict)
    _leaving: dict[tuple[str, str], list[Attempt]] = field(default_factory=dict)
    """Attempts that give way to a task of a run, and have not left yet."""

    def __post_init__(self) -> None:
        for stored in self.live.values():
            self._note(stored.value)

    def make(self, asked: Asked, view: RunView) -> bool:
        """Have others give way to a task of a run; return whether anything was stored."""
        chosen = self._chosen(asked, view)
        writes = [Put(ATTEMPTS, self._asked(each, asked), each.stored.version) for each in chosen]
        task = asked.assignment.task
        if not writes or not self.desk.commit(f"dispatch.suspend:{task}", *writes):
            return False
        for each, write in zip(chosen, writes, strict=True):
            self.live[write.value.attempt_id] = Stored(write.value, each.stored.version + 1)
            self._at(asked).remove(each)
            self._note(write.value)
        return True

    def _note(self, attempt: Attempt) -> None:
        given = attempt.suspension
        if attempt.state is AttemptState.SUSPENDING and given is not None:
            self._leaving.setdefault((given.run_id, given.task), []).append(attempt)

    def _asked(self, each: _Candidate, asked: Asked) -> Attempt:
        """Return an attempt that is to give way."""
        attempt = each.stored.value
        given = replace(
            attempt.suspension or Suspension(),
            run_id=asked.run_id,
            task=asked.assignment.task,
            since=self.desk.clock.now(),
        )
        return replace(attempt, state=AttemptState.SUSPENDING, suspension=given)

    def _chosen(self, asked: Asked, view: RunView) -> list[_Candidate]:
        """Return who gives way: as few as possible, none where that is not enough or needed."""
        chosen: list[_Candidate] = []
        for each in self._at(asked):
            if each.weight >= view.spec.sla.weight or self._fits(asked, chosen):
                break
            if self._may_give_way(each, asked, view):
                chosen.append(each)
        if not chosen or not self._fits(asked, chosen):
            return []
        for each in tuple(chosen):
            fewer = [other for other in chosen if other is not each]
            if self._fits(asked, fewer):
                chosen = fewer
        return chosen

    def _fits(self, asked: Asked, chosen: Sequence[_Candidate]) -> bool:
        """Return whether there is room once these have left, and those who leave already."""
        place = asked.assignment
        cluster = cluster_of(self.fleet, place.cluster)
        leave = self._leaving.get((asked.run_id, place.task), ())
        there = [a for a in leave if (a.cluster, a.pool) == (place.cluster, place.pool)]
        held = (attempt.held for attempt in (*there, *(each.stored.value for each in chosen)))
        freed = reduce(Resources.plus, held, Resources())
        return cluster is not None and not shortage(asked, cluster, self.holders, freed=freed)

    def _at(self, asked: Asked) -> list[_Candidate]:
        """Return who may give way in a pool, in the order in which they do."""
        place = (asked.assignment.cluster, asked.assignment.pool)
        if place not in self._known:
            there = (s for s in self.live.values() if (s.value.cluster, s.value.pool) == place)
            found = list(self._candidates(there))
            found.sort(key=lambda each: (each.weight, -_began(each.stored.value)))
            self._known[place] = found
        return self._known[place]

    def _candidates(self, there: Iterable[Stored[Attempt]]) -> Iterator[_Candidate]:
        for stored in there:
            attempt = stored.value
            executor = suspender(self.desk, attempt)
            often = attempt.suspension is not None and attempt.suspension.count >= SUSPENSIONS_MOST
            if attempt.state is not AttemptState.RUNNING or often or executor is None:
                continue
            run = self.desk.run(attempt.run_id)
            if run is None or not executor.can_suspend(attempt.cluster):
                continue
            view = self.desk.view(run)
            task = view.spec.task(attempt.task)
            if task.interruptible and task.kind is not TaskKind.SERVE:
                yield _Candidate(stored, view)

    def _may_give_way(self, each: _Candidate, asked: Asked, view: RunView) -> bool:
        """Return whether a run keeps what it promised although a task of it begins again later."""
        now, place = self.desk.clock.now(), asked.assignment
        busy = progress.duration(view.plan, place.pipeline, place.task, place.pool)
        free_at = None if busy is None else now + busy.at(_LATE)
        return keeps_deadline(each.view, each.stored.value, now, free_at) and keeps_budget(
            each.view, each.stored.value, now
        )


def keeps_deadline(view: RunView, attempt: Attempt, now: float, free_at: float | None) -> bool:
    """Return whether a deadline that is kept now is kept if an attempt begins again later. Pure.

    By the forecast at 95 percent. free_at: when there is room again; None when nobody can tell.
    """
    promise = view.plan.promise(view.spec.name)
    deadline = promise.deadline_seconds if promise is not None else None
    if deadline is None or not view.spec.sla.has_hard_deadline:
        return True
    task = view.tasks[attempt.task].value
    ends = _end(view, task, now)
    if ends is None or ends > deadline:
        return True  # lost already, or nobody can tell
    if free_at is None:
        return False
    later = _end(view, replace(task, state=TaskState.WAITING, not_before=free_at), now)
    return later is not None and later <= deadline


def keeps_budget(view: RunView, attempt: Attempt, now: float) -> bool:
    """Return whether a run stays in its budget when what an attempt did is paid for again. Pure."""
    limits, promise = view.spec.limits, view.plan.promise(view.spec.name)
    place = view.plan.assignment(view.spec.name, attempt.task)
    budget = limits.budget_micro_dollars
    per_run = limits.budget_period is BudgetPeriod.RUN
    if budget is None or not per_run or promise is None or place is None:
        return True
    lost_seconds = now - _began(attempt)
    if attempt.suspension is not None:
        lost_seconds += attempt.suspension.lost_seconds
    expected_seconds = (place.end_seconds_p50 or place.start_seconds) - place.start_seconds
    share = lost_seconds / expected_seconds if expected_seconds > 0.0 else 1.0
    return promise.run_cost_micro_dollars + share * place.cost_micro_dollars <= budget


def _end(view: RunView, task: TaskRun, now: float) -> float | None:
    """Return when a run ends at 95 percent, with one of its tasks as given."""
    tasks = {name: stored.value for name, stored in view.tasks.items()}
    tasks[task.task] = task
    durations = {
        name: progress.duration(view.plan, view.spec.name, name, each.pool)
        for name, each in tasks.items()
    }
    spans = forecasts.spans(view.spec, tasks, durations, {}, now=now, level=_LATE)
    return progress.end(view.spec, spans)


def _began(attempt: Attempt) -> float:
    return attempt.intended_at if attempt.started_at is None else attempt.started_at
