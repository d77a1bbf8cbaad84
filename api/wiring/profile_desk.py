"""What is known of tasks and pools: profiles with their runs, forecasts, learned models."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import forecasting
from api.messages import files, questions
from api.wiring import instants, reading
from api.wiring.parts import Parts
from engine import capacity, planning
from engine.model.capacity import DemandFan, DemandSeries
from engine.model.errors import Fault, InvalidInputError, NotFoundError
from engine.model.learning import LearningReport, ModelVersion, TaskHistory
from engine.model.plans import task_key
from engine.model.profiles import RunRecord
from engine.model.records import DEPLOYMENTS, PLANS, SERVICE_SIZES, Term
from engine.model.sizing import ServiceSize, SizingPolicy
from engine.model.specs import PipelineSpec, TaskSpec

_PLANS_READ = 200
_MOST_NAMED = 8
_HOUR_SECONDS = 3_600.0
_LEAST_BETWEEN_SECONDS = 300.0


def runs_known(parts: Parts) -> tuple[RunRecord, ...]:
    """Return past runs: those of the settings' file, then those of the store."""
    return (*parts.history, *planning.history(parts.ledger))


def demand_of(
    parts: Parts, question: questions.CapacityQuestion | questions.ForecastQuestion
) -> tuple[tuple[DemandSeries, ...], str]:
    """Return past demand, that of the settings where none is given, and what it is called.

    Raises:
        InvalidInputError: when there is none, or it or its holidays have faults.
    """
    text, source = question.demand, question.source or "the request"
    if not text:
        path = parts.settings.demand
        if path is None:
            fix = "name a file, or set BERTH_DEMAND"
            fault = Fault(code="U013", message="no past demand was given", fix=fix)
            raise InvalidInputError("demand", [fault])
        text, source = files.read_text(path, "demand"), str(path)
    days = capacity.read_holidays(question.holidays, zone=question.zone)
    series = capacity.read_demand(text, source)
    return tuple(dataclasses.replace(each, holidays=days) for each in series), source


def last_hour(series: Sequence[DemandSeries]) -> float:
    """Return the instant at which the longest series ends."""
    return max(one.starts_at + len(one.values) * _HOUR_SECONDS for one in series)


class ProfileDesk:
    """Answers what concerns profiles, forecasts and what was learned."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def task_history(self, task: str) -> TaskHistory:
        """Return what is said of a task's next run (`TASK` or `PIPELINE/TASK`), and its past runs.

        Raises:
            NotFoundError: when no plan and no run has such a task.
        """
        history = runs_known(self._parts)
        newest_first = sorted(history, key=lambda run: (-run.ended_at, run.pipeline, run.task))
        mine = [run for run in newest_first if _is(task, run.pipeline, run.task)]
        found = self._planned(task)
        if found is None and not mine:
            known = sorted({task_key(run.pipeline, run.task) for run in history})
            message = f"no plan and no run has a task {task!r}; runs have {_some(known)}"
            raise NotFoundError(message, fix="berth plan FILE --show-profile TASK forecasts it")
        if found is None:
            return TaskHistory(
                pipeline=mine[0].pipeline,
                task=mine[0].task,
                profile=None,
                runs=tuple(r for r in mine if r.pipeline == mine[0].pipeline),
                size=self._size(mine[0].pipeline, mine[0].task),
            )
        pipeline, spec = found
        return self._told(pipeline, spec, newest_first)

    def profiles(self, question: questions.ProfilesQuestion) -> tuple[TaskHistory, ...]:
        """Return what is said of tasks of documents, without a plan, and their past runs.

        Raises:
            InvalidInputError: when a pipeline is not sound.
            NotFoundError: when no pipeline has such a task.
        """
        as_of = instants.as_of(question.as_of, otherwise=self._parts.clock.now())
        specs = reading.read(question.documents, as_of=as_of, fleet=self._parts.fleet.fleet())
        # As in a plan: times are whole seconds, so that what ended in this one is known.
        past = [run for run in runs_known(self._parts) if run.ended_at < as_of + 1.0]
        newest_first = sorted(past, key=lambda run: (-run.ended_at, run.pipeline, run.task))
        asked = [
            (pipeline, task)
            for pipeline in specs
            for task in pipeline.tasks
            if not question.task or _is(question.task, pipeline.name, task.name)
        ]
        if not asked:
            known = ", ".join(task.name for pipeline in specs for task in pipeline.tasks)
            message = f"no pipeline has a task {question.task!r}; there are {known or 'none'}"
            raise NotFoundError(message, fix="name one of these")
        return tuple(self._told(pipeline, task, newest_first) for pipeline, task in asked)

    def _told(
        self, pipeline: PipelineSpec, task: TaskSpec, newest_first: Sequence[RunRecord]
    ) -> TaskHistory:
        """Return what is said of a task's next run, and its past runs."""
        fleet = self._parts.fleet.fleet()
        return TaskHistory(
            pipeline=pipeline.name,
            task=task.name,
            profile=self._parts.forecaster.profile(pipeline, task, fleet, newest_first),
            runs=tuple(
                run
                for run in newest_first
                if (run.pipeline, run.task) == (pipeline.name, task.name)
            ),
            size=self._size(pipeline.name, task.name),
        )

    def sizes(self) -> tuple[ServiceSize, ...]:
        """Return what running services should hold, as it was last told of each."""
        stored = self._parts.ledger.select(SERVICE_SIZES)
        serving = {each.value.pipeline for each in self._parts.ledger.select(DEPLOYMENTS)}
        return tuple(each.value for each in stored if each.value.pipeline in serving)

    def _size(self, pipeline: str, task: str) -> ServiceSize | None:
        """Return what a running service should hold, None for a task that does not serve."""
        return next(
            (each for each in self.sizes() if (each.pipeline, each.task) == (pipeline, task)), None
        )

    def _planned(self, task: str) -> tuple[PipelineSpec, TaskSpec] | None:
        """Return a task as the newest plan has it, None where no plan has it."""
        plans = self._parts.ledger.select(
            PLANS, order_by="as_of", descending=True, limit=_PLANS_READ
        )
        for stored in plans:
            for pipeline in stored.value.request.pipelines:
                for spec in pipeline.tasks:
                    if _is(task, pipeline.name, spec.name):
                        return pipeline, spec
        return None

    def forecast(self, question: questions.ForecastQuestion) -> tuple[DemandFan, ...]:
        """Return the forecast of a pool's demand, or of every pool's.

        With totals, all are forecast and moved until they add up.
        """
        series, source = demand_of(self._parts, question)
        together = None
        if question.totals:
            series, parts = forecasting.with_totals(series, question.totals)
            together = functools.partial(forecasting.adding_up, parts=parts)
        seed = self._parts.settings.seed if question.seed is None else question.seed
        return self._parts.capacity().fans(
            series,
            pool=question.pool,
            as_of=instants.as_of(question.as_of, otherwise=last_hour(series)),
            horizon_hours=question.horizon_hours,
            seed=seed,
            source=source,
            together=together,
        )

    def learning(self) -> LearningReport:
        """Return the versions of learned models, and how what was told was kept."""
        oracle, note = self._parts.learning.in_force()
        return LearningReport(
            in_force=0 if oracle is None else oracle.number,
            note=note,
            versions=self._parts.learning.versions(),
            weeks=forecasting.weeks(planning.history(self._parts.ledger)),
        )

    def refit(self) -> ModelVersion:
        """Learn anew from all runs; the version is in force only where it is better.

        Raises:
            NotFoundError: when there are too few runs to learn from.
        """
        made = refit(self._parts)
        if made is None:
            message = "no kind of task has 40 runs of three tasks, or 100 runs, to learn from yet"
            raise NotFoundError(message, fix="runs near a task speak for it until then")
        return made

    def roll_back(self) -> LearningReport:
        """Use the version before the one in force again.

        Raises:
            RefusedError: when none is in force.
        """
        self._parts.learning.roll_back()
        return self.learning()


