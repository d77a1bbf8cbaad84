"""The keys of a pipeline document: the one table behind reading, writing, schema and reference."""

from __future__ import annotations

from engine.documents.codecs.base import Name, Number, Text, Whole, Word
from engine.documents.codecs.containers import Listed
from engine.documents.codecs.deadlines import DeadlineCodec, TriggerCodec
from engine.documents.codecs.forms import Field, Form, Values, present
from engine.documents.codecs.money import PER_DAY, PER_HOUR, PER_TASK, Budget, TimesPerDay
from engine.documents.codecs.quantities import COOL_DOWN, KEEP
from engine.documents.sources import Node, trouble
from engine.documents.task_form import TASKS
from engine.model.fleet import Provider
from engine.model.identifiers import PipelineName
from engine.model.specs import (
    BudgetPeriod,
    Limits,
    PipelineSpec,
    RetrainPolicy,
    RetrainTrigger,
    Sla,
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
        "earliest start": Field(DeadlineCodec(), "before it nothing starts; written as a deadline"),
        "late": Field(PER_HOUR, "what an hour after the deadline costs; it need not be kept then"),
    },
    lambda v: Sla(
        **present(
            v,
            deadline="deadline",
            keep="keep",
            weight="weight",
            earliest_start="earliest start",
            late_micro_dollars_per_hour="late",
        )
    ),
    lambda s: {
        "deadline": s.deadline,
        "keep": s.keep,
        "weight": s.weight,
        "earliest start": s.earliest_start,
        "late": s.late_micro_dollars_per_hour,
    },
)


def _build_limits(values: Values) -> Limits:
    amount, period = values.get("budget", (None, BudgetPeriod.RUN))
    return Limits(
        budget_micro_dollars=amount,
        budget_period=period,
        **present(values, regions="regions", providers="providers", move_micro_dollars="move"),
    )


LIMITS = Form[Limits](
    "limits",
    {
        "budget": Field(Budget(), "most money: `60 USD per run` or `900 USD per month`"),
        "regions": Field(Listed(Text("a region")), "regions or continents where it may run"),
        "providers": Field(Listed(Word(tuple(Provider), "provider")), "providers where it may run"),
        "move": Field(PER_TASK, "what it must save to move a task that a plan has a place for"),
    },
    _build_limits,
    lambda x: {
        "budget": None
        if x.budget_micro_dollars is None
        else (x.budget_micro_dollars, x.budget_period),
        "regions": x.regions or None,
        "providers": x.providers or None,
        "move": x.move_micro_dollars,
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
