"""The pages about what runs, and where."""

from __future__ import annotations

from fastapi import responses

from api.report import words
from api.web.desk import Desk
from api.web.views import clusters as cluster_views
from api.web.views import runs as run_views
from api.web.views import trainings as training_views
from engine.model import dispatches, records


class RunPages:
    """Runs with their tasks, and the fleet they run on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def every(self) -> responses.Response:
        """All runs, and trainings outside pipelines."""
        now = self._desk.now()
        runs = self._desk.newest(records.RUNS, "created_at")
        trained = self._desk.sources.trainings.newest()
        damaged = self._desk.sources.trainings.damaged()
        return self._desk.page(
            "list.html",
            title="Runs",
            here="/runs",
            lead="Executions of pipelines, newest first, and trainings outside them.",
            tables=[run_views.run_list(runs, now), training_views.training_list(trained, now)],
            notes=[f"{each.message}; {each.fix}" for each in damaged],
            empty="" if runs or trained else "Nothing has run yet. Start a pipeline:",
            command="berth apply PLAN",
        )

    def one(self, run_id: str) -> responses.Response:
        """One run with its tasks and every attempt at them."""
        run, now = self._desk.one(records.RUNS, run_id, "run"), self._desk.now()
        tasks = self._tasks(run)
        done = sum(task.state.is_terminal for task in tasks)
        actions = self._desk.newest(records.ACTIONS, "wanted_at")
        return self._desk.page(
            "run.html",
            title=f"Run {run_id} of {run.pipeline}",
            here="/runs",
            run=run,
            state=run_views.RUN_TONES[run.state],
            why=run_views.why(run),
            pairs=[
                ("Tasks ended", f"{done} of {len(tasks)}"),
                ("Started", words.instant(run.created_at)),
                ("Took", words.duration((run.ended_at or now) - run.created_at)),
            ],
            tasks=run_views.task_list(tasks, run, now),
            attempts=run_views.attempt_list(self._attempts(run_id)),
            actions=[action for action in actions if action.run_id == run_id],
        )

    def _tasks(self, run: dispatches.Run) -> list[dispatches.TaskRun]:
        """Return the tasks of a run in the order of its pipeline."""
        found = self._desk.sources.ledger.select(records.TASK_RUNS, where={"run_id": run.run_id})
        by_name = {stored.value.task: stored.value for stored in found}
        spec = self._desk.sources.ledger.get(records.PIPELINES, run.pipeline)
        order = [task.name for task in spec.value.tasks] if spec else []
        return [by_name.pop(name) for name in order if name in by_name] + list(by_name.values())

    def _attempts(self, run_id: str) -> list[dispatches.Attempt]:
        found = self._desk.sources.ledger.select(
            records.ATTEMPTS, where={"run_id": run_id}, order_by="intended_at"
        )
        return [stored.value for stored in found]

    def fleet(self) -> responses.Response:
        """Every pool with what it holds."""
        known = self._desk.sources.fleet()
        health = {one.cluster: one for one in self._desk.newest(records.CLUSTER_HEALTH, "")}
        going = [state.value for state in dispatches.AttemptState if state.holds_room]
        found = self._desk.sources.ledger.select(records.ATTEMPTS, where={"state": going})
        return self._desk.page(
            "list.html",
            title="Fleet",
            here="/fleet",
            lead="Clusters of pools of machines, with their prices and what runs there.",
            headline=cluster_views.headline(known, health, self._desk.now()),
            tables=[cluster_views.pools(known, health, [stored.value for stored in found])],
            empty="",
            command="",
        )
