"""Everything the engine can be asked, as plain methods: the same for REST, pages and CLI.

It works on a data folder whether the loops of an engine run beside it or not. The methods are
those of `api.client.remote.Remote`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from alarms.intake.door import Door
from api.messages import answers, questions
from api.messages.context import Context
from api.messages.notifying import NotifyQuestion, Routed
from api.wiring import doctor, instants, notifying, profile_desk
from api.wiring.alarm_context import AlarmContext
from api.wiring.hands_desk import HandsDesk
from api.wiring.model_desk import ModelDesk
from api.wiring.parts import Parts
from api.wiring.plan_desk import PlanDesk
from api.wiring.run_desk import RunDesk
from api.wiring.senders import Senders
from api.wiring.training_desk import TrainingDesk
from api.wiring.watch_desk import WatchDesk
from engine import documents, planning
from engine.model.alarms import Action, SuperAlarm
from engine.model.capacity import CapacityReport, DemandFan
from engine.model.dispatches import Attempt, Deployment, Run
from engine.model.errors import NotFoundError
from engine.model.fleet import Fleet
from engine.model.intake import Sender
from engine.model.learning import LearningReport, ModelVersion, TaskHistory
from engine.model.messages import Message
from engine.model.plans import Plan
from engine.model.progress import RunStatus
from engine.model.records import CAPACITY_REPORTS, SENDERS, Put
from engine.model.signals import Signal
from engine.model.sizing import ServiceSize
from engine.ports import Watch
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.exporting import Exported


class Application:
    """Answers every question. May be used from several threads.

    loops: tells how each loop of a running engine is; None where no engine runs.
    """

    def __init__(
        self, parts: Parts, *, loops: Callable[[], Sequence[answers.Finding]] | None = None
    ) -> None:
        self.parts = parts
        self._plans = PlanDesk(parts)
        self._runs = RunDesk(parts)
        self.trainings = TrainingDesk(parts.settings.home, self._runs.experiments)
        self._watch = WatchDesk(parts)
        self._profiles = profile_desk.ProfileDesk(parts)
        self.hands = HandsDesk(parts.ledger, parts.clock, self._watch.super_alarm)
        self._context = AlarmContext(parts.ledger, self.hands.judged)
        self.models = ModelDesk(parts, is_engine=loops is not None)
        self._loops = loops
        self._senders = Senders(parts.settings.senders_folder)
        if loops is not None:
            self._senders.prepare()
        self.door = Door(parts.ledger, parts.clock)
        self._started_at = parts.clock.now()

    @property
    def is_engine(self) -> bool:
        """Whether loops run beside it, so that what is applied also runs."""
        return self._loops is not None

    def close(self) -> None:
        """Close the store."""
        self.models.delivery.close()
        self.parts.close()

    # ------------------------------------------------------------------- plans

    def check(self, question: questions.CheckQuestion) -> answers.Checked:
        """Return the pipelines of documents without a fault."""
        return self._plans.check(question)

    def plan(
        self, question: questions.PlanQuestion, *, watch: Watch | None = None
    ) -> answers.PlanAnswer:
        """Make a plan; nothing else is changed. `watch` looks on while it is searched for."""
        return self._plans.plan(question, watch=watch)

    def plans(self, limit: int = 100) -> tuple[answers.PlanSummary, ...]:
        """Return the newest plans."""
        return self._plans.plans(limit)

    def stored_plan(self, plan_id: str) -> Plan:
        """Return a plan."""
        return self._plans.stored_plan(plan_id)

    def diff(self, plan_id: str, against: str = "") -> planning.PlanDiff:
        """Compare a plan with another one, or with what runs."""
        return self._plans.diff(plan_id, against)

    def what_if(
        self, question: questions.WhatIfQuestion, *, watch: Watch | None = None
    ) -> answers.PlanAnswer:
        """Make the same plan under changes; `watch` as in `plan`."""
        return self._plans.what_if(question, watch=watch)

    def sweep(
        self, question: questions.SweepQuestion, *, watch: Watch | None = None
    ) -> planning.Sweep:
        """Make the same plan for each of some values of a key."""
        return self._plans.sweep(question, watch=watch)

    def apply(self, plan_id: str, key: str = "") -> answers.Applied:
        """Start the runs of a plan, once for each key."""
        return self._plans.apply(plan_id, key)

    # -------------------------------------------------------------------- runs

    def status(self, name: str = "") -> tuple[RunStatus, ...]:
        """Return how runs are: all that matter, or those of a pipeline, a plan or a run."""
        return self._runs.status(name)

    def runs(self, limit: int = 100) -> tuple[Run, ...]:
        """Return the newest runs."""
        return self._runs.runs(limit)

    def run(self, run_id: str) -> Run:
        """Return one run."""
        return self._runs.run(run_id)

    def cancel(self, run_id: str) -> Run:
        """Call off a run, or withdraw the model of one that ended and serves."""
        return self._runs.cancel(run_id)

    def attempts(self, run_id: str) -> tuple[Attempt, ...]:
        """Return all attempts of a run."""
        return self._runs.attempts(run_id)

    def experiments(self, run_id: str) -> tuple[Experiment, ...]:
        """Return the record of every training of a run, or of a training outside a pipeline."""
        return self.trainings.experiments(run_id)

    def export(self, run_id: str, address: str = "") -> tuple[Exported, ...]:
        """Export every training of a run to MLflow, at an address or where the settings say."""
        return self._runs.export(run_id, address)

    def log(self, run_id: str, task: str, number: int = 0) -> str:
        """Return the end of what an attempt wrote; number 0 is the newest attempt."""
        return self._runs.log(run_id, task, number)

    def deployments(self) -> tuple[Deployment, ...]:
        """Return what serves."""
        return self._runs.deployments()

    def fleet(self) -> Fleet:
        """Return all clusters as they are now."""
        return self._runs.fleet()

    def switch_cluster(self, name: str, *, up: bool) -> Fleet:
        """Make a local cluster fail or come back."""
        return self._runs.switch_cluster(name, up=up)

    # ------------------------------------------------------------------ alarms

    def super_alarms(self, limit: int = 100) -> tuple[SuperAlarm, ...]:
        """Return super-alarms, those that harm most first."""
        return self._watch.super_alarms(limit)

    def super_alarm(self, super_alarm_id: str) -> SuperAlarm:
        """Return one super-alarm."""
        return self._watch.super_alarm(super_alarm_id)

    def context(self, super_alarm_id: str) -> Context:
        """Return what surrounds a super-alarm: changes, harm, the like before, and more."""
        return self._context.of(self._watch.super_alarm(super_alarm_id))

    def acknowledge(self, super_alarm_id: str) -> SuperAlarm:
        """Take a super-alarm."""
        return self._watch.acknowledge(super_alarm_id)

    def silence(self, super_alarm_id: str, question: questions.SilenceQuestion) -> SuperAlarm:
        """Keep a super-alarm quiet for a while."""
        return self._watch.silence(super_alarm_id, question.seconds, question.because)

    def actions(self, limit: int = 100) -> tuple[Action, ...]:
        """Return what the engine did or wanted to do, newest first."""
        return self._watch.actions(limit)

    def signals(self, series: str = "", since: float = 0.0) -> tuple[Signal, ...]:
        """Return signals of one series, or of all, after an instant, oldest first."""
        return self._watch.signals(series, since)

    # ---------------------------------------------------------- what is learned

    def task_history(self, task: str) -> TaskHistory:
        """Return what is said of a task's next run, and the runs behind it."""
        return self._profiles.task_history(task)

    def profiles(self, question: questions.ProfilesQuestion) -> tuple[TaskHistory, ...]:
        """Return what is said of tasks that nobody has to plan, and the runs behind it."""
        return self._profiles.profiles(question)

    def sizes(self) -> tuple[ServiceSize, ...]:
        """Return what running services should hold, as it was last told of each."""
        return self._profiles.sizes()

    def forecast(self, question: questions.ForecastQuestion) -> tuple[DemandFan, ...]:
        """Return the forecast of a pool's demand, or of every pool's."""
        return self._profiles.forecast(question)

    def learning(self) -> LearningReport:
        """Return the versions of learned models, and how what was told was kept."""
        return self._profiles.learning()

    def refit(self) -> ModelVersion:
        """Learn anew from all runs; in force only where it is better."""
        return self._profiles.refit()

    def roll_back(self) -> LearningReport:
        """Use the learned version before the one in force again."""
        return self._profiles.roll_back()

    # ------------------------------------------- senders, and messages to people

    def sender(self, token: str) -> str:
        """Return who may send with a token, "" when nobody."""
        return self._senders.name(token)

    @property
    def senders_folder(self) -> str:
        """Where the tokens of senders stand."""
        return str(self._senders.folder)

    def senders(self) -> tuple[Sender, ...]:
        """Return what was received from each sender."""
        return tuple(stored.value for stored in self.parts.ledger.select(SENDERS))

    def messages(self) -> tuple[Message, ...]:
        """Return the newest messages to people, with how each went."""
        return notifying.messages(self.parts)

    def notify_test(self, question: NotifyQuestion) -> tuple[Routed, ...]:
        """Return to which channels a super-alarm would go, when, and what they would be told."""
        return notifying.tried(self.parts, question, self._watch.super_alarm)

    # ---------------------------------------------------------------- capacity

    def capacity(self, question: questions.CapacityQuestion) -> CapacityReport:
        """Hold forecast demand against supply, and keep the report.

        Raises:
            InvalidInputError: when there is no demand to look at, or it has faults.
        """
        series, source = profile_desk.demand_of(self.parts, question)
        ends = profile_desk.last_hour(series)
        seed = question.seed
        report = self.parts.capacity().report(
            series,
            documents.read_fleet(question.fleet, name="fleet") if question.fleet else self.fleet(),
            as_of=instants.as_of(question.as_of, otherwise=ends),
            horizon_hours=question.horizon_hours,
            seed=self.parts.settings.seed if seed is None else seed,
            source=source,
        )
        self.parts.ledger.commit("capacity.store", [Put(CAPACITY_REPORTS, report)])
        return report

    def capacity_report(self, report_id: str) -> CapacityReport:
        """Return a report that was made before."""
        stored = self.parts.ledger.get(CAPACITY_REPORTS, report_id)
        if stored is None:
            message = f"there is no capacity report {report_id!r}"
            raise NotFoundError(message, fix="berth capacity makes one")
        return stored.value

    # ------------------------------------------------------------------ health

    def health(self) -> answers.Health:
        """Return whether the engine and its loops are well."""
        return answers.Health(
            version=self.parts.version,
            process=os.getpid(),
            started_at=self._started_at,
            now=self.parts.clock.now(),
            loops=tuple(self._loops()) if self._loops else (),
        )

    def examine(self) -> tuple[answers.Finding, ...]:
        """Return what a look at clusters, database, clock, disk and loops found."""
        return (*doctor.examine(self.parts), *self.health().loops)
