"""What a pipeline names that a fleet has not: regions, providers, clusters, models of GPUs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from engine.documents.codecs.base import alike
from engine.documents.pipeline_form import LIMITS
from engine.documents.sources import Node, fault
from engine.documents.task_form import Outline
from engine.model.errors import Fault
from engine.model.fleet import Fleet
from engine.model.specs import PipelineSpec, TaskSpec


@dataclass(frozen=True, slots=True)
class _Named:
    """A name that a document takes from the fleet: where it stands, and what it is a name of."""

    path: str
    what: str
    name: str


def check_against(spec: PipelineSpec, fleet: Fleet) -> tuple[Fault, ...]:
    """Return what a pipeline names that a fleet has not, placed by path.

    `engine.documents.place_faults` adds the lines of the YAML text.
    """
    named = [*_of_limits(spec.limits.regions, spec.limits.providers)]
    for task in spec.tasks:
        named.extend(_of_task(task.name, task.data_in, task.wishes.gpu_model))
    faults = list(_unknown(named, fleet))
    clusters = fleet.clusters
    if clusters and not any(cluster.reads_outside for cluster in clusters):
        for task in spec.tasks:
            faults.extend(_out_of_reach(spec, task))
    return tuple(faults)


def unknown_names(root: Node, tasks: Mapping[str, Outline], fleet: Fleet) -> list[Fault]:
    """Return what can be read of a document with other faults, and is no name of the fleet."""
    limits = root.find("limits")
    wishes = {} if limits is None else LIMITS.gather(limits, [])
    named = [*_of_limits(wishes.get("regions", ()), wishes.get("providers", ()))]
    for task in tasks.values():
        named.extend(_of_task(task.name, task.data_in, task.gpu_model))
    return [
        fault(
            item.code,
            root.find(item.path) or root,
            item.message,
            candidates=item.candidates,
            fix=item.fix,
        )
        for item in _unknown(named, fleet)
    ]


def _of_limits(regions: Collection[str], providers: Collection[str]) -> Iterator[_Named]:
    for index, name in enumerate(regions):
        yield _Named(f"limits.regions[{index}]", "region or continent", name)
    for index, name in enumerate(providers):
        yield _Named(f"limits.providers[{index}]", "provider", name)


def _of_task(task: str, data_in: str | None, gpu_model: str | None) -> Iterator[_Named]:
    if data_in is not None:
        yield _Named(f"tasks.{task}.data in", "name", data_in)
    if gpu_model is not None:
        yield _Named(f"tasks.{task}.gpu.kind", "GPU model", gpu_model)


def _unknown(named: Collection[_Named], fleet: Fleet) -> Iterator[Fault]:
    """Yield a fault for each name that a fleet has not; capitals do not matter."""
    clusters = fleet.clusters
    known_of: dict[str, set[str]] = {
        "region or continent": {name for c in clusters for name in (c.region, c.continent)},
        "provider": {c.provider.value for c in clusters},
        "name": {c.name for c in clusters},
        "GPU model": {pool.shape.gpu_model for c in clusters for pool in c.pools} - {""},
    }
    for item in named:
        known = sorted(known_of[item.what])
        if item.name.casefold() in {name.casefold() for name in known}:
            continue
        near = alike(item.name, known)
        listed = ", ".join(known) or "none"
        fix = f"write `{near[0]}`" if near else f"the fleet has: {listed}"
        message = f"no cluster of the fleet has the {item.what} {item.name!r}"
        yield Fault(code="S016", message=message, path=item.path, candidates=near, fix=fix)


def _out_of_reach(spec: PipelineSpec, task: TaskSpec) -> list[Fault]:
    """Return the fault of a file that no cluster of a fleet would show to its task."""
    if not spec.reads_outside(task):
        return []
    message = f"no cluster of the fleet reads {task.reads!r}: tasks there see the pipeline's folder"
    fix = f"put it into {spec.folder!r}" if spec.folder else "give the pipeline a `folder`"
    fix = f"{fix}, or let the task's command fetch it by a URI"
    return [Fault(code="S016", message=message, path=f"tasks.{task.name}.reads", fix=fix)]
