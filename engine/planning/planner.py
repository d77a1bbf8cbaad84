"""Spec in, plan out: check against the fleet, profile each task, place, wrap as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine import documents
from engine.model import trainings
from engine.model.documents import encode, letters
from engine.model.errors import InvalidInputError
from engine.model.identifiers import PlanId
from engine.model.plans import Placement, PlacementProblem, Plan, PlanRequest, task_key
from engine.model.profiles import Profile, RunRecord
from engine.planning import workers
from engine.ports import Forecaster, Placer, Watch, WatchablePlacer


class Planner:
    """Makes plans. Pure but for its ports: the same request and history give the same bytes."""

    def __init__(self, forecaster: Forecaster, placer: Placer, version: str) -> None:
        self._forecaster = forecaster
        self._placer = placer
        self._version = version

    def plan(
        self,
        request: PlanRequest,
        history: Sequence[RunRecord],
        *,
        known: Mapping[str, Profile] | None = None,
        watch: Watch | None = None,
    ) -> Plan:
        """Return the plan for a request. Nothing is stored and nothing changes.

        history: past runs of any task, from which profiles are learned; only those that ended by
            the time for which the plan is made.
        known: profiles that are taken as they are, by `PIPELINE/TASK`.
        watch: told of every better plan on the way, where the placer can tell.

        Raises:
            InvalidInputError: when a pipeline names what the fleet has not.
            InfeasibleError: by the placer, in `LEAST_COST` mode.
        """
        for pipeline in request.pipelines:
            faults = documents.check_against(pipeline, request.fleet)
            if faults:
                raise InvalidInputError(pipeline.name, faults)
        # Times of plans are whole seconds, so that one made now knows what ended in this second.
        past = [record for record in history if record.ended_at < request.as_of + 1.0]
        profiles = {key: trainings.alone_of(each) for key, each in (known or {}).items()}
        for pipeline in request.pipelines:
            for task in pipeline.tasks:
                key = task_key(pipeline.name, task.name)
                if key not in profiles:
                    profiles[key] = self._forecaster.profile(pipeline, task, request.fleet, past)
        draft = self._placed(request, profiles, watch)
        return replace(draft, plan_id=plan_id(draft))

    def _placed(
        self, request: PlanRequest, profiles: Mapping[str, Profile], watch: Watch | None
    ) -> Plan:
        """Return the plan without its id, with as many workers of each training as are best."""
        placer = self._placer
        if watch is not None and isinstance(placer, WatchablePlacer):
            placer = placer.watched(watch)

        def place(wanted: Mapping[str, Profile]) -> Placement:
            return placer.place(PlacementProblem(request=request, profiles=wanted))

        chooser = workers.Chooser(request, profiles, place)
        counts, placement, choices = chooser.best()
        return Plan(
            plan_id=PlanId(""),
            version=self._version,
            request=request,
            profiles=chooser.profiles(counts),
            placement=workers.counted(placement, counts),
            workers=choices,
        )


def plan_id(plan: Plan) -> PlanId:
    """Return the id that follows from everything in a plan but its id."""
    content = replace(plan, plan_id=PlanId(""))
    return PlanId(f"p-{letters(encode(content))}")
