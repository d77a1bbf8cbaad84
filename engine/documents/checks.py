"""Checks across tasks: names under `after`, cycles, conditions, deadlines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import networkx as nx

from engine import expressions
from engine.documents.codecs.base import alike
from engine.documents.codecs.deadlines import DeadlineCodec
from engine.documents.sources import Node, TroubleError, fault
from engine.documents.task_form import Outline
from engine.documents.turns_form import turn_faults
from engine.model.errors import Fault
from engine.model.specs import Join, TaskKind

OUTPUTS: Mapping[TaskKind, frozenset[str]] = {
    TaskKind.ETL: frozenset({"rows", "nulls", "columns"}),
    TaskKind.FEATURES: frozenset({"columns", "rows"}),
    TaskKind.TRAIN: frozenset(
        {"quality", "quality_std", "loss_first", "loss_last", "fit_seconds", "model"}
    ),
    TaskKind.EVALUATE: frozenset({"best", "quality", "passed"}),
    TaskKind.PACKAGE: frozenset({"digest", "size_bytes"}),
    TaskKind.SERVE: frozenset(),
}
"""What the built-in command of each kind always writes to `outputs.json`."""


@dataclass(frozen=True)
class _Pipeline:
    """All tasks, seen together."""

    root: Node
    tasks: Mapping[str, Outline]
    graph: nx.DiGraph[str]

    def node(self, path: str) -> Node:
        """Return the node of a path, or the nearest one there is."""
        return self.root.find(path) or Node(path, None)


def task_faults(root: Node, outlines: Mapping[str, Outline]) -> list[Fault]:
    """Return the faults that only show when tasks are seen together."""
    tasks = outlines.values()
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(outlines)
    graph.add_edges_from(
        (before, task.name) for task in tasks for before in task.after if before in outlines
    )
    pipeline = _Pipeline(root, outlines, graph)
    faults = [item for task in tasks for item in _after_faults(pipeline, task)]
    faults.extend(_cycle_faults(pipeline))
    for task in tasks:
        if task.turn is not None:
            node = pipeline.node(f"tasks.{task.name}.turn")
            faults.extend(turn_faults(node, task.name, task.turn, graph, outlines))
    faults.extend(item for task in tasks for item in _affinity_faults(pipeline, task))
    faults.extend(item for task in tasks for item in _condition_faults(pipeline, task))
    faults.extend(_serve_faults(pipeline))
    return faults


def _after_faults(pipeline: _Pipeline, task: Outline) -> list[Fault]:
    faults: list[Fault] = []
    base = pipeline.node(f"tasks.{task.name}.after")
    for node in (base.items or [base]) if task.after else ():
        name = node.shown()
        if name in pipeline.tasks:
            continue
        near = alike(name, [other for other in pipeline.tasks if other != task.name])
        faults.append(
            fault(
                "S010",
                node,
                f"`{task.name}` comes after `{name}`, which is no task of this pipeline",
                candidates=near,
                fix=f"write `{near[0]}`" if near else f"add a task `{name}`",
            )
        )
    return faults


def _affinity_faults(pipeline: _Pipeline, task: Outline) -> list[Fault]:
    """Return the faults of names under `beside` and `apart from`."""
    faults: list[Fault] = []
    for key, names in task.affinities.items():
        node = pipeline.node(f"tasks.{task.name}.{key}")
        for name in names:
            at = _naming(node, name) or node
            if name == task.name:
                message = f"`{name}` is to stand {key} itself"
                faults.append(fault("S022", at, message, fix="name another task"))
            elif name not in pipeline.tasks:
                others = [other for other in pipeline.tasks if other != task.name]
                near = alike(name, others)
                fix = f"write `{near[0]}`" if near else f"tasks are: {', '.join(others) or 'none'}"
                message = f"`{task.name}` is to stand {key} `{name}`, no task of this pipeline"
                faults.append(fault("S010", at, message, candidates=near, fix=fix))
    return faults


def _naming(node: Node, name: str) -> Node | None:
    """Return the node below one that holds a name, as far as affinities nest."""
    if node.members is not None:
        inner = [node.members["tasks"]] if "tasks" in node.members else []
    else:
        inner = list(node.items or ())
    for child in inner:
        found = _naming(child, name)
        if found is not None:
            return found
    return node if not inner and node.shown() == name else None


def _cycle_faults(pipeline: _Pipeline) -> list[Fault]:
    """Return one fault for each group of tasks that wait for one another."""
    graph = pipeline.graph
    groups = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    groups += [{name} for name in graph.nodes if graph.has_edge(name, name)]
    faults: list[Fault] = []
    for group in sorted(groups, key=min):
        edges = nx.find_cycle(graph.subgraph(group), min(group))
        names = [str(edge[0]) for edge in edges]
        circle = " -> ".join(f"`{name}`" for name in [*names, names[0]])
        fix = f"take `{names[-1]}` out of `after` of `{names[0]}`"
        node = pipeline.node(f"tasks.{names[0]}.after")
        faults.append(fault("S011", node, f"tasks wait for one another: {circle}", fix=fix))
    return faults


def _condition_faults(pipeline: _Pipeline, task: Outline) -> list[Fault]:
    if task.when is None:
        return []
    node = pipeline.node(f"tasks.{task.name}.when")
    try:
        condition = expressions.analyse(task.when)
    except expressions.SyntaxFaultError as error:
        at = node.place.within(error.offset, 1)
        fix = error.fix or "for example `etl.rows > 1000 && tree.quality > 0.9`"
        return [fault("S013", node, f"the condition cannot be parsed: {error}", at=at, fix=fix)]
    return list(_read_faults(pipeline, task, condition.reads))


def _read_faults(
    pipeline: _Pipeline, task: Outline, reads: Sequence[expressions.Read]
) -> Iterator[Fault]:
    """Yield a fault for each value that a condition reads and that may not be there."""
    upstream = {
        expressions.variable(name): name
        for name in sorted(nx.ancestors(pipeline.graph, task.name) - {task.name})
    }
    before = pipeline.graph.subgraph({task.name} | nx.ancestors(pipeline.graph, task.name))
    in_order = nx.is_directed_acyclic_graph(before)
    known = {expressions.variable(name): name for name in pipeline.tasks}
    for read in reads:
        if read.parameter is not None and read.task in known:
            if not read.guarded:
                yield from _missing_parameter(pipeline, task, read, known[read.task])
        elif read.task in _loops_before(pipeline, task) and not read.output:
            continue  # a list, which may be empty
        elif read.task not in upstream:
            yield _not_upstream(pipeline, task, read, upstream)
        elif not read.guarded and in_order and read.output != expressions.STATE:
            source = pipeline.tasks[upstream[read.task]]
            yield from _missing_output(pipeline, task, read, source)


def _loops_before(pipeline: _Pipeline, task: Outline) -> frozenset[str]:
    """Return the loops upstream of a task, as conditions know them."""
    before = nx.ancestors(pipeline.graph, task.name) - {task.name}
    loops = {pipeline.tasks[name].loop for name in before}
    return frozenset(expressions.variable(loop) for loop in loops if loop is not None)


def _not_upstream(
    pipeline: _Pipeline, task: Outline, read: expressions.Read, upstream: Mapping[str, str]
) -> Fault:
    node = pipeline.node(f"tasks.{task.name}.when")
    known = {expressions.variable(name): name for name in pipeline.tasks}.get(read.task)
    near = alike(read.task, list(upstream))
    if known == task.name:
        message, fix = f"the condition of `{known}` reads its own output", ""
    elif known is not None:
        message = f"the condition reads `{known}`, which is not upstream of `{task.name}`"
        fix = f"add `{known}` to `after`"
    elif read.task in _loops_before(pipeline, task):
        message = f"`{read.task}` is a loop, so it is a list of outputs"
        fix = f"write `{read.task}.exists(t, t.{read.output} ...)`"
    else:
        message = f"the condition reads `{read.task}`, which is no task of this pipeline"
        fix = f"write `{near[0]}`" if near else ""
    fix = fix or f"upstream are: {', '.join(upstream) or 'none'}"
    at = node.place.within(read.offset, read.length)
    return fault("S014", node, message, at=at, candidates=near, fix=fix)


def _missing_parameter(
    pipeline: _Pipeline, task: Outline, read: expressions.Read, of: str
) -> list[Fault]:
    """Return the fault of an unguarded parameter that only a run might set."""
    given = pipeline.tasks[of].parameters
    if not read.parameter or read.parameter in given:
        return []
    near = alike(read.parameter, sorted(given))
    listed = ", ".join(sorted(given)) or "none"
    node = pipeline.node(f"tasks.{task.name}.when")
    whole = f"{read.task}.{read.output}"
    fix = (
        f"write `{read.task}.parameters.{near[0]}`" if near else f"guard it: `has({whole}) && ...`"
    )
    at = node.place.within(read.offset, read.length)
    message = f"`{whole}` may not exist: the parameters of `{of}` are {listed}"
    return [fault("S015", node, message, at=at, candidates=near, fix=fix)]


def _missing_output(
    pipeline: _Pipeline, task: Outline, read: expressions.Read, source: Outline
) -> list[Fault]:
    """Return the fault of an unguarded output that may be missing when `task` is judged."""
    written = OUTPUTS[source.kind] if source.kind else frozenset[str]()
    near: tuple[str, ...] = ()
    if _may_be_skipped(pipeline, source):
        why = f"`{source.name}` may be skipped"
    elif not _has_succeeded(pipeline, source, task):
        why = f"`{source.name}` may have failed, and `join: {task.join.value}` goes on without it"
    elif source.kind is None or source.own or not read.output or read.output in written:
        return []
    else:
        near = alike(read.output, sorted(written))
        why = f"{source.kind.value} tasks write {', '.join(sorted(written)) or 'nothing'}"
    node = pipeline.node(f"tasks.{task.name}.when")
    whole = f"{read.task}.{read.output}".rstrip(".")
    fix = f"write `{read.task}.{near[0]}`" if near else f"guard it: `has({whole}) && ...`"
    at = node.place.within(read.offset, read.length)
    message = f"`{whole}` may not exist: {why}"
    return [fault("S015", node, message, at=at, candidates=near, fix=fix)]


def _may_be_skipped(pipeline: _Pipeline, source: Outline) -> bool:
    """Return whether a condition, its own or one upstream, may skip a task."""

    def skippable(task: Outline, before: list[bool]) -> bool:
        if task.when is not None or (task.turn is not None and task.name == source.name):
            return True
        if task.join is Join.DONE:
            return False
        return bool(before) and (any(before) if task.join is Join.ALL else all(before))

    return _decided(pipeline, source, skippable)


def _has_succeeded(pipeline: _Pipeline, source: Outline, reader: Outline) -> bool:
    """Return whether `source` must have succeeded when the condition of `reader` is judged."""

    def certain(task: Outline, before: list[bool]) -> bool:
        if task.name == source.name:
            return True
        if task.join is Join.DONE:
            return False
        return bool(before) and (any(before) if task.join is Join.ALL else all(before))

    return _decided(pipeline, reader, certain)


def _decided(
    pipeline: _Pipeline, last: Outline, decide: Callable[[Outline, list[bool]], bool]
) -> bool:
    """Return what `decide` says of a task, given what it says of the tasks before it.

    Goes through the graph in order, without recursion, since chains may be long.
    """
    graph = pipeline.graph.subgraph({last.name} | nx.ancestors(pipeline.graph, last.name))
    known: dict[str, bool] = {}
    for name in nx.topological_sort(graph):
        task = pipeline.tasks[name]
        # A name that is no task is a fault of its own.
        known[name] = decide(task, [known[other] for other in task.after if other in known])
    return known[last.name]


def _serve_faults(pipeline: _Pipeline) -> list[Fault]:
    """A pipeline has one address, so it may have one serve task."""
    serving = [task.name for task in pipeline.tasks.values() if task.kind is TaskKind.SERVE]
    return [
        fault(
            "S019",
            pipeline.node(f"tasks.{name}.kind"),
            f"`{name}` serves beside `{serving[0]}`; a pipeline serves one model at a time",
            fix="move it to a pipeline of its own",
        )
        for name in serving[1:]
    ]


def deadline_faults(root: Node, as_of: float | None) -> list[Fault]:
    """Return a fault when the deadline lies before `as_of`, or a price of lateness has none."""
    node = root.find("sla.deadline")
    price = root.find("sla.late")
    if price is not None and price.path == "sla.late" and (node is None or node.path == "sla"):
        message = "`late` says what hours after the deadline cost, and there is no deadline"
        return [fault("S003", price, message, fix="add `deadline: ...`")]
    if as_of is None or node is None or node.path != "sla.deadline":
        return []
    try:
        at = DeadlineCodec().read(node).at_seconds
    except TroubleError:
        return []  # The reader of the SLA has named this fault.
    if at is None or at > as_of:
        return []
    message = f"the deadline {node.shown()!r} passed {_ago(as_of - at)} ago"
    return [fault("S017", node, message, fix="write a later one, or `in 30 min`")]


def _ago(seconds: float) -> str:
    """Return a duration in its two largest units."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = {"d": days, "h": hours, "min": minutes, "s": rest}
    told = [f"{count:,} {unit}" for unit, count in parts.items() if count]
    return " ".join(told[:2]) or "0 s"
