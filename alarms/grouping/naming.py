"""Which entities an alarm of the product names: the alert that the streaming grouper is given.

Two rules on what belongs together come from `nature`: a machine takes down whatever runs on it,
whoever owns it, and wrong data harm whoever reads them, wherever it runs. So a machine alarm names
its machine and cluster, a data alarm its pipeline, and an alarm of a service its pipeline,
with the machine below it as near by. What both are about (a task) has two entities, or a pipeline
that moves would in time join all clusters into one part. Alarms of other systems name what their
labels do: services, peers of calls, and their cluster, or their namespace without one.
"""

from __future__ import annotations

from alarms.grouping.alert import Alert
from alarms.grouping.nature import Nature, cluster_of, nature, pipeline_of
from engine.model.alarms import Alarm

FOREIGN = "alert of "
"""How `Alarm.test` begins where another system decided (`engine.model.alarms`)."""
_SERVICES = ("service", "deployment", "statefulset", "app")
_PEERS = ("peer", "upstream", "callee", "destination", "source_service", "destination_service")
_WIDE = frozenset({"cluster", "namespace", "pipeline"})
_MOVING = frozenset({"task", "model", "feature"})
"""Kinds of subjects that may run on another cluster tomorrow."""
_UNKNOWN = frozenset({"", "unknown", "none"})


def is_foreign(alarm: Alarm) -> bool:
    """Return whether another system raised an alarm."""
    return alarm.test.startswith(FOREIGN)


def alert_of(alarm: Alarm) -> Alert:
    """Return an alarm as an alert."""
    entity, related, near = _named(alarm)
    if alarm.test == "silence":
        side = " silent"
    elif is_foreign(alarm):
        side = ""
    else:
        side = " low" if alarm.statistic < 0 else " high"
    return Alert(
        alert_id=alarm.alarm_id,
        at=alarm.at,
        name=f"{alarm.signal}{side}",
        entity=entity,
        related=tuple(name for name in dict.fromkeys(related) if name != entity),
        labels=dict(alarm.labels) if is_foreign(alarm) else {},
        near=near,
        holds=tuple(name for name in (entity, *related) if _is_held(alarm, name)),
        lasting=not is_foreign(alarm),
    )


def _is_held(alarm: Alarm, name: str) -> bool:
    """Return whether what else names this is the same event for as long as an alarm stands.

    Somewhere in a cluster or a namespace something always fires.
    """
    return not (is_foreign(alarm) and name.partition(":")[0] in _WIDE)


def _named(alarm: Alarm) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the entity, what it belongs to, and what is near by."""
    machines, services, pipeline = _machines(alarm), _services(alarm), pipeline_of(alarm)
    where = f" on {machines[0]}" if machines else ""
    if nature(alarm) is Nature.MACHINE and machines:
        is_moved = alarm.subject.partition(":")[0] in _MOVING
        return f"{alarm.subject}{where}" if is_moved else alarm.subject, machines, ()
    if pipeline:
        near = machines if nature(alarm) is Nature.SERVICE else ()
        return alarm.subject, (f"pipeline:{pipeline}", *services), near
    if not is_foreign(alarm) or not cluster_of(alarm):
        space = alarm.labels.get("namespace", "")
        spaces = (f"namespace:{space}",) if space not in _UNKNOWN else ()
        return alarm.subject, services or spaces or machines, machines
    # The same service in two clusters is two: one cluster is one system.
    return f"{alarm.subject}{where}", (*(f"{name}{where}" for name in services), *machines), ()


def _machines(alarm: Alarm) -> tuple[str, ...]:
    """Return the node and the cluster that an alarm comes from, the widest first."""
    cluster = cluster_of(alarm)
    node = alarm.labels.get("node", "")
    found = [f"cluster:{cluster}"] if cluster else []
    return (*found, f"node:{node}") if node not in _UNKNOWN else tuple(found)


def _services(alarm: Alarm) -> tuple[str, ...]:
    """Return the service, and the peers of a call, that an alarm names."""
    labels = alarm.labels
    found: list[str] = []
    for kind, names in (("", _SERVICES), ("service", _PEERS)):
        for name in names:
            value = labels.get(name, "")
            if value not in _UNKNOWN:
                space = labels.get("namespace", "")
                found.append(f"{kind or name}:{f'{space}/' if space else ''}{value}")
    return tuple(dict.fromkeys(found))
