"""What `berth doctor` looks at: database, clock, disk, solver, clusters and their registries."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping

from api.messages.answers import Finding
from api.report import phrases
from api.wiring.parts import Parts
from engine import documents
from engine.model.errors import BerthError
from engine.model.plans import Mode, PlanRequest
from engine.model.records import PLANS, TERMS
from executors import kubernetes

_FREE_BYTES_LEAST = 256 * 1024**2
_SKEW_SECONDS_MOST = 60.0
_PROBE = {"pipeline": "probe", "tasks": {"etl": {"kind": "etl", "volume": "1 MiB"}}}


def examine(parts: Parts) -> tuple[Finding, ...]:
    """Return what each look found; one that fails is a finding too."""
    looks = (
        ("database", _database),
        ("clock", _clock),
        ("disk", _disk),
        ("solver", _solver),
        ("learning", _learning),
    )
    found = [_look(name, look, parts) for name, look in looks]
    for cluster in parts.fleet.fleet().clusters:
        if cluster.executor == "kubernetes":
            continue
        message = "answers" if cluster.reachable else "does not answer"
        fix = "" if cluster.reachable else f"berth cluster restore {cluster.name}"
        name = f"cluster {cluster.name}"
        found.append(Finding(name=name, fine=cluster.reachable, message=message, fix=fix))
    return (*found, *kubernetes_findings(parts), *registry_findings(parts, os.environ))


def kubernetes_findings(parts: Parts) -> Iterator[Finding]:
    """Yield what Kubernetes clusters say of version, clock and rights."""
    if parts.kubernetes is None:
        return
    for one in kubernetes.diagnose(parts.kubernetes):
        name = f"cluster {one.cluster}"
        yield Finding(name=name, fine=one.fine, message=one.message, fix=one.fix)


def registry_findings(parts: Parts, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield whether the registries answer that Kubernetes clusters pull models from.

    environment: where logins of registries are looked for.
    """
    if parts.kubernetes is None:
        return
    for one in kubernetes.ask_registries(parts.kubernetes.settings.clusters, environment):
        name = f"registry {one.host}"
        yield Finding(name=name, fine=one.fine, message=one.message, fix=one.fix)


def _look(name: str, look: Callable[[Parts], Finding], parts: Parts) -> Finding:
    try:
        return look(parts)
    except BerthError as error:
        return Finding(name=name, fine=False, message=error.message, fix=error.fix)


def _database(parts: Parts) -> Finding:
    count = len(parts.ledger.select(PLANS, limit=1_000))
    term = parts.ledger.get(TERMS, "engine")
    starts = term.value.number if term else 0
    plans, begun = phrases.plural(count, "plan"), phrases.plural(starts, "start")
    message = f"answers; {plans}, {begun} of an engine"
    return Finding(name="database", fine=True, message=message)


def _learning(parts: Parts) -> Finding:
    oracle, note = parts.learning.in_force()
    if note:
        fix = "berth learning refit"
        return Finding(name="learning", fine=False, message=note, fix=fix)
    used = "runs and presets alone" if oracle is None else f"version {oracle.number}"
    return Finding(name="learning", fine=True, message=f"profiles are told by {used}")


def _clock(parts: Parts) -> Finding:
    term = parts.ledger.get(TERMS, "engine")
    behind = term.value.started_at - parts.clock.now() if term else 0.0
    if behind < _SKEW_SECONDS_MOST:
        return Finding(name="clock", fine=True, message="is not behind the newest record")
    message = f"is {behind:.0f} s behind the start of the engine"
    return Finding(name="clock", fine=False, message=message, fix="set the machine's clock")


def _disk(parts: Parts) -> Finding:
    home = parts.settings.home
    free = shutil.disk_usage(home).free
    fine = free >= _FREE_BYTES_LEAST and os.access(home, os.W_OK)
    message = f"{free / 1024**3:.1f} GiB free at {str(home)!r}"
    fix = "" if fine else "make room, or let the engine write there"
    return Finding(name="disk", fine=fine, message=message, fix=fix)


def _solver(parts: Parts) -> Finding:
    """Plan one small task; it counts as well when it has no place on this fleet."""
    began = time.monotonic()
    now = parts.clock.now()
    spec = documents.pipeline_from(_PROBE, name="probe", as_of=now)
    request = PlanRequest(
        pipelines=(spec,), fleet=parts.fleet.fleet(), as_of=now, mode=Mode.MOST_SLA, work_limit=1.0
    )
    parts.planner.plan(request, ())
    message = f"planned one task in {time.monotonic() - began:.1f} s"
    return Finding(name="solver", fine=True, message=message)