def refit(parts: Parts) -> ModelVersion | None:
    """Learn anew from all runs; None when there are too few."""
    return forecasting.learn(
        parts.learning, runs_known(parts), now=parts.clock.now(), seed=parts.settings.seed
    )


def nightly(parts: Parts, every_seconds: float) -> Callable[[], bool]:
    """Return the step of a loop that refits once a night; true when it did.

    The time of the last refit is that of the newest version, so that a restart does not repeat it;
    runs that are too few are counted again in the next night.
    """
    looked_at: list[float] = [max((v.fitted_at for v in parts.learning.versions()), default=0.0)]

    def step() -> bool:
        now = parts.clock.now()
        if now - looked_at[0] < every_seconds:
            return False
        looked_at[0] = now
        newest = max((run.ended_at for run in planning.history(parts.ledger)), default=0.0)
        learned_to = max((v.to_seconds for v in parts.learning.versions()), default=0.0)
        return newest > learned_to and refit(parts) is not None

    return step


def hourly(parts: Parts, term: Term) -> Callable[[], bool]:
    """Return the step of a loop that sizes services once an hour, also across restarts.

    A look costs seconds of processor time, so that a fast clock does not make it more frequent
    than every five minutes of the wall clock.
    """
    hour = parts.settings.scaled(_HOUR_SECONDS)
    every = max(hour, _LEAST_BETWEEN_SECONDS)
    told = [each.value.at for each in parts.ledger.select(SERVICE_SIZES)]
    looked_at: list[float] = [max(told, default=parts.clock.now())]

    def step() -> bool:
        now = parts.clock.now()
        if now - looked_at[0] < every or not parts.ledger.select(DEPLOYMENTS, limit=1):
            return False
        looked_at[0] = now
        _sizing(parts, term, hour).step()
        return False

    return step


def _sizing(parts: Parts, term: Term, hour: float) -> planning.ServiceSizing:
    """Return what sizes services; made when there is one, since its libraries take a second."""
    return planning.ServiceSizing(
        parts.ledger,
        forecasting.HourlySizer(forecasting.DemandChooser, seed=parts.settings.seed),
        parts.clock,
        SizingPolicy(applies=parts.settings.sizing == "apply"),
        hour_seconds=hour,
        term=term,
    )


def _is(asked: str, pipeline: str, task: str) -> bool:
    return asked in {task, task_key(pipeline, task)}


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED]) or "none"
    return f"{shown}, ..." if len(names) > _MOST_NAMED else shown
