"""What a train task says of its network among its parameters."""

from __future__ import annotations

from collections.abc import Mapping

from engine.documents.sources import Node, fault
from engine.model.errors import Fault
from engine.model.networks import layers_of
from engine.model.specs import NETWORK_LAYERS

_INPUTS = "network_inputs"
_BATCH = "batch_size"


def network_faults(task: Mapping[str, Node]) -> list[Fault]:
    """Return the faults of a task's parameters as far as they describe a network."""
    parameters = task.get("parameters")
    members = {} if parameters is None else parameters.members or {}
    stated = members.get(NETWORK_LAYERS)
    if stated is None:
        return []
    faults: list[Fault] = []
    for name in (_INPUTS, _BATCH):
        given = members.get(name)
        if given is None and "turn" in task:
            return []  # A value of the loop may be it; nobody knows before it runs.
        if given is None:
            message = f"`{NETWORK_LAYERS}` says little without `{name}`"
            fix = f"add `{name}: NUMBER`"
            faults.append(fault("S026", stated, message, at=stated.key_place, fix=fix))
        elif not _is_count(given.value):
            message = f"`{name}` is {given.shown()!r}; it must be a whole number of at least 1"
            faults.append(fault("S026", given, message))
    if faults:
        return faults
    try:
        layers_of(stated.shown(), inputs=int(members[_INPUTS].shown()))
    except ValueError as error:
        faults.append(fault("S026", stated, str(error)))
    return faults


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
