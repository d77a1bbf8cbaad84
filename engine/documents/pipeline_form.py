"""The keys of a pipeline document: the one table behind reading, writing, schema and reference."""

from __future__ import annotations

import dataclasses
from typing import Any

from engine.documents.codecs import (
    Auto,
    Codec,
    Flag,
    Listed,
    Mapped,
    Name,
    Number,
    ScalarCodec,
    Schema,
    Text,
    Whole,
    Word,
)
from engine.documents.deadlines import DeadlineCodec, TriggerCodec
from engine.documents.forms import Field, Form, Named, Values
from engine.documents.quantities import (
    AVAILABILITY,
    COOL_DOWN,
    CPU,
    DISK,
    GPU_MEMORY,
    KEEP,
    LATENCY,
    MEMORY,
    NETWORK,
    PER_DAY,
    QUALITY,
    RATE,
    VOLUME,
    Budget,
    TimesPerDay,
)
from engine.documents.sources import Node, Trouble, fault, trouble
from engine.model.errors import Fault
from engine.model.fleet import Provider
from engine.model.identifiers import PipelineName, TaskName
from engine.model.specs import (
    BudgetPeriod,
    Gates,
    Join,
    Limits,
    PipelineSpec,
    RetrainPolicy,
    RetrainTrigger,
    Serving,
    Sla,
    TaskKind,
    TaskSpec,
    Wishes,
)

MODEL_FAMILIES = ("knn", "tree", "forest", "svm", "boosting", "logistic")
"""Families that the built-in train command knows."""

KEYS_OF_KIND: dict[str, tuple[TaskKind, ...]] = {
    "requests": (TaskKind.SERVE,),
    "p99": (TaskKind.SERVE,),
    "availability": (TaskKind.SERVE,),
    "load by hour": (TaskKind.SERVE,),
    "gates": (TaskKind.EVALUATE,),
    "model": (TaskKind.TRAIN,),
    "trials": (TaskKind.TRAIN,),
}
"""Keys that belong to some kinds of task only; all others may stand with any."""


def present(values: Values, **names: str) -> dict[str, Any]:
    """Return constructor arguments for the keys that were written: attribute=key."""
    return {attribute: values[key] for attribute, key in names.items() if key in values}


class _Quality(Codec[float]):
    """`at least 0.70`, or the number alone."""

    def read(self, node: Node) -> float:
        rest = node.shown().strip().removeprefix("at least").strip()
        return QUALITY.read(Node(node.path, rest, node.place))

    def write(self, value: float) -> object:
        return f"at least {value!r}"

    def schema(self) -> Schema:
        return {"anyOf": [QUALITY.schema(), {"type": "string", "pattern": r"^\s*at least\s+\S+"}]}


GATES = Form[Gates](
    "gates",
    {
        "quality": Field(_Quality(), "least quality on held-out data: `at least 0.70`"),
        "quality drop": Field(QUALITY, "largest loss of quality against the model in service"),
        "loss falls": Field(Flag(), "whether the training loss must have fallen"),
        "no nan": Field(Flag(), "whether not-a-number anywhere refuses the model"),
        "outputs": Field(Listed(Text("an output")), "outputs that each model must have written"),
    },
    lambda v: Gates(
        **present(
            v,
            quality_at_least="quality",
            quality_drop_at_most="quality drop",
            loss_must_fall="loss falls",
            forbid_nan="no nan",
            outputs="outputs",
        )
    ),
    lambda g: {
        "quality": g.quality_at_least,
        "quality drop": g.quality_drop_at_most,
        "loss falls": g.loss_must_fall,
        "no nan": g.forbid_nan,
        "outputs": g.outputs or None,
    },
)

GPU = Form[Wishes](
    "the GPUs",
    {
        "kind": Field(Auto(Text("a GPU model")), "GPU model (`A100`), or `auto`"),
        "count": Field(Auto(Whole(0, 4096)), "GPUs in all, or `auto`"),
        "memory": Field(Auto(GPU_MEMORY), "memory of each GPU, or `auto`"),
    },
    lambda v: Wishes(**present(v, gpu_model="kind", gpu_count="count", gpu_memory_gib="memory")),
    lambda w: {"kind": w.gpu_model, "count": w.gpu_count, "memory": w.gpu_memory_gib},
)

