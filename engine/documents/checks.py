"""Checks across tasks: names under `after`, cycles, conditions, deadlines, and the fleet."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Mapping, Sequence

import networkx as nx

from engine import expressions
from engine.documents.codecs import alike
from engine.documents.sources import Node, fault
from engine.model.errors import Fault
from engine.model.fleet import Fleet
from engine.model.specs import Join, PipelineSpec, Sla, TaskKind, TaskSpec

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


def task_faults(root: Node, tasks: Sequence[TaskSpec], declared: Collection[str]) -> list[Fault]:
    """Return the faults that only show when tasks are seen together.

    tasks: those that could be read; declared: names of all, so that a task with a fault of its
    own is not called unknown as well.
    """
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(task.name for task in tasks)
    graph.add_edges_from((before, task.name) for task in tasks for before in task.after)
    faults = [item for task in tasks for item in _after_faults(root, task, declared)]
    faults.extend(_cycle_faults(root, graph))
    by_name = {task.name: task for task in tasks}
    for task in tasks:
        if task.when is not None:
            faults.extend(_condition_faults(root, task, by_name, graph, declared))
    faults.extend(_serve_faults(root, tasks))
    return faults


def _node(root: Node, path: str) -> Node:
    """Return the node of a path, or the nearest one there is."""
    return root.find(path) or Node(path, None)


def _after_faults(root: Node, task: TaskSpec, declared: Collection[str]) -> list[Fault]:
    faults: list[Fault] = []
    base = _node(root, f"tasks.{task.name}.after")
    nodes = [base] if base.items is None else base.items
    for node in nodes:
        name = node.shown()
        if name in declared:
            continue
        near = alike(name, [other for other in declared if other != task.name])
        faults.append(
            fault(
                "S010",
                node,
                f"`{task.name}` comes after `{name}`, which is no task of this pipeline",
                candidates=near,
                fix=f"write `{near[0]}`" if near else f"add a task `{name}`",
            )
        )
    return faults if task.after else []


def _cycle_faults(root: Node, graph: nx.DiGraph[str]) -> list[Fault]:
    """Return one fault for each group of tasks that wait for one another."""
    faults: list[Fault] = []
    groups = [group for group in nx.strongly_connected_components(graph) if len(group) > 1]
    loops = [{name} for name in graph.nodes if graph.has_edge(name, name)]
    for group in sorted(groups + loops, key=min):
        edges = nx.find_cycle(graph.subgraph(group), min(group))
        names = [str(edge[0]) for edge in edges]
        circle = " -> ".join(f"`{name}`" for name in [*names, names[0]])
        node = _node(root, f"tasks.{names[0]}.after")
        fix = f"take `{names[-1]}` out of `after` of `{names[0]}`"
        faults.append(fault("S011", node, f"tasks wait for one another: {circle}", fix=fix))
    return faults


def _condition_faults(
    root: Node,
    task: TaskSpec,
    by_name: Mapping[str, TaskSpec],
    graph: nx.DiGraph[str],
    declared: Collection[str],
) -> list[Fault]:
    text = task.when or ""
    node = _node(root, f"tasks.{task.name}.when")
    try:
        condition = expressions.analyse(text)
    except expressions.SyntaxFault as error:
        at = node.place.within(error.offset, 1)
        fix = error.fix or "see `berth help S013`"
        return [fault("S013", node, f"the condition cannot be parsed: {error}", at=at, fix=fix)]
    ancestors = nx.ancestors(graph, task.name)
    upstream = {expressions.variable(name): name for name in sorted(ancestors)}
    faults: list[Fault] = []
    for read in condition.reads:
        at = node.place.within(read.offset, read.length)
        if read.task not in upstream:
            others = {expressions.variable(name): name for name in declared}
            known = others.get(read.task)
            near = alike(read.task, list(upstream))
            said = (
                f"`{known}` is not upstream of `{task.name}`"
                if known
                else (f"`{read.task}` is no task of this pipeline")
            )
            fix = (
                f"add `{known}` to `after`"
                if known and known != task.name
                else (
                    f"upstream are: {', '.join(upstream)}"
                    if upstream
                    else "name a task under `after`"
                )
            )
            faults.append(
                fault(
                    "S014",
                    node,
                    f"the condition reads a task that does not come before: {said}",
                    at=at,
                    candidates=near,
                    fix=fix,
                )
            )
            continue
        source = by_name[upstream[read.task]]
        why = None if read.guarded else _may_be_missing(source, read.output, by_name)
        if why:
            near = alike(read.output, sorted(OUTPUTS[source.kind]))
            whole = f"{read.task}.{read.output}"
            faults.append(
                fault(
                    "S015",
                    node,
                    f"`{whole}` may not exist: {why}",
                    at=at,
                    candidates=near,
                    fix=f"guard it: `has({whole}) && ...`",
                )
            )
    return faults


def _may_be_missing(source: TaskSpec, output: str, by_name: Mapping[str, TaskSpec]) -> str:
    """Return why an output may be missing when its reader is judged, "" when it cannot be."""
    if _may_be_skipped(source, by_name, set()):
        return f"`{source.name}` may be skipped"
    if source.command or source.image or not output:
        return ""
    if output not in OUTPUTS[source.kind]:
        return f"{source.kind.value} tasks write {', '.join(sorted(OUTPUTS[source.kind])) or 'nothing'}"
    return ""


def _may_be_skipped(task: TaskSpec, by_name: Mapping[str, TaskSpec], seen: set[str]) -> bool:
    """Return whether a condition, here or upstream, may skip a task."""
    if task.when is not None:
        return True
    if task.name in seen:
        return False
    seen.add(task.name)
    before = [by_name[name] for name in task.after if name in by_name]
    may = [_may_be_skipped(other, by_name, seen) for other in before]
    return bool(may) and (any(may) if task.join is Join.ALL else all(may))


def _serve_faults(root: Node, tasks: Sequence[TaskSpec]) -> list[Fault]:
    """A pipeline has one address, so it may have one serve task."""
    serving = [task.name for task in tasks if task.kind is TaskKind.SERVE]
    return [
        fault(
            "S019",
            _node(root, f"tasks.{name}.kind"),
            f"`{name}` serves beside `{serving[0]}`; a pipeline serves one model at a time",
            fix="move it to a pipeline of its own",
        )
        for name in serving[1:]
    ]


def deadline_faults(root: Node, sla: Sla | None, as_of: float | None) -> list[Fault]:
    """Return a fault when the deadline lies before `as_of`."""
    at = sla.deadline.at_seconds if sla and sla.deadline else None
    if at is None or as_of is None or at > as_of:
        return []
    node = _node(root, "sla.deadline")
    late = datetime.timedelta(seconds=round(as_of - at))
    message = f"the deadline {node.shown()!r} passed {late} ago"
    return [fault("S017", node, message, fix="write a later one, or `in 30 min`")]


def check_against(spec: PipelineSpec, fleet: Fleet) -> tuple[Fault, ...]:
    """Return what a pipeline names that a fleet has not, placed by path.

    `engine.documents.place_faults` adds the lines of the YAML text.
    """
    clusters = fleet.clusters
    regions = {cluster.region for cluster in clusters} | {c.continent for c in clusters}
    providers = {cluster.provider.value for cluster in clusters}
    models = {pool.shape.gpu_model for c in clusters for pool in c.pools} - {""}
    wanted = [
        (f"limits.regions[{i}]", "region or continent", name, regions)
        for i, name in enumerate(spec.limits.regions)
    ]
    wanted += [
        (f"limits.providers[{i}]", "provider", name, providers)
        for i, name in enumerate(spec.limits.providers)
    ]
    wanted += [
        (f"tasks.{task.name}.gpu.kind", "GPU model", task.wishes.gpu_model, models)
        for task in spec.tasks
        if task.wishes.gpu_model is not None
    ]
    faults: list[Fault] = []
    for path, what, name, known in wanted:
        if name.casefold() in {item.casefold() for item in known}:
            continue
        near = alike(name, sorted(known))
        listed = ", ".join(sorted(known)) or "none"
        fix = f"write `{near[0]}`" if near else f"the fleet has: {listed}"
        message = f"no cluster of the fleet has the {what} {name!r}"
        faults.append(Fault(code="S016", message=message, path=path, candidates=near, fix=fix))
    return tuple(faults)
