"""Limits put on requests that were drawn without them: affinities, and machines taken away."""

import dataclasses
import random
from collections.abc import Sequence

from engine.model.fleet import Fleet
from engine.model.identifiers import dollars
from engine.model.plans import PlacementProblem, task_key
from engine.model.specs import Affinity, PipelineSpec, Sla, TaskKind, TaskSpec, Within

BOUND = 0.35
"""Share of the tasks that are to stand beside, or apart from, others."""
TAKEN_AWAY = 0.2
"""Share of the pools whose nodes are taken away now and then."""
STAYING = 0.1
"""Share of the tasks that must not be interrupted."""
COLOURS = ("red", "blue")


def limited(problem: PlacementProblem, chance: random.Random) -> PlacementProblem:
    """Returns a request with more limits; about half of all requests get none."""
    if chance.random() < 0.5:
        return problem
    request = problem.request
    pipelines = tuple(
        dataclasses.replace(
            p,
            sla=_sla(p.sla, chance),
            limits=dataclasses.replace(
                p.limits,
                move_micro_dollars=chance.choice((None, None, dollars(0.02), dollars(0.5))),
            ),
            tasks=tuple(_task(p, t, chance) for t in p.tasks),
        )
        for p in request.pipelines
    )
    fleet = _fleet(request.fleet, chance)
    names = [f"{c.name}/{p.name}" for c in fleet.clusters for p in c.pools]
    moved_from = {
        task_key(p.name, t.name): chance.choice(names)
        for p in pipelines
        for t in p.tasks
        if p.limits.move_micro_dollars is not None and chance.random() < 0.7
    }
    request = dataclasses.replace(request, pipelines=pipelines, fleet=fleet, moved_from=moved_from)
    return dataclasses.replace(problem, request=request)


def _sla(sla: Sla, chance: random.Random) -> Sla:
    """Returns a promise that may be late at a price, now and then by most of its time."""
    if sla.deadline is None or sla.deadline.within_seconds is None or chance.random() < 0.6:
        return sla
    within = round(sla.deadline.within_seconds * chance.choice((0.05, 0.3, 1.0)), 1)
    return dataclasses.replace(
        sla,
        deadline=dataclasses.replace(sla.deadline, within_seconds=within),
        late_micro_dollars_per_hour=dollars(chance.choice((0.01, 0.2, 3.0))),
    )


def _fleet(fleet: Fleet, chance: random.Random) -> Fleet:
    clusters = []
    for cluster in fleet.clusters:
        pools = tuple(
            dataclasses.replace(
                p,
                interruptions_per_hour=chance.choice((0.02, 0.1, 0.5, 3.0))
                if chance.random() < TAKEN_AWAY
                else 0.0,
            )
            for p in cluster.pools
        )
        clusters.append(dataclasses.replace(cluster, pools=pools))
    return Fleet(clusters=tuple(clusters))


def _task(pipeline: PipelineSpec, task: TaskSpec, chance: random.Random) -> TaskSpec:
    labels = {"colour": chance.choice(COLOURS)} if chance.random() < 0.6 else {}
    stays = task.kind is not TaskKind.SERVE and chance.random() < STAYING
    tolerates = ("nobody",) if chance.random() < 0.3 else ()
    task = dataclasses.replace(task, labels=labels, interruptible=not stays, tolerates=tolerates)
    if chance.random() >= BOUND:
        return task
    affinities = (_affinity([t for t in pipeline.tasks if t.name != task.name], chance),)
    if chance.random() < 0.4:
        return dataclasses.replace(task, beside=affinities)
    return dataclasses.replace(task, apart_from=affinities)


def _affinity(others: Sequence[TaskSpec], chance: random.Random) -> Affinity:
    within = chance.choice((Within.CLUSTER, Within.CLUSTER, Within.REGION))
    if others and chance.random() < 0.6:
        return Affinity(within=within, tasks=(chance.choice(others).name,))
    return Affinity(within=within, labels={"colour": chance.choice(COLOURS)})
