"""Everything the engine can be asked, over HTTP, with typed answers.

The methods are those of `api.wiring.application.Application`, so that the command line can use
either: a running engine, or the same code in its own process.
"""

from __future__ import annotations

from collections.abc import Iterator

from api.client.hands import RemoteHands
from api.client.modelling import RemoteModels
from api.client.trainings import RemoteTrainings
from api.client.transport import Transport
from api.messages import answers, questions
from api.messages.context import Context
from api.messages.notifying import NotifyQuestion, Routed
from engine import planning
from engine.model import documents
from engine.model.alarms import Action, SuperAlarm
from engine.model.capacity import CapacityReport, DemandFan
from engine.model.dispatches import Attempt, Deployment, Run
from engine.model.errors import NotFoundError
from engine.model.fleet import Fleet
from engine.model.learning import LearningReport, ModelVersion, TaskHistory
from engine.model.messages import Message
from engine.model.plans import Plan
from engine.model.progress import RunStatus
from engine.model.signals import Signal
from engine.model.sizing import ServiceSize
from engine.ports import Watch
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.exporting import Exported

SOLVED_HEADER = "Berth-Solved-Seconds"


class Remote:
    """One engine, reached over HTTP. May be used from several threads."""

    is_engine = True
    """Whether an engine is behind this, that runs what is applied."""

    def __init__(self, url: str, *, timeout_seconds: float = 120.0) -> None:
        self._transport = Transport(url, timeout_seconds=timeout_seconds)
        self.url = self._transport.url
        self.hands = RemoteHands(self._transport)
        self.models = RemoteModels(self._transport)
        self.trainings = RemoteTrainings(self._transport)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    # ------------------------------------------------------------------- plans

    def check(self, question: questions.CheckQuestion) -> answers.Checked:
        """Return the pipelines of documents without a fault."""
        return self._transport.value(answers.Checked, "POST", "/v1/check", content=question)

    def plan(
        self, question: questions.PlanQuestion, *, watch: Watch | None = None
    ) -> answers.PlanAnswer:
        """Make a plan; nothing else is changed. Nobody can look on from here."""
        del watch
        return self._planned("/v1/plans", question)

    def plans(self, limit: int = 100) -> tuple[answers.PlanSummary, ...]:
        """Return the newest plans."""
        return self._transport.value(
            tuple[answers.PlanSummary, ...], "GET", "/v1/plans", query={"limit": limit}
        )

    def stored_plan(self, plan_id: str) -> Plan:
        """Return a plan."""
        return self._transport.value(Plan, "GET", _path(plan_id))

    def diff(self, plan_id: str, against: str = "") -> planning.PlanDiff:
        """Compare a plan with another one, or with what runs."""
        path = f"{_path(plan_id)}/diff"
        return self._transport.value(
            planning.PlanDiff, "GET", path, query={"against": against or None}
        )

    def what_if(
        self, question: questions.WhatIfQuestion, *, watch: Watch | None = None
    ) -> answers.PlanAnswer:
        """Make the same plan under changes; `watch` as in `plan`."""
        del watch
        return self._planned("/v1/what-if", question)

    def sweep(
        self, question: questions.SweepQuestion, *, watch: Watch | None = None
    ) -> planning.Sweep:
        """Make the same plan for each of some values of a key; `watch` as in `plan`."""
        del watch
        return self._transport.value(planning.Sweep, "POST", "/v1/sweep", content=question)

    def apply(self, plan_id: str, key: str = "") -> answers.Applied:
        """Start the runs of a plan, once for each key."""
        headers = {"Idempotency-Key": key} if key else None
        response = self._transport.ask("POST", f"{_path(plan_id)}/apply", headers=headers)
        return documents.decode(answers.Applied, response.content)

    def _planned(self, path: str, question: object) -> answers.PlanAnswer:
        response = self._transport.ask("POST", path, content=question)
        return answers.PlanAnswer(
            plan=documents.decode(Plan, response.content),
            document=response.content.decode("utf-8"),
            solved_seconds=float(response.headers.get(SOLVED_HEADER, "0")),
        )

    # -------------------------------------------------------------------- runs

    def status(self, name: str = "") -> tuple[RunStatus, ...]:
        """Return how runs are: all that matter, or those of a pipeline, a plan or a run."""
        return self._transport.value(
            tuple[RunStatus, ...], "GET", "/v1/status", query={"name": name or None}
        )

    def runs(self, limit: int = 100) -> tuple[Run, ...]:
        """Return the newest runs."""
        return self._transport.value(tuple[Run, ...], "GET", "/v1/runs", query={"limit": limit})

    def run(self, run_id: str) -> Run:
        """Return one run."""
        return self._transport.value(Run, "GET", f"/v1/runs/{run_id}")

    def cancel(self, run_id: str) -> Run:
        """Call off a run, or withdraw the model of one that ended and serves."""
        return self._transport.value(Run, "POST", f"/v1/runs/{run_id}/cancel")

    def attempts(self, run_id: str) -> tuple[Attempt, ...]:
        """Return all attempts of a run."""
        return self._transport.value(tuple[Attempt, ...], "GET", f"/v1/runs/{run_id}/attempts")

    def experiments(self, run_id: str) -> tuple[Experiment, ...]:
        """Return the record of every training of a run, or of a training outside a pipeline."""
        path = f"/v1/runs/{run_id}/experiments"
        return self._transport.value(tuple[Experiment, ...], "GET", path)

    def export(self, run_id: str) -> tuple[Exported, ...]:
        """Export every training of a run to the MLflow that the engine's settings name."""
        return self._transport.value(tuple[Exported, ...], "POST", f"/v1/runs/{run_id}/export")

    def log(self, run_id: str, task: str, number: int = 0) -> str:
        """Return the end of what an attempt wrote; number 0 is the newest attempt."""
        path = f"/v1/runs/{run_id}/logs/{task}"
        return self._transport.ask("GET", path, query={"attempt": number or None}).text

    def deployments(self) -> tuple[Deployment, ...]:
        """Return what serves."""
        return self._transport.value(tuple[Deployment, ...], "GET", "/v1/deployments")

    def fleet(self) -> Fleet:
        """Return all clusters as they are now."""
        return self._transport.value(Fleet, "GET", "/v1/fleet")

    def switch_cluster(self, name: str, *, up: bool) -> Fleet:
        """Make a local cluster fail or come back."""
        verb = "restore" if up else "fail"
        return self._transport.value(Fleet, "POST", f"/v1/clusters/{name}/{verb}")

    # ------------------------------------------------------------------ alarms

    def super_alarms(self, limit: int = 100) -> tuple[SuperAlarm, ...]:
        """Return super-alarms, those that harm most first."""
        return self._transport.value(
            tuple[SuperAlarm, ...], "GET", "/v1/super-alarms", query={"limit": limit}
        )

    def super_alarm(self, super_alarm_id: str) -> SuperAlarm:
        """Return one super-alarm."""
        return self._transport.value(SuperAlarm, "GET", f"/v1/super-alarms/{super_alarm_id}")

    def context(self, super_alarm_id: str) -> Context:
        """Return what surrounds a super-alarm: changes, harm, the like before, and more."""
        path = f"/v1/super-alarms/{super_alarm_id}/context"
        return self._transport.value(Context, "GET", path)

    def acknowledge(self, super_alarm_id: str) -> SuperAlarm:
        """Take a super-alarm."""
        return self._transport.value(SuperAlarm, "POST", f"/v1/super-alarms/{super_alarm_id}/ack")

    def silence(self, super_alarm_id: str, question: questions.SilenceQuestion) -> SuperAlarm:
        """Keep a super-alarm quiet for a while."""
        path = f"/v1/super-alarms/{super_alarm_id}/silence"
        return self._transport.value(SuperAlarm, "POST", path, content=question)

    def actions(self, limit: int = 100) -> tuple[Action, ...]:
        """Return what the engine did or wanted to do, newest first."""
        return self._transport.value(
            tuple[Action, ...], "GET", "/v1/actions", query={"limit": limit}
        )

    def signals(self, series: str = "", since: float = 0.0) -> tuple[Signal, ...]:
        """Return signals of one series, or of all, after an instant, oldest first."""
        return self._transport.value(
            tuple[Signal, ...],
            "GET",
            "/v1/signals",
            query={"series": series or None, "since": since},
        )

    # ---------------------------------------------------------- what is learned

    def task_history(self, task: str) -> TaskHistory:
        """Return what is said of a task's next run, and the runs behind it."""
        return self._transport.value(TaskHistory, "GET", "/v1/profiles", query={"task": task})

    def profiles(self, question: questions.ProfilesQuestion) -> tuple[TaskHistory, ...]:
        """Return what is said of tasks that nobody has to plan, and the runs behind it."""
        return self._transport.value(
            tuple[TaskHistory, ...], "POST", "/v1/profiles", content=question
        )

    def sizes(self) -> tuple[ServiceSize, ...]:
        """Return what running services should hold, as it was last told of each."""
        return self._transport.value(tuple[ServiceSize, ...], "GET", "/v1/sizes")

    def forecast(self, question: questions.ForecastQuestion) -> tuple[DemandFan, ...]:
        """Return the forecast of a pool's demand, or of every pool's."""
        return self._transport.value(
            tuple[DemandFan, ...], "POST", "/v1/forecast", content=question
        )

    def learning(self) -> LearningReport:
        """Return the versions of learned models, and how what was told was kept."""
        return self._transport.value(LearningReport, "GET", "/v1/learning")

    def refit(self) -> ModelVersion:
        """Learn anew from all runs; in force only where it is better."""
        return self._transport.value(ModelVersion, "POST", "/v1/learning/refit")

    def roll_back(self) -> LearningReport:
        """Use the learned version before the one in force again."""
        return self._transport.value(LearningReport, "POST", "/v1/learning/rollback")

    # ------------------------------------------------------ messages to people

    def messages(self) -> tuple[Message, ...]:
        """Return the newest messages to people, with how each went."""
        return self._transport.value(tuple[Message, ...], "GET", "/v1/messages")

    def notify_test(self, question: NotifyQuestion) -> tuple[Routed, ...]:
        """Return to which channels a super-alarm would go, when, and what they would be told."""
        path = "/v1/notify-test"
        return self._transport.value(tuple[Routed, ...], "POST", path, content=question)

    # ------------------------------------------------------- capacity and health

    def capacity(self, question: questions.CapacityQuestion) -> CapacityReport:
        """Hold forecast demand against supply."""
        return self._transport.value(CapacityReport, "POST", "/v1/capacity", content=question)

    def health(self) -> answers.Health:
        """Return whether the engine and its loops are well."""
        return self._transport.value(answers.Health, "GET", "/healthz")

    def examine(self) -> tuple[answers.Finding, ...]:
        """Return what a look at clusters, database, clock and loops found."""
        return self._transport.value(tuple[answers.Finding, ...], "GET", "/v1/doctor")

    def events(self) -> Iterator[str]:
        """Yield the lines of the stream of changes (server-sent events), without end."""
        return self._transport.lines("/v1/events")


def _path(plan_id: str) -> str:
    """Return the path of a plan.

    Raises:
        NotFoundError: when it can be no plan's id, such as the path of a file.
    """
    if not plan_id.replace("-", "").isalnum():
        message = f"there is no plan {plan_id!r}: that is no id of one"
        raise NotFoundError(message, fix="berth plan FILE makes a plan of a file, and says its id")
    return f"/v1/plans/{plan_id}"
