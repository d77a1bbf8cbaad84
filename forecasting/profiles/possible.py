"""What of a service's measured use can be: counters that were reset, and other units, are not.

A sample that no service can have counts as one that nobody measured, and is said: a difference of a
counter that began anew is negative, and memory in bytes is more than any machine has.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from engine.model.errors import Fault
from engine.model.resources import Resource
from engine.model.sizing import ServiceUse
from forecasting.profiles import ranges

_MIB_IN_GIB = 1024.0
_MOST = {
    Resource.CPU: ranges.MOST_CORES,
    Resource.MEMORY: ranges.MOST_MEMORY_GIB,
    Resource.GPU_MEMORY: ranges.MOST_GPU_MEMORY_MIB / _MIB_IN_GIB,
}


def possible(service: ServiceUse) -> tuple[ServiceUse, str]:
    """Return a service without samples that cannot be, and what was left out, "" for nothing."""
    used = dict(service.used)
    notes: list[str] = []
    for resource, hours in service.used.items():
        values = np.array(hours, dtype=np.float64)
        # An unknown sample is neither below 0 nor above anything.
        wrong = (values < 0) | (values > _MOST.get(resource, np.finfo(np.float64).max))
        if wrong.any():
            first = float(values[wrong][0])
            fix = _faults(resource, first)[0].fix
            said = f"{resource.value} has samples that cannot be, {wrong.sum()} in all"
            notes.append(f"{said}, such as {first:g}: {fix}")
            values[wrong] = math.nan
            used[resource] = tuple(map(tuple, values.tolist()))
    return dataclasses.replace(service, used=used), "; ".join(notes)


def _faults(resource: Resource, value: float) -> list[Fault]:
    """Return what is wrong with a sample that cannot be."""
    match resource:
        case Resource.MEMORY:
            return ranges.memory_gib(value, 0)
        case Resource.GPU_MEMORY:
            return ranges.gpu_memory_mib(value * _MIB_IN_GIB, 0)
        case Resource.CPU:
            return ranges.cores(value, 0)
        case _:
            return ranges.finite(resource.value, value, 0)
