"""`Client`: what a program says to the engine, and plans that know what to do next."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.client import discovery
from api.client.builders import Pipeline
from api.client.remote import Remote
from api.messages import answers, questions
from api.report.explanations import explanation_text, explanations_of
from api.report.plans import plan_text
from engine import planning
from engine.documents import read_amount
from engine.model.alarms import SuperAlarm
from engine.model.errors import Fault, InvalidInputError
from engine.model.plans import BreakEven, Explanation, Mode, Plan, Ruling, Verdict
from engine.model.progress import RunStatus

Described = Pipeline | Path | Mapping[str, Any]
"""A pipeline: built in Python, in a YAML file, or as the mapping that such a file holds."""


class Client:
    """Speaks with a running engine; every answer is a typed value.

    url: base URL of the engine; without one, `BERTH_URL`, or the engine that runs on the data
    folder (`home`, `BERTH_HOME`, or `.berth`). `engine` has everything that can be asked.

    Raises:
        UnreachableError: when no engine runs there.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        home: Path | None = None,
        timeout_seconds: float = 120.0,
    ) -> None:
        folder = home or Path(os.environ.get("BERTH_HOME") or ".berth")
        found = url or discovery.find_engine(folder, os.environ)
        if found is None:
            raise discovery.not_running(f"on data folder {str(folder)!r}")
        self.engine = Remote(found, timeout_seconds=timeout_seconds)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.close()

    def check(self, *pipelines: Described) -> answers.Checked:
        """Return pipelines as the engine understood them.

        Raises:
            InvalidInputError: with all faults of a pipeline at once.
        """
        return self.engine.check(
            questions.CheckQuestion(documents=tuple(document(item) for item in pipelines))
        )

    def plan(
        self,
        *pipelines: Described,
        mode: Mode | str = Mode.LEAST_COST,
        seed: int | None = None,
        as_of: float | None = None,
        horizon_hours: int = 24,
        whole: bool = False,
        budget: str | None = None,
    ) -> PlanHandle:
        """Make a plan for pipelines; nothing is changed.

        as_of: the instant for which it is made, seconds since 1970 in UTC; now unless given.
        whole: each pipeline is placed with all its tasks or not at all.
        budget: most that all of them together may cost, such as `100 USD`; in mode `most-sla`.

        Raises:
            InvalidInputError: with all faults of a pipeline at once.
            InfeasibleError: with the smallest set of wishes that clash.
        """
        question = questions.PlanQuestion(
            documents=tuple(document(pipeline) for pipeline in pipelines),
            mode=Mode(mode),
            seed=seed,
            as_of=as_of,
            horizon_hours=horizon_hours,
            whole=whole,
            budget_micro_dollars=None if budget is None else read_amount(budget, name="budget"),
        )
        return PlanHandle(self.engine, self.engine.plan(question))

    def status(self, name: str = "") -> tuple[RunStatus, ...]:
        """Return how runs are: all that matter, or those of a pipeline, a plan or a run."""
        return self.engine.status(name)

    def super_alarms(self) -> tuple[SuperAlarm, ...]:
        """Return super-alarms, those that harm most first."""
        return self.engine.super_alarms()


class PlanHandle:
    """A plan that was made: print it, ask why, ask what if, apply it."""

    def __init__(self, engine: Remote, answer: answers.PlanAnswer) -> None:
        self._engine = engine
        self.answer = answer

    @property
    def plan(self) -> Plan:
        """The plan as a value."""
        return self.answer.plan

    @property
    def plan_id(self) -> str:
        """The id of the plan."""
        return self.answer.plan.plan_id

    @property
    def document(self) -> str:
        """The plan as canonical JSON, byte for byte as through every other face."""
        return self.answer.document

    def __str__(self) -> str:
        """Return the plan as a table."""
        return plan_text(self.plan, solved_seconds=self.answer.solved_seconds)

    def explain(self, task: str) -> Why:
        """Return why a task runs where it does.

        Raises:
            NotFoundError: when the plan has no such task.
        """
        return Why(plan=self.plan, explanation=explanations_of(self.plan, task)[0])

    def what_if(self, *changes: str) -> PlanHandle:
        """Return the same plan under changes (`deadline=in 1 h`, `cluster:eu-1=down`)."""
        question = questions.WhatIfQuestion(plan_id=self.plan_id, changes=changes)
        return PlanHandle(self._engine, self._engine.what_if(question))

    def sweep(self, values: str, *changes: str) -> planning.Sweep:
        """Return the same plan for each of some values (`deadline=02:00..08:00/30m`)."""
        question = questions.SweepQuestion(plan_id=self.plan_id, sweep=values, changes=changes)
        return self._engine.sweep(question)

    def diff(self, against: PlanHandle | None = None) -> planning.PlanDiff:
        """Return what this plan changes against another one, or against what runs."""
        return self._engine.diff(self.plan_id, "" if against is None else against.plan_id)

    def apply(self, *, key: str = "") -> answers.Applied:
        """Start the runs of the plan, once for each key.

        Raises:
            WorldChangedError: when the world is not the one that the plan was made for.
            RefusedError: when tasks have no place, or a pipeline is running already.
        """
        return self._engine.apply(self.plan_id, key)


@dataclass(frozen=True, slots=True)
class Because:
    """One candidate that was ruled out, with the one limit that binds."""

    candidate: str
    binding: str
    needs: float | str
    has: float | str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """The explanation of one task."""

    plan: Plan
    explanation: Explanation

    def __str__(self) -> str:
        """Return the explanation as a table."""
        return explanation_text(self.plan, self.explanation.task)

    @property
    def because(self) -> tuple[Because, ...]:
        """Every candidate that was ruled out, and why."""
        return tuple(
            Because(
                candidate=f"{verdict.cluster}/{verdict.pool} {verdict.machine}",
                binding=verdict.binding.limit.value,
                needs=verdict.binding.needs,
                has=verdict.binding.has,
                unit=verdict.binding.unit,
            )
            for verdict in self.explanation.verdicts
            if verdict.binding is not None
        )

    @property
    def alternatives(self) -> tuple[Verdict, ...]:
        """Every candidate that would do too, cheapest first."""
        possible = [v for v in self.explanation.verdicts if v.ruling is Ruling.POSSIBLE]
        return tuple(sorted(possible, key=lambda v: v.delta_micro_dollars or 0))

    @property
    def would_move_if(self) -> tuple[BreakEven, ...]:
        """Values at which the task would move."""
        return self.explanation.break_evens


def document(pipeline: Described) -> questions.Document:
    """Return a pipeline as a document that the engine reads.

    Raises:
        InvalidInputError: when a file cannot be read.
    """
    if isinstance(pipeline, Pipeline):
        return pipeline.document()
    if isinstance(pipeline, Path):
        return file_document(pipeline)
    name = str(pipeline.get("pipeline", "the pipeline"))
    return questions.Document(name=name, mapping=pipeline, folder=str(Path.cwd()))


def file_document(path: Path) -> questions.Document:
    """Return a YAML file as a document; its relative paths start in its folder.

    Raises:
        InvalidInputError: when it cannot be read, or is not UTF-8.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        fault = Fault(
            code="S001", message=f"cannot be read: {reason}", fix="`berth init NAME` writes one"
        )
        raise InvalidInputError(str(path), [fault]) from error
    return questions.Document(name=str(path), text=text, folder=str(path.absolute().parent))
