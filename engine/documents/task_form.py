"""The keys of a task: the one table behind reading, writing, schema and reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

from engine.documents.affinity_form import AFFINITIES, LABELS
from engine.documents.codecs.base import (
    Codec,
    Flag,
    Name,
    Number,
    ScalarCodec,
    Schema,
    Text,
    Whole,
    Word,
)
from engine.documents.codecs.containers import Auto, Listed, Mapped
from engine.documents.codecs.forms import Brief, Field, Form, Named, Values, present
from engine.documents.codecs.quantities import (
    AVAILABILITY,
    CPU,
    DISK,
    GPU_MEMORY,
    LATENCY,
    MEMORY,
    NETWORK,
    QUALITY,
    RATE,
    VOLUME,
)
from engine.documents.loops import Each
from engine.documents.network_form import network_faults
from engine.documents.sources import Node, TroubleError, fault
from engine.documents.turns_form import MOST, TURN, VALUES_MAX
from engine.documents.workers_form import SpeedUpCodec, WorkersCodec, workers_faults
from engine.model.errors import Fault
from engine.model.identifiers import TaskName
from engine.model.specs import (
    Gates,
    Join,
    Serving,
    TaskKind,
    TaskSpec,
    Turn,
    Wishes,
    Workers,
)

TEMPLATES = ("arima", "transformer", "graph")
"""Models of operations, each trained alone on the data that its task reads."""

MODEL_FAMILIES = ("knn", "tree", "forest", "svm", "boosting", "logistic", *TEMPLATES)
"""Families that the built-in train command knows."""

HOURS = 24

KEYS_OF_KIND: dict[str, tuple[TaskKind, ...]] = {
    "requests": (TaskKind.SERVE,),
    "p99": (TaskKind.SERVE,),
    "availability": (TaskKind.SERVE,),
    "load by hour": (TaskKind.SERVE,),
    "gates": (TaskKind.EVALUATE,),
    "model": (TaskKind.TRAIN,),
    "trials": (TaskKind.TRAIN,),
    "workers": (TaskKind.TRAIN,),
    "speed up": (TaskKind.TRAIN,),
    "interruptible": tuple(kind for kind in TaskKind if kind is not TaskKind.SERVE),
}
"""Keys that belong to some kinds of task only; all others may stand with any."""


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
        Word(tuple(Join), "way to join"),
        "`all`: every upstream succeeded; `any`: at least one; `done`: however they ended",
    ),
    "command": Field(
        Listed(Text("a word", 10_000), unique=False), "program with arguments, instead of ours"
    ),
    "image": Field(Text("an image"), "container image that holds the command"),
    "reads": Field(Text("a path or URI"), "data it reads; relative paths start at the folder"),
    "writes": Field(Text("a path or URI"), "where it writes beside its outputs"),
    "volume": Field(Auto(VOLUME), "how much data it reads"),
    "data in": Field(Text("a cluster"), "cluster where that lies; moving it elsewhere is paid for"),
    "output": Field(Auto(VOLUME), "how much data it hands on"),
    "rows": Field(Whole(1, 10**15), "how many rows it reads"),
    "target": Field(Text("a column"), "column to predict"),
    "schema": Field(Mapped(Text("a unit"), "columns with units"), "column: unit, as it arrives"),
    "model": Field(Listed(Text("a model family")), "families to train"),
    "trials": Field(Whole(1, 10_000), "configurations tried for each family"),
    "workers": Field(WorkersCodec(), "how many train together: `4`, or `1 to 4` to plan that"),
    "speed up": Field(SpeedUpCodec(), "how many times faster than one they are: `{2: 1.8}`"),
    "each": Field(Each(), "loop: one task for each value, `{family: [knn, tree]}`"),
    "at once": Field(Whole(1, VALUES_MAX), "how many tasks of the loop may run at the same time"),
    "most": Field(MOST, "of a loop over an output (`{part: split.parts}`): its most values"),
    "turn": Field(TURN, "which value of such a list it is; written by Berth for `each`"),
    "loop": Field(Name(), "the loop it is one of; written by Berth for `each`"),
    "parameters": Field(Mapped(ScalarCodec(), "parameters"), "values for the command"),
    "cpu": Field(Auto(CPU), "cores; `auto` (as for all resources) lets Berth forecast"),
    "memory": Field(Auto(MEMORY), "memory"),
    "disk": Field(Auto(DISK), "local disk"),
    "network": Field(Auto(NETWORK), "bandwidth"),
    "gpu": Field(Auto(Brief(GPU, "count")), "GPUs: how many, or with kind and memory"),
    "requests": Field(RATE, "requests at the peak"),
    "p99": Field(LATENCY, "latency that 99 % of requests keep, over 30 days"),
    "availability": Field(AVAILABILITY, "share of requests answered, over 30 days"),
    "load by hour": Field(
        Listed(Number(0, 1), unique=False), "24 shares of the peak, by hour of day in UTC"
    ),
    "gates": Field(GATES, "what a model must pass"),
    "retries": Field(Whole(0, 100), "new attempts after a failure that may pass"),
    "tolerates": Field(Listed(Text("a taint")), "taints of pools that do not keep it out"),
    "interruptible": Field(Flag(), "whether it may run on machines that can be taken away"),
    "labels": Field(LABELS, "names and values by which affinities may name it"),
    "beside": Field(AFFINITIES, "tasks that it must share a cluster, node or region with"),
    "apart from": Field(AFFINITIES, "tasks that it must not share one with"),
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
    workers: Workers | None = values.get("workers")
    if workers is not None:
        workers = dataclasses.replace(workers, **present(values, speed_ups="speed up"))
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
        workers=workers,
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
            data_in="data in",
            output_gib="output",
            rows="rows",
            target="target",
            schema="schema",
            model="model",
            trials="trials",
            parameters="parameters",
            gates="gates",
            retries="retries",
            loop="loop",
            at_once="at once",
            turn="turn",
            interruptible="interruptible",
            tolerates="tolerates",
            labels="labels",
            beside="beside",
            apart_from="apart from",
        ),
    )


def _take_serving(task: TaskSpec) -> Values:
    serving = task.serving
    if serving is None:
        return {}
    return {
        "requests": serving.requests_per_second_peak,
        "p99": serving.latency_ms_p99,
        "availability": serving.availability,
        "load by hour": serving.load_by_hour or None,
    }


def _take_workers(task: TaskSpec) -> Values:
    if task.workers is None:
        return {}
    return {"workers": task.workers, "speed up": task.workers.speed_ups or None}


def _take_task(task: TaskSpec) -> Values:
    wishes, served = task.wishes, _take_serving(task)
    has_gpu = (wishes.gpu_model, wishes.gpu_count, wishes.gpu_memory_gib) != (None, None, None)
    return {
        "kind": task.kind,
        "after": task.after or None,
        "when": task.when,
        "join": task.join if len(task.after) > 1 or task.join is not Join.ALL else None,
        "command": task.command or None,
        "image": task.image,
        "reads": task.reads,
        "writes": task.writes,
        "volume": task.volume_gib,
        "data in": task.data_in,
        "output": task.output_gib,
        "rows": task.rows,
        "target": task.target,
        "schema": task.schema or None,
        "model": task.model or None,
        "trials": task.trials,
        **_take_workers(task),
        "parameters": task.parameters or None,
        "cpu": wishes.cpu_cores,
        "memory": wishes.memory_gib,
        "disk": wishes.disk_gib,
        "network": wishes.network_mbps,
        "gpu": wishes if has_gpu else None,
        "gates": task.gates,
        "retries": task.retries,
        "loop": task.loop,
        "at once": task.at_once,
        "turn": task.turn,
        "tolerates": task.tolerates or None,
        "interruptible": None if task.interruptible else False,
        "labels": task.labels or None,
        "beside": task.beside or None,
        "apart from": task.apart_from or None,
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
        for key, kinds in KEYS_OF_KIND.items():
            if kind is not None and key in members and kind not in kinds:
                faults.append(
                    fault(
                        "S018",
                        members[key],
                        f"`{key}` belongs to {_listed(kinds)} tasks; this is of kind {kind}",
                        at=members[key].key_place,
                        fix="remove it, or change `kind`",
                    )
                )
        if "at once" in members and not members.keys() & {"each", "loop"}:
            message = "`at once` bounds a loop, and there is none"
            faults.append(fault("S023", members["at once"], message, fix="add `each: ...`"))
        if "most" in members:
            message = "`most` is for a loop over an output, and there is none"
            fix = "write `each: {part: TASK.OUTPUT}`, or remove it"
            faults.append(fault("S023", members["most"], message, fix=fix))
        faults.extend(_model_faults(members.get("model"), values))
        faults.extend(workers_faults(members, values))
        faults.extend(network_faults(members))
        shares = values.get("load by hour")
        if shares is not None and len(shares) != HOURS:
            message = f"{HOURS} shares were expected, one for each hour, not {len(shares)}"
            faults.append(fault("S004", members["load by hour"], message))
        if faults:
            raise TroubleError(faults)
        return self.build(values)


def _listed(kinds: tuple[TaskKind, ...]) -> str:
    return " or ".join(kind.value for kind in kinds)


def _model_faults(node: Node | None, values: Values) -> list[Fault]:
    """Return a fault for each family that the built-in command does not know."""
    if node is None or "model" not in values or "command" in values or "image" in values:
        return []
    faults: list[Fault] = []
    for item in node.items if node.items is not None else [node]:
        try:
            Word(MODEL_FAMILIES, "model family").read(item)
        except TroubleError as error:
            faults.extend(error.faults)
    named = [family for family in values["model"] if family in TEMPLATES]
    if named and len(values["model"]) > 1:
        message = f"`{named[0]}` is trained on data of its own and cannot race with others"
        faults.append(fault("S004", node, message, fix="give it a train task of its own"))
    if named and not values.get("reads"):
        message = f"`{named[0]}` is trained on what its task reads, and this one reads nothing"
        faults.append(fault("S004", node, message, fix="add `reads: FILE`"))
    return faults


TASK = TaskForm("a task", TASK_FIELDS, _build_task, _take_task)
TASKS = Named[TaskSpec](
    TASK,
    lambda name, task: dataclasses.replace(task, name=TaskName(name)),
    lambda task: task.name,
    2_000,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What checks across tasks need of one, also of a task that has faults of its own.

    kind: None when it cannot be read; own: whether it runs a command or image of the user's.
    parameters: names of those it is given.
    affinities: tasks that it names, by the path below the task at which it does.
    data_in, gpu_model: names that it takes from the fleet.
    """

    name: str
    kind: TaskKind | None
    after: tuple[str, ...]
    when: str | None
    join: Join
    own: bool
    parameters: frozenset[str]
    affinities: Mapping[str, tuple[str, ...]]
    data_in: str | None
    gpu_model: str | None
    loop: str | None
    turn: Turn | None


def outlines(root: Node) -> dict[str, Outline]:
    """Return what can be read of every task below `tasks`, by name."""
    node = (root.members or {}).get("tasks")
    members = node.members if node is not None else None
    return {name: _outline(name, member) for name, member in (members or {}).items()}


def _outline(name: str, node: Node) -> Outline:
    values = TASK.gather(node, [])
    gpu: Wishes = values.get("gpu") or Wishes()
    return Outline(
        name=name,
        kind=TaskKind(values["kind"]) if "kind" in values else None,
        after=values.get("after", ()),
        when=values.get("when"),
        join=Join(values.get("join", Join.ALL)),
        own="command" in values or "image" in values,
        parameters=frozenset(values.get("parameters", ())),
        affinities={
            key: tuple(name for affinity in values.get(key, ()) for name in affinity.tasks)
            for key in ("beside", "apart from")
        },
        data_in=values.get("data in"),
        gpu_model=gpu.gpu_model,
        loop=values.get("loop"),
        turn=values.get("turn"),
    )