TASK_FIELDS: dict[str, Field] = {
    "kind": Field(Word(tuple(TaskKind), "kind of task"), "what the task does", required=True),
    "after": Field(Listed(Text("a task")), "tasks that must have ended before"),
    "when": Field(Text("a condition", 2_000), "condition (CEL) on outputs of upstream tasks"),
    "join": Field(
        Word(tuple(Join), "way to join"), "`all`: every upstream succeeded; `any`: at least one"
    ),
    "command": Field(
        Listed(Text("a word", 10_000), unique=False), "program with arguments, instead of ours"
    ),
    "image": Field(Text("an image"), "container image that holds the command"),
    "reads": Field(Text("a path or URI"), "data it reads; relative paths below the folder"),
    "writes": Field(Text("a path or URI"), "where it writes beside its outputs"),
    "volume": Field(Auto(VOLUME), "how much data it reads"),
    "rows": Field(Whole(1, 10**15), "how many rows it reads"),
    "target": Field(Text("a column"), "column to predict"),
    "schema": Field(Mapped(Text("a unit"), "columns with units"), "column: unit, as it arrives"),
    "model": Field(Listed(Text("a model family")), "families to train"),
    "trials": Field(Whole(1, 10_000), "configurations tried for each family"),
    "parameters": Field(Mapped(ScalarCodec(), "parameters"), "values for the command"),
    "cpu": Field(Auto(CPU), "cores; `auto` (as for all resources) lets Berth forecast"),
    "memory": Field(Auto(MEMORY), "memory"),
    "disk": Field(Auto(DISK), "local disk"),
    "network": Field(Auto(NETWORK), "bandwidth"),
    "gpu": Field(Auto(GPU), "GPUs"),
    "requests": Field(RATE, "requests at the peak"),
    "p99": Field(LATENCY, "latency that 99 % of requests keep, over 30 days"),
    "availability": Field(AVAILABILITY, "share of requests answered, over 30 days"),
    "load by hour": Field(
        Listed(Number(0, 1), unique=False), "24 shares of the peak, by hour of day in UTC"
    ),
    "gates": Field(GATES, "what a model must pass"),
    "retries": Field(Whole(0, 100), "new attempts after a failure that may pass"),
}


def _build_task(values: Values) -> TaskSpec:
    gpu: Wishes = values.get("gpu") or Wishes()
    wishes = dataclasses.replace(
        gpu,
        **present(
            values,
            cpu_cores="cpu",
            memory_gib="memory",
            disk_gib="disk",
            network_mbps="network",
        ),
    )
    kind = TaskKind(values["kind"])
    serving = present(
        values,
        requests_per_second_peak="requests",
        latency_ms_p99="p99",
        availability="availability",
        load_by_hour="load by hour",
    )
    return TaskSpec(
        name=TaskName(""),
        kind=kind,
        wishes=wishes,
        serving=Serving(**serving) if kind is TaskKind.SERVE else None,
        join=Join(values.get("join", Join.ALL)),
        **present(
            values,
            after="after",
            when="when",
            command="command",
            image="image",
            reads="reads",
            writes="writes",
            volume_gib="volume",
            rows="rows",
            target="target",
            schema="schema",
            model="model",
            trials="trials",
            parameters="parameters",
            gates="gates",
            retries="retries",
        ),
    )


def _take_task(task: TaskSpec) -> Values:
    wishes, serving = task.wishes, task.serving
    has_gpu = (wishes.gpu_model, wishes.gpu_count, wishes.gpu_memory_gib) != (None, None, None)
    served: Values = {}
    if serving is not None:
        served = {
            "requests": serving.requests_per_second_peak,
            "p99": serving.latency_ms_p99,
            "availability": serving.availability,
            "load by hour": serving.load_by_hour or None,
        }
    return {
        "kind": task.kind,
        "after": task.after or None,
        "when": task.when,
        "join": task.join if len(task.after) > 1 or task.join is Join.ANY else None,
        "command": task.command or None,
        "image": task.image,
        "reads": task.reads,
        "writes": task.writes,
        "volume": task.volume_gib,
        "rows": task.rows,
        "target": task.target,
        "schema": task.schema or None,
        "model": task.model or None,
        "trials": task.trials,
        "parameters": task.parameters or None,
        "cpu": wishes.cpu_cores,
        "memory": wishes.memory_gib,
        "disk": wishes.disk_gib,
        "network": wishes.network_mbps,
        "gpu": wishes if has_gpu else None,
        "gates": task.gates,
        "retries": task.retries,
        **served,
    }


class TaskForm(Form[TaskSpec]):
    """A task; beyond its fields it checks what its kind allows."""

    def read(self, node: Node) -> TaskSpec:
        """Return the task, its name still to be given."""
        faults: list[Fault] = []
        values = self.gather(node, faults)
        members = node.members or {}
        kind = values.get("kind")
        for key in members if kind else ():
            kinds = KEYS_OF_KIND.get(key, (TaskKind(kind),))
            if kind not in kinds:
                faults.append(
                    fault(
                        "S018",
                        members[key],
                        f"`{key}` belongs to {kinds[0].value} tasks; this is of kind {kind}",
                        at=members[key].key_place,
                        fix="remove it, or change `kind`",
                    )
                )
        faults.extend(_model_faults(members.get("model"), values))
        if len(values.get("load by hour", range(24))) != 24:
            count = len(values["load by hour"])
            message = f"24 shares were expected, one for each hour, not {count}"
            faults.append(fault("S004", members["load by hour"], message))
        if faults:
            raise Trouble(faults)
        return self.build(values)


def _model_faults(node: Node | None, values: Values) -> list[Fault]:
    """Return a fault for each family that the built-in command does not know."""
    if node is None or "model" not in values or "command" in values or "image" in values:
        return []
    faults: list[Fault] = []
    for item in node.items if node.items is not None else [node]:
        try:
            Word(MODEL_FAMILIES, "model family").read(item)
        except Trouble as error:
            faults.extend(error.faults)
    return faults


