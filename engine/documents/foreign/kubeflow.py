"""Kubeflow Pipelines' compiled form (`PipelineSpec` of version 2) as a pipeline of ours.

Groups (`dsl.If`, `dsl.ParallelFor`, pipelines in pipelines) are written out: their conditions and
loops go to every task in them. A condition on an output that may not exist is guarded, so that a
task after a skipped one is skipped; what KFP calls a task's output is an entry of `outputs.json`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

from engine.documents.foreign import building, turns
from engine.documents.foreign.building import Task, literal
from engine.documents.foreign.tables import Notes
from engine.documents.foreign.turns import Over
from engine.documents.sources import Node, plain
from engine.model.specs import Join, Scalar

_INPUT = re.compile(r"inputs\.parameter_values\[['\"]([^'\"]+)['\"]\]")
_PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\[['\"]([^'\"]+)['\"]\]\}\}")
_SELECTED = re.compile(r"""parseJson\(string_value\)\[["']([\w-]+)["']\]""")
_GIB = 10**9 / 2**30


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a task that an input takes: ours are read as `task.key`."""

    task: str
    key: str


Value = Scalar | Output | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a group hands to the tasks in it."""

    values: Mapping[str, Value] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    when: tuple[str, ...] = ()
    each: list[dict[str, Scalar]] | Over | None = None
    at_once: int | None = None
    join: Join | None = None
    depth: int = 0


class Reader:
    """Reads one compiled pipeline."""

    def __init__(self, root: Node) -> None:
        self.notes = Notes()
        self.tasks: list[Task] = []
        self._top = self.notes.members(root, "KFP pipeline")
        components = self._top.get("components")
        self._components = (components.members or {}) if components else {}
        deployment = self._top.get("deploymentSpec")
        executors = _at(deployment, "executors")
        self._executors = (executors.members or {}) if executors else {}
        self._opened = 0
        self._room = building.Room()

    def read(self) -> dict[str, object]:
        """Return the pipeline."""
        root = self._top.get("root")
        values: dict[str, Value] = {}
        inputs = _at(root, "inputDefinitions", "parameters")
        for name, node in ((inputs.members or {}) if inputs else {}).items():
            default = _at(node, "defaultValue")
            values[name] = default.scalar if default and not _structured(default) else None
            if values[name] is None:
                self.notes.add(node, f"the input `{name}` has no default; write its value in")
        dag = _at(root, "dag", "tasks")
        if dag is not None:
            self._group(dag, Scope(values=values))
        title = _at(self._top.get("pipelineInfo"), "name")
        return building.written(title.shown() if title else "pipeline", self.tasks)

    def _group(self, dag: Node, scope: Scope) -> list[str]:
        """Add the tasks of a group; return the names of all of them."""
        ends: dict[str, list[str]] = {}
        named = dag.members or {}
        for name in building.in_order({name: _before(node) for name, node in named.items()}):
            ends[name] = self._task(name, named[name], scope, ends)
        return [name for names in ends.values() for name in names]

    def _task(
        self, name: str, node: Node, scope: Scope, ends: Mapping[str, list[str]]
    ) -> list[str]:
        members = self.notes.members(node, "KFP task")
        values = self._values(node, scope, ends)
        after = [*scope.after]
        for before in sorted(_before(node)):
            after += ends.get(before, [])
        inner = Scope(
            values=values,
            after=tuple(after),
            when=scope.when,
            each=scope.each,
            at_once=scope.at_once,
            depth=scope.depth + 1,
        )
        inner = self._condition(members.get("triggerPolicy"), inner)
        inner = self._loop(members, inner)
        reference = _at(members.get("componentRef"), "name")
        component = self._components.get(reference.shown()) if reference else None
        dag = _at(component, "dag", "tasks")
        if component is None or (dag is None and _at(component, "executorLabel") is None):
            self.notes.add(node, f"the component of `{name}` is not in the document")
            return []
        self._opened += 1
        if self._opened > building.OPENED_MAX:
            if self._opened == building.OPENED_MAX + 1:
                self.notes.add(node, f"over {building.OPENED_MAX} tasks and groups are not read")
            return []
        if dag is not None:
            if inner.depth > building.DEPTH_MAX:
                self.notes.add(node, f"groups stand over {building.DEPTH_MAX} deep")
                return []
            if inner.join is not None:
                self.notes.add(node, "a group that goes on after failures: see its first tasks")
            return self._group(dag, inner)
        return [self._container(name, node, component, inner, members)]

    def _values(self, node: Node, scope: Scope, ends: Mapping[str, list[str]]) -> dict[str, Value]:
        """Return what the inputs of a task are given."""
        found: dict[str, Value] = {}
        parameters = _at(node, "inputs", "parameters")
        for name, given in ((parameters.members or {}) if parameters else {}).items():
            constant = _at(given, "runtimeValue", "constant")
            above = _at(given, "componentInputParameter")
            producer = _at(given, "taskOutputParameter", "producerTask")
            key = _at(given, "taskOutputParameter", "outputParameterKey")
            found[name] = None
            if constant is not None:
                structured = _structured(constant)
                found[name] = json.dumps(plain(constant)) if structured else constant.scalar
            elif above is not None:
                found[name] = scope.values.get(above.shown())
                key_of = _SELECTED.fullmatch(_shown(_at(given, "parameterExpressionSelector")))
                if key_of is not None and found[name] == f"{{{{{above.shown()}}}}}":
                    found[name] = f"{{{{{above.shown()}.{key_of[1]}}}}}"
            elif producer is not None and key is not None:
                names = ends.get(producer.shown(), [])
                if len(names) == 1:
                    found[name] = Output(names[0], key.shown())
                else:
                    self.notes.add(given, f"`{producer.shown()}` is a group, no task")
            else:
                self.notes.add(given, f"the input `{name}` is given in a way that does not map")
        artifacts = _at(node, "inputs", "artifacts")
        if artifacts is not None:
            self.notes.add(artifacts, "artefacts pass as folders: read `$BERTH_INPUTS/TASK`")
        return found

    def _condition(self, policy: Node | None, scope: Scope) -> Scope:
        strategy, condition = _at(policy, "strategy"), _at(policy, "condition")
        if strategy is not None and strategy.shown() == "ALL_UPSTREAM_TASKS_COMPLETED":
            scope = replace(scope, join=Join.DONE)
        if condition is None:
            return scope
        outputs: list[Output] = []
        unknown: list[str] = []

        def put(found: re.Match[str]) -> str:
            value = scope.values.get(found[1])
            if isinstance(value, Output) and value.key.isidentifier():
                outputs.append(value)
                return _read(value)
            if value is None or isinstance(value, Output):
                unknown.append(found[1])
                return "null"
            return literal(value)

        text = " ".join(_INPUT.sub(put, condition.shown()).split())
        if unknown or "inputs." in text:
            reads = ", ".join(unknown) or text
            self.notes.add(condition, f"the condition reads what is not known here: {reads}")
            return replace(scope, when=(*scope.when, "false"))
        guards = [f"has({_read(output)})" for output in dict.fromkeys(outputs)]
        safe = " && ".join([*guards, f"({text})" if guards else text])
        after = [*scope.after, *(output.task for output in outputs)]
        return replace(scope, when=(*scope.when, safe), after=tuple(after))

    def _loop(self, members: Mapping[str, Node], scope: Scope) -> Scope:
        iterator = members.get("parameterIterator")
        at_once = _at_once(members.get("iteratorPolicy"))
        if iterator is None:
            return scope
        raw, item = _at(iterator, "items", "raw"), _at(iterator, "itemInput")
        source = _at(iterator, "items", "inputParameter")
        given = scope.values.get(source.shown()) if source is not None else None
        if isinstance(given, Output) and item is not None and scope.each is None:
            return self._over(iterator, Over(item.shown(), given.task, given.key), scope, at_once)
        items = turns.listed(raw.shown() if raw is not None else given)
        rows = None
        if items is not None and item is not None:
            rows = [_row(item.shown(), value) for value in items]
        why = turns.why_not(rows, inner=scope.each is not None)
        if why or not rows:
            self.notes.add(iterator, f"this loop does not map: {why}; its tasks run once")
            return scope
        values = {**scope.values, **{name: f"{{{{{name}}}}}" for name in rows[0]}}
        return replace(scope, each=rows, values=values, at_once=at_once)

    def _over(self, node: Node, over: Over, scope: Scope, at_once: int | None) -> Scope:
        """Return the scope of a loop over a list that a task writes."""
        self.notes.add(node, over.said)
        values = {**scope.values, over.parameter: f"{{{{{over.parameter}}}}}"}
        after = (*scope.after, over.task)
        return replace(scope, each=over, values=values, after=after, at_once=at_once)

    def _container(
        self, name: str, node: Node, component: Node, scope: Scope, members: Mapping[str, Node]
    ) -> str:
        """Add a task that runs a container; return its name."""
        label = _at(component, "executorLabel")
        executor = self._executors.get(label.shown()) if label else None
        container = self.notes.members(_at(executor, "container"), "KFP container")
        if executor is None or not container:
            self.notes.add(node, f"`{name}` runs no container, which does not map")
        own = building.name_of(name, [task.name for task in self.tasks])
        task = Task(own, node.key_place.line, list(scope.after), list(scope.when))
        task.each = scope.each
        task.parameters = {k: v for k, v in scope.values.items() if isinstance(v, Scalar)}
        if scope.each:
            task.parameters = {k: v for k, v in task.parameters.items() if v != f"{{{{{k}}}}}"}
        self._command(container, task, scope)
        self._resources(container.get("resources"), task)
        retry = self.notes.members(members.get("retryPolicy"), "KFP retry")
        retries = building.whole(_shown(retry.get("maxRetryCount")))
        if retries is not None and retries >= 0:
            task.keys["retries"] = min(100, retries)
        if scope.join is not None:
            task.keys["join"] = scope.join.value
        if scope.at_once is not None and scope.each:
            task.keys["at once"] = scope.at_once
        self.tasks.append(task)
        return own

    def _command(self, container: Mapping[str, Node], task: Task, scope: Scope) -> None:
        """Give a task the image and the words that its container runs."""
        if "image" in container:
            task.keys["image"] = container["image"].shown()
        words = [word for key in ("command", "args") for word in _items(container.get(key))]
        if words:
            task.keys["command"] = [self._word(word, scope.values) for word in words]

    def _word(self, word: Node, values: Mapping[str, Value]) -> str:
        """Return a word of a command with the values that are known put in."""

        def put(found: re.Match[str]) -> str:
            value = values.get(found[1])
            if value is None or isinstance(value, Output):
                return found[0]
            shown = str(value).lower() if isinstance(value, bool) else str(value)
            return shown if self._room.take(len(shown)) else found[0]

        text = _PLACEHOLDER.sub(put, word.shown())
        if "{{$" in text:
            shown = text[text.index("{{$") :][:60]
            fix = "read `$BERTH_INPUTS/TASK`, write `$BERTH_OUTPUTS` (values: outputs.json)"
            self.notes.add(word, f"`{shown}` is known only while it runs: {fix}")
        return text or " "

    def _resources(self, node: Node | None, task: Task) -> None:
        found = self.notes.members(node, "KFP resources")
        for key, ours, read in (
            ("Cpu", "cpu", building.cores),
            ("Memory", "memory", building.gib),
        ):
            for kind in ("Limit", "Request"):
                given = found.get(f"resource{key}{kind}")
                old = found.get(f"{key.lower()}{kind}")
                value = read(given.shown()) if given is not None else None
                if value is None and old is not None:
                    value = read(old.shown() + ("G" if key == "Memory" else ""))
                if value is not None:
                    task.keys.setdefault(ours, value)
        accelerator = found.get("accelerator")
        if accelerator is not None:
            kind_ = _at(accelerator, "resourceType") or _at(accelerator, "type")
            count = _at(accelerator, "resourceCount") or _at(accelerator, "count")
            number = building.whole(_shown(count)) if count else 1
            if number is None or number < 0:
                self.notes.add(accelerator, f"`{_shown(count)[:60]}` is no count of GPUs")
                number = 1
            task.keys["gpu"] = {"kind": _gpu(kind_.shown()) if kind_ else "auto", "count": number}


def _gpu(text: str) -> str:
    """Return the model of a GPU: `NVIDIA_TESLA_T4` is `T4`, `nvidia.com/gpu` any."""
    if "/" in text:
        return "auto"
    return re.split(r"[-_]", text)[-1].upper() if "80GB" not in text.upper() else text


def _at(node: Node | None, *keys: str) -> Node | None:
    """Return what stands below some keys, None where one is missing."""
    for key in keys:
        node = (node.members or {}).get(key) if node is not None else None
    return node


def _shown(node: Node | None) -> str:
    return node.shown() if node is not None else ""


def _items(node: Node | None) -> list[Node]:
    return list(node.items or ()) if node is not None else []


def _structured(node: Node) -> bool:
    return node.members is not None or node.items is not None


def _before(node: Node) -> set[str]:
    """Return the tasks beside one that it comes after."""
    found = {item.shown() for item in _items(_at(node, "dependentTasks"))}
    parameters = _at(node, "inputs", "parameters")
    for given in ((parameters.members or {}) if parameters else {}).values():
        producer = _at(given, "taskOutputParameter", "producerTask")
        if producer is not None:
            found.add(producer.shown())
    return found


def _at_once(policy: Node | None) -> int | None:
    """Return how many turns may run at once; None for no limit, which is also what 0 says."""
    limit = _at(policy, "parallelismLimit")
    return max(0, building.whole(_shown(limit)) or 0) or None


def _row(item: str, value: object) -> dict[str, Scalar]:
    """Return the parameters of one turn of a loop."""
    if isinstance(value, Mapping):
        return {
            f"{item}-subvar-{key}": inner if isinstance(inner, Scalar) else json.dumps(inner)
            for key, inner in cast("Mapping[str, object]", value).items()
        }
    return {item: value if isinstance(value, Scalar) else json.dumps(value)}


def _read(output: Output) -> str:
    """Return an output as conditions read it."""
    return f"{output.task.replace('-', '_')}.{output.key}"
