"""What-if: changes of wishes, fleet or demand in words, and the plan that would follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from engine import documents
from engine.model.errors import Fault, InvalidInputError
from engine.model.fleet import Cluster, Fleet, Pool
from engine.model.identifiers import MicroDollars, PipelineName
from engine.model.plans import Mode, Plan, PlanRequest, task_key
from engine.model.profiles import Profile, RunRecord
from engine.model.specs import PipelineSpec, TaskSpec
from engine.planning.planner import Planner
from engine.ports import Watch

_SHORT = {
    "deadline": "sla.deadline",
    "keep": "sla.keep",
    "budget": "limits.budget",
    "regions": "limits.regions",
    "providers": "limits.providers",
}
"""Names people use for the commonest keys."""
_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_FACTOR = re.compile(r"x(\d+(?:\.\d+)?)")
_FACTOR_MAX = 1_000.0
_FORMS = (
    "`cluster:NAME=down`, `count:CLUSTER/POOL=4`, `price:CLUSTER/POOL=2 USD per hour`, "
    "`price:CLUSTER=x1.2`, `demand=x1.5`, `mode=most-sla`, `plan.budget=100 USD`, "
    "`plan.whole=yes`, `sla.deadline=daily 04:00`, "
    "`tasks.NAME.memory=16 GiB`"
)


def what_if(
    planner: Planner,
    plan: Plan,
    changes: Sequence[str],
    history: Sequence[RunRecord],
    *,
    watch: Watch | None = None,
) -> Plan:
    """Return the plan that would be made if some things were different. Nothing is stored.

    What the change does not touch is taken from the plan: its instant, its seed, and the profiles
    of all tasks whose needs are as they were.

    changes: as `KEY=VALUE`; keys are those of the pipeline document by path (`sla.deadline`,
        `limits.budget`, `tasks.NAME.memory`), `cluster:NAME`, `count:CLUSTER/POOL`,
        `price:CLUSTER/POOL` (or `price:CLUSTER`, also as a factor: `x1.2`), `demand`, `mode`,
        and of the whole plan `plan.whole` (`yes`, `no`) and `plan.budget` (`100 USD`, `none`).
    history: past runs, for the tasks that are forecast anew. watch: as in `Planner.plan`.

    Raises:
        InvalidInputError: with all changes that cannot be read.
        InfeasibleError: by the placer.
    """
    request = changed_request(plan.request, changes)
    known = _kept_profiles(plan, request)
    return planner.plan(request, history, known=known, watch=watch)


def _kept_profiles(plan: Plan, request: PlanRequest) -> dict[str, Profile]:
    """Return the profiles that a change leaves as they are.

    What a task needs follows from the task and from the kinds of machines there are, which no
    change touches: not from what they cost, whether they answer, or how many there are.
    """
    before = {spec.name: spec for spec in plan.request.pipelines}
    kept: dict[str, Profile] = {}
    for spec in request.pipelines:
        tasks = {task.name: task for task in before[spec.name].tasks}
        for task in spec.tasks:
            if tasks.get(task.name) == task:
                key = task_key(spec.name, task.name)
                kept[key] = plan.profiles[key]
    return kept


def changed_request(request: PlanRequest, changes: Sequence[str]) -> PlanRequest:
    """Return a request with changes made to it; arguments and errors as in `what_if`."""
    faults: list[Fault] = []
    for change in changes:
        try:
            request = _changed(request, change)
        except InvalidInputError as error:
            faults.extend(_placed(fault, change) for fault in error.faults)
        except _ChangeError as error:
            message = f"change {change!r}: {error}"
            fault = Fault(code="S021", message=message, candidates=error.near, fix=error.fix)
            faults.append(fault)
    if faults:
        raise InvalidInputError("changes", faults)
    return request


def _placed(fault: Fault, change: str) -> Fault:
    """Return a fault of a value with the key that it was given for, where no other is named."""
    key = change.partition("=")[0].strip()
    of_pool = key.partition(":")[0] in _FLEET_CHANGES
    return replace(fault, path=key) if of_pool or not fault.path else fault


class _ChangeError(ValueError):
    """A change cannot be read or names what is not there."""

    def __init__(self, message: str, near: Sequence[str] = (), *, fix: str) -> None:
        super().__init__(message)
        self.near = tuple(near)
        self.fix = fix


_NAME_ONE = "name one that is there"


def _either(*values: str) -> str:
    return " or ".join(f"`{value}`" for value in values)


def _changed(request: PlanRequest, change: str) -> PlanRequest:
    key, equals, value = (part.strip() for part in change.partition("="))
    if not equals or not key or not value:
        raise _ChangeError("is no KEY=VALUE", fix=f"write one of {_FORMS}")
    kind, colon, name = key.partition(":")
    if colon and kind in _FLEET_CHANGES:
        return replace(request, fleet=_FLEET_CHANGES[kind](request.fleet, name, value))
    if key == "demand":
        return _demand(request, value)
    if key in _PLAN_CHANGES:
        return _PLAN_CHANGES[key](request, value)
    if key == "mode":
        if value not in set(Mode):
            near, fix = documents.alike(value, tuple(Mode)), f"write {_either(*Mode)}"
            raise _ChangeError(f"{value!r} is no mode", near, fix=fix)
        return replace(request, mode=Mode(value))
    path = _SHORT.get(key, key)
    if path == "pipeline":
        message = "a pipeline keeps its name: by it the two plans are compared"
        raise _ChangeError(message, fix="leave this change out")
    meant = _meant(request.pipelines, path)
    specs = tuple(
        _with(spec, path, value) if spec.name in meant else spec for spec in request.pipelines
    )
    return replace(request, pipelines=specs)


def _meant(pipelines: Sequence[PipelineSpec], path: str) -> Set[PipelineName]:
    """Return the pipelines that a path is about: of a task those that have it, else all."""
    above, _, rest = path.partition(".")
    name, _, key = rest.partition(".")
    everyone = {spec.name for spec in pipelines}
    if above != "tasks" or not name:
        return everyone
    found = {spec.name for spec in pipelines if any(task.name == name for task in spec.tasks)}
    if found or key == "kind":  # a task that is added begins with its kind
        return found or everyone
    names = {str(task.name): None for spec in pipelines for task in spec.tasks}
    near = documents.alike(name, tuple(names))
    message = f"there is no task {name!r}; there are {', '.join(names)}"
    raise _ChangeError(message, near, fix=_NAME_ONE)


def _whole(request: PlanRequest, value: str) -> PlanRequest:
    """Return a request in which pipelines are placed whole, or need not be."""
    if value not in {"yes", "no"}:
        message = f"pipelines are placed whole, `yes` or `no`, not {value!r}"
        raise _ChangeError(message, fix=f"write {_either('yes', 'no')}")
    return replace(request, whole=value == "yes")


def _budget(request: PlanRequest, value: str) -> PlanRequest:
    """Return a request with another budget of the whole plan, or none."""
    none = value == "none"
    amount = None if none else documents.read_amount(value, name="plan.budget")
    return replace(request, budget_micro_dollars=amount)


_PLAN_CHANGES: Mapping[str, Callable[[PlanRequest, str], PlanRequest]] = {
    "plan.whole": _whole,
    "plan.budget": _budget,
}


def _with(spec: PipelineSpec, path: str, value: str) -> PipelineSpec:
    """Return a spec with one key of its document set, read again with all checks."""
    if path == "sla.deadline" and _CLOCK.fullmatch(value):
        zone = spec.sla.deadline.zone if spec.sla.deadline else "UTC"
        value = f"daily {value} {zone}"
    mapping = documents.pipeline_mapping(spec)
    inner: dict[str, Any] = mapping
    *above, last = path.split(".")
    for part in above:
        if not isinstance(inner.setdefault(part, {}), dict):
            fix = f"end the key with {part!r}, or name another"
            raise _ChangeError(f"{part!r} has no keys below it", fix=fix)
        inner = inner[part]
    inner[last] = documents.plain_value(value, name="changes")
    return documents.pipeline_from(mapping, name="changes")


def _demand(request: PlanRequest, value: str) -> PlanRequest:
    """Return a request in which all load is multiplied: requests served, data read."""
    factor = _factor(value)
    if factor is None:
        meant = f"x{value}" if _factor(f"x{value}") is not None else "x1.5"
        fix = f"write `{meant}`: x and a number above 0, at most {_FACTOR_MAX:g}"
        raise _ChangeError(f"{value!r} is no factor such as `x1.5`", fix=fix)
    specs = tuple(
        replace(spec, tasks=tuple(_scaled(task, factor) for task in spec.tasks))
        for spec in request.pipelines
    )
    if factor != 1.0 and specs == request.pipelines:
        message = "no task says how much it reads or serves, so that none has a demand"
        raise _ChangeError(message, fix="give a task `volume`, `rows` or `requests`")
    return replace(request, pipelines=specs)


def _factor(value: str) -> float | None:
    """Return the factor that a value such as `x1.5` stands for; None for any other."""
    match = _FACTOR.fullmatch(value)
    factor = float(match[1]) if match else 0.0
    return factor if 0 < factor <= _FACTOR_MAX else None


def _scaled(task: TaskSpec, factor: float) -> TaskSpec:
    serving = task.serving
    if serving is not None:
        peak = serving.requests_per_second_peak * factor
        serving = replace(serving, requests_per_second_peak=peak)
    return replace(
        task,
        serving=serving,
        volume_gib=None if task.volume_gib is None else task.volume_gib * factor,
        rows=None if task.rows is None else max(1, round(task.rows * factor)),
    )


def _reachable(fleet: Fleet, name: str, value: str) -> Fleet:
    if value not in {"down", "up"}:
        message = f"a cluster is `up` or `down`, not {value!r}"
        raise _ChangeError(message, fix=f"write {_either('down', 'up')}")
    return _with_cluster(fleet, name, lambda cluster: replace(cluster, reachable=value == "up"))


def _price(fleet: Fleet, name: str, value: str) -> Fleet:
    """Return a fleet with another price of one pool, or of every pool of a cluster."""
    factor = _factor(value)
    cluster, slash, _ = name.partition("/")

    def change(pool: Pool) -> Pool:
        if factor is None:
            return _pool(pool, "price", value)
        price = MicroDollars(round(pool.price_micro_dollars_per_hour * factor))
        return replace(pool, price_micro_dollars_per_hour=price)

    if slash:
        return _with_pool(fleet, name, change)
    return _with_cluster(fleet, cluster, lambda c: replace(c, pools=tuple(map(change, c.pools))))


def _count(fleet: Fleet, name: str, value: str) -> Fleet:
    return _with_pool(fleet, name, lambda pool: _pool(pool, "count", value))


_FLEET_CHANGES: Mapping[str, Callable[[Fleet, str, str], Fleet]] = {
    "cluster": _reachable,
    "price": _price,
    "count": _count,
}


def _with_cluster(fleet: Fleet, name: str, change: Callable[[Cluster], Cluster]) -> Fleet:
    names = [cluster.name for cluster in fleet.clusters]
    if name not in names:
        near = documents.alike(name, names)
        message = f"there is no cluster {name!r}; there are {', '.join(names)}"
        raise _ChangeError(message, near, fix=_NAME_ONE)
    clusters = (change(c) if c.name == name else c for c in fleet.clusters)
    return Fleet(clusters=tuple(clusters))


def _with_pool(fleet: Fleet, name: str, to: Callable[[Pool], Pool]) -> Fleet:
    """Return a fleet with one pool changed."""
    cluster_name, _, pool_name = name.partition("/")

    def change(cluster: Cluster) -> Cluster:
        names = [pool.name for pool in cluster.pools]
        if pool_name not in names:
            near = documents.alike(pool_name, names)
            message = f"{cluster.name} has no pool {pool_name!r}; it has {', '.join(names)}"
            raise _ChangeError(message, near, fix=_NAME_ONE)
        pools = tuple(to(p) if p.name == pool_name else p for p in cluster.pools)
        return replace(cluster, pools=pools)

    return _with_cluster(fleet, cluster_name, change)


def _pool(pool: Pool, key: str, value: str) -> Pool:
    """Return a pool with one key of its document set, read again with all checks."""
    mapping = documents.pool_mapping(pool)
    mapping[key] = documents.plain_value(value, name="changes")
    return documents.pool_from(pool.name, mapping, name="changes")