TASK = TaskForm("a task", TASK_FIELDS, _build_task, _take_task)
TASKS = Named[TaskSpec](
    TASK,
    lambda name, task: dataclasses.replace(task, name=TaskName(name)),
    lambda task: task.name,
    2_000,
)

SLA = Form[Sla](
    "an SLA",
    {
        "deadline": Field(
            DeadlineCodec(),
            "end of the last task but serving: `daily 06:00 Europe/Paris`, `in 30 min`, an instant",
        ),
        "keep": Field(KEEP, "probability with which the deadline must be kept"),
        "weight": Field(Number(0.001, 1_000_000), "worth against other pipelines"),
    },
    lambda v: Sla(**v),
    lambda s: {"deadline": s.deadline, "keep": s.keep, "weight": s.weight},
)


def _build_limits(values: Values) -> Limits:
    amount, period = values.get("budget", (None, BudgetPeriod.RUN))
    return Limits(
        budget_micro_dollars=amount,
        budget_period=period,
        **present(values, regions="regions", providers="providers"),
    )


LIMITS = Form[Limits](
    "limits",
    {
        "budget": Field(Budget(), "most money: `60 USD per run` or `900 USD per month`"),
        "regions": Field(Listed(Text("a region")), "regions or continents where it may run"),
        "providers": Field(Listed(Word(tuple(Provider), "provider")), "providers where it may run"),
    },
    _build_limits,
    lambda x: {
        "budget": None
        if x.budget_micro_dollars is None
        else (x.budget_micro_dollars, x.budget_period),
        "regions": x.regions or None,
        "providers": x.providers or None,
    },
)

AT_MOST = Form[Values](
    "bounds of retraining",
    {
        "times": Field(TimesPerDay(), "retrainings a day"),
        "budget": Field(PER_DAY, "money for retrainings a day"),
    },
    lambda v: v,
    lambda v: v,
)


def _build_retrain(values: Values) -> RetrainPolicy:
    triggers = dict(values["when"])
    bounds: Values = values.get("at most", {})
    return RetrainPolicy(
        triggers=tuple(trigger for trigger, _ in values["when"]),
        quality_below=triggers.get(RetrainTrigger.QUALITY),
        every_seconds=triggers.get(RetrainTrigger.SCHEDULE),
        **present(bounds, times_per_day="times", budget_per_day_micro_dollars="budget"),
        **present(values, cool_down_seconds="cool down"),
    )


def _take_retrain(policy: RetrainPolicy) -> Values:
    bounds = {
        RetrainTrigger.DRIFT: None,
        RetrainTrigger.QUALITY: policy.quality_below,
        RetrainTrigger.SCHEDULE: policy.every_seconds,
    }
    return {
        "when": tuple((trigger, bounds[trigger]) for trigger in policy.triggers),
        "at most": {"times": policy.times_per_day, "budget": policy.budget_per_day_micro_dollars},
        "cool down": policy.cool_down_seconds,
    }


class _Triggers(Listed[tuple[RetrainTrigger, float | None]]):
    """Triggers, each sort once."""

    def read(self, node: Node) -> tuple[tuple[RetrainTrigger, float | None], ...]:
        triggers = super().read(node)
        sorts = [trigger for trigger, _ in triggers]
        for trigger in sorts:
            if sorts.count(trigger) > 1:
                raise trouble("S019", node, f"two bounds are given for {trigger.value}")
        return triggers


RETRAIN = Form[RetrainPolicy](
    "a retrain policy",
    {
        "when": Field(
            _Triggers(TriggerCodec()), "`drift`, `quality below 0.91`, `every 7 d`", required=True
        ),
        "at most": Field(AT_MOST, "bounds: `{times: 2 per day, budget: 80 USD per day}`"),
        "cool down": Field(COOL_DOWN, "least time between two retrainings"),
    },
    _build_retrain,
    _take_retrain,
)


def _build_pipeline(values: Values) -> PipelineSpec:
    return PipelineSpec(
        name=PipelineName(values["pipeline"]),
        tasks=values["tasks"],
        **present(
            values,
            owner="owner",
            folder="folder",
            sla="sla",
            limits="limits",
            retrain="retrain",
            seed="seed",
        ),
    )


PIPELINE = Form[PipelineSpec](
    "a pipeline",
    {
        "pipeline": Field(Name(), "its name", required=True),
        "owner": Field(Text("an owner", 100), "who answers for it"),
        "folder": Field(Text("a folder"), "where relative paths of `reads` start"),
        "seed": Field(Whole(0, 2**31 - 1), "seed of everything random"),
        "sla": Field(SLA, "what it promises"),
        "limits": Field(LIMITS, "what it may cost and where it may run"),
        "tasks": Field(TASKS, "its tasks by name", required=True),
        "retrain": Field(RETRAIN, "when it runs again by itself"),
    },
    _build_pipeline,
    lambda p: {
        "pipeline": p.name,
        "owner": p.owner,
        "folder": p.folder or None,
        "seed": p.seed,
        "sla": p.sla,
        "limits": p.limits,
        "tasks": p.tasks,
        "retrain": p.retrain,
    },
)
