"""Checks, plans, what-ifs, and the step from a plan to runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path

from api.messages import answers, questions
from api.report import phrases
from api.wiring import instants, reading
from api.wiring.parts import Parts
from engine import dispatching, planning
from engine.documents import MICRO_DOLLARS_MAX
from engine.model import documents
from engine.model.dispatches import RunState
from engine.model.errors import (
    Fault,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    WorldChangedError,
)
from engine.model.identifiers import PipelineName
from engine.model.plans import Mode, Plan, PlanRequest
from engine.model.profiles import RunRecord
from engine.model.records import CURSORS, EVENTS, PLANS, RUNS, Put
from engine.model.specs import PipelineSpec
from engine.ports import Watch


class PlanDesk:
    """Answers what concerns plans. May be used from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        # Two requests with one key, or for one plan, must not start it twice.
        self._applying = threading.Lock()

    def check(self, question: questions.CheckQuestion) -> answers.Checked:
        """Return the pipelines of documents without a fault."""
        as_of = self._parts.clock.now()
        specs = reading.read(question.documents, as_of=as_of, fleet=self._parts.fleet.fleet())
        return answers.Checked(
            pipelines=specs, notes=tuple(note for spec in specs for note in _notes(spec))
        )

    def plan(
        self, question: questions.PlanQuestion, *, watch: Watch | None = None
    ) -> answers.PlanAnswer:
        """Make a plan and keep it; `watch` looks on.

        Raises:
            InvalidInputError: when a pipeline is not sound, or a choice does not fit the mode.
        """
        parts = self._parts
        _check_choices(question)
        # Whole seconds: nobody can give a finer `--as-of` to make the same plan again.
        now = parts.clock.now()
        as_of = instants.as_of(question.as_of, otherwise=float(int(now)))
        fleet = planning.current_fleet(parts.ledger, parts.fleet)
        specs = reading.read(question.documents, as_of=as_of, fleet=fleet)
        names = {spec.name for spec in specs}
        standing = planning.standing_servers(parts.ledger, fleet, names)
        request = PlanRequest(
            pipelines=specs,
            fleet=fleet,
            as_of=as_of,
            mode=question.mode,
            seed=specs[0].seed if question.seed is None else question.seed,
            horizon_hours=question.horizon_hours,
            reservations=planning.running_reservations(
                parts.ledger,
                now,
                fleet=fleet,
                serving_planned={item.pipeline for item in standing},
            ),
            fixed=standing,
            work_limit=parts.settings.work_limit,
            whole=question.whole,
            budget_micro_dollars=question.budget_micro_dollars,
        )
        began = time.monotonic()
        plan = parts.planner.plan(request, self._history(), watch=watch)
        return self._keep(plan, time.monotonic() - began)

    def plans(self, limit: int) -> tuple[answers.PlanSummary, ...]:
        """Return the newest plans."""
        found = self._parts.ledger.select(PLANS, order_by="as_of", descending=True, limit=limit)
        return tuple(answers.summary(stored.value) for stored in found)

    def stored_plan(self, plan_id: str) -> Plan:
        """Return a plan.

        Raises:
            NotFoundError: when there is none of that id; names the newest ones.
        """
        stored = self._parts.ledger.get(PLANS, plan_id)
        if stored is None:
            newest = ", ".join(item.plan_id for item in self.plans(3))
            others = f"the newest are {newest}" if newest else "none was made yet"
            message = f"there is no plan {plan_id!r}; {others}"
            raise NotFoundError(message, fix="berth plan FILE makes a plan and prints its id")
        return stored.value

    def diff(self, plan_id: str, against: str) -> planning.PlanDiff:
        """Compare a plan with another one, or with what runs.

        against: id of a plan; "" for the plans under which the same pipelines run now.
        """
        new = self.stored_plan(plan_id)
        old = self.stored_plan(against) if against else self._running_plan(new)
        return planning.diff(old, new)

    def what_if(
        self, question: questions.WhatIfQuestion, *, watch: Watch | None = None
    ) -> answers.PlanAnswer:
        """Make the same plan under changes and keep it."""
        plan = self.stored_plan(question.plan_id)
        began = time.monotonic()
        changed = planning.what_if(
            self._parts.planner, plan, question.changes, self._history(), watch=watch
        )
        return self._keep(changed, time.monotonic() - began)

    def sweep(
        self, question: questions.SweepQuestion, *, watch: Watch | None = None
    ) -> planning.Sweep:
        """Make the same plan for each of some values and keep those that are possible."""
        plan, changes = self.stored_plan(question.plan_id), question.changes
        swept, plans = planning.sweep(
            self._parts.planner, plan, question.sweep, changes, self._history(), watch=watch
        )
        kept = {made.plan_id: Put(PLANS, made) for made in plans}
        self._parts.ledger.commit("plan.store", list(kept.values()))
        return swept

    def apply(self, plan_id: str, key: str = "") -> answers.Applied:
        """Start the runs of a plan.

        key: names this request; a repeated request with the same key only names the runs that
            it started. Without one a plan is applied once.

        Raises:
            WorldChangedError: when the world is not the one that the plan was made for.
            RefusedError: when tasks have no place, a pipeline is running already, or the key
                was used for another plan.
        """
        plan = self.stored_plan(plan_id)
        with self._applying:
            keys = {spec.name: f"{key or plan_id}/{spec.name}" for spec in plan.request.pipelines}
            missing = [name for name, item in keys.items() if not self._is_known(item, plan)]
            if missing:
                self._check_world(plan, missing)
            runs = tuple(
                dispatching.submit_once(self._parts.ledger, self._parts.clock, plan, name, key=item)
                for name, item in keys.items()
            )
        return answers.Applied(plan_id=plan.plan_id, runs=runs, again=not missing)

    def _is_known(self, key: str, plan: Plan) -> bool:
        """Return whether a key was used before, which must have been for the same plan."""
        known = self._parts.ledger.get(CURSORS, f"submission:{key}")
        if known is None:
            return False
        # The run may have another plan by now; the event of its start has the first one.
        event = self._parts.ledger.get(EVENTS, f"run-started:{known.value.position}")
        before = plan.plan_id if event is None else event.value.labels.get("plan")
        if before != plan.plan_id:
            message = f"the key of this request was used for plan {before} before"
            raise RefusedError(message, fix="use another idempotency key", code="G004")
        return True

    def _history(self) -> Sequence[RunRecord]:
        return (*self._parts.history, *planning.history(self._parts.ledger))

    def _keep(self, plan: Plan, seconds: float) -> answers.PlanAnswer:
        self._parts.ledger.commit("plan.store", [Put(PLANS, plan)])
        return answers.PlanAnswer(
            plan=plan, document=documents.encode(plan), solved_seconds=seconds
        )

    def _check_world(self, plan: Plan, names: Sequence[PipelineName]) -> None:
        """Refuse a plan that cannot be applied now."""
        if plan.placement.unplaced:
            tasks = ", ".join(f"`{item.task}`" for item in plan.placement.unplaced)
            message = f"plan {plan.plan_id} has no place for {tasks}"
            raise RefusedError(message, fix=f"berth explain {plan.plan_id}", code="G003")
        self._check_running(names)
        parts, now = self._parts, self._parts.clock.now()
        standing = {item.pipeline for item in plan.request.fixed}
        held = planning.running_reservations(parts.ledger, now, serving_planned=standing)
        fleet = planning.current_fleet(parts.ledger, parts.fleet)
        changes = (*planning.changed_since(plan, fleet, held), *_passed(plan, now))
        if changes:
            raise WorldChangedError(
                f"the world changed since plan {plan.plan_id} was made; nothing was started",
                changes=changes,
                fix="plan again, and compare: `berth plan FILE`, then `berth diff PLAN "
                f"--against {plan.plan_id}`",
            )

    def _check_running(self, names: Sequence[PipelineName]) -> None:
        active = self._parts.ledger.select(RUNS, where={"state": RunState.ACTIVE.value})
        for stored in active:
            run = stored.value
            if run.pipeline in names:
                message = f"`{run.pipeline}` is running already: {run.run_id}, plan {run.plan_id}"
                fix = f"wait for it (`berth watch {run.run_id}`), or `berth cancel {run.run_id}`"
                raise RefusedError(message, fix=fix, code="G002")

    def _running_plan(self, new: Plan) -> Plan | None:
        """Return the plan under which the first of the pipelines that runs does so."""
        for spec in new.request.pipelines:
            found = self._parts.ledger.select(
                RUNS, where={"pipeline": spec.name}, order_by="created_at", descending=True, limit=1
            )
            for stored in found:
                if stored.value.plan_id != new.plan_id:
                    return self.stored_plan(stored.value.plan_id)
        return None


def _check_choices(question: questions.PlanQuestion) -> None:
    """Refuse a budget that would bind nothing, or that is no amount."""
    budget = question.budget_micro_dollars
    if budget is None:
        return
    path = "budget_micro_dollars"
    if not 0 <= budget <= MICRO_DOLLARS_MAX:
        message = f"the budget of the plan is {budget} micro-dollars"
        fix = f"give 0 to {MICRO_DOLLARS_MAX}"
        fault = Fault(code="S007", message=message, path=path, fix=fix)
        raise InvalidInputError("plan request", [fault])
    if question.mode is not Mode.MOST_SLA:
        message = f"a budget of the whole plan does not bind in mode `{question.mode.value}`"
        fix = "ask for mode `most-sla`, or give each pipeline a budget of its own"
        fault = Fault(code="S005", message=message, path=path, fix=fix)
        raise InvalidInputError("plan request", [fault])


def _passed(plan: Plan, now: float) -> tuple[str, ...]:
    """Return the deadlines of a plan that have passed."""
    return tuple(
        f"the deadline of {promise.pipeline} passed at {phrases.iso(promise.deadline_seconds)}"
        for promise in plan.placement.promises
        if promise.deadline_seconds is not None and promise.deadline_seconds <= now
    )


def _notes(spec: PipelineSpec) -> list[str]:
    """Return what is no fault but worth a second look: data that is not there yet."""
    notes = []
    for task in spec.tasks:
        if task.reads is None or "://" in task.reads:
            continue
        path = Path(spec.folder or ".") / task.reads
        if not path.exists():
            notes.append(f"`{task.name}` reads {str(path)!r}, which is not there now")
    return notes
