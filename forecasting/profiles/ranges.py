"""Whether measured values can be what they say they are: negative, missing, or in other units.

A memory of 17,179,869,184 "MiB" is bytes. No machine has it, so a range finds it: the message
says which unit the value would fit.
"""

from __future__ import annotations

import math

from engine.model.errors import Fault

MOST_GPU_MEMORY_MIB = 1024.0 * 1024.0
"""A TiB in one GPU: several times what any has."""
MOST_MEMORY_GIB = 64.0 * 1024.0
"""Of one task: several times the largest machine for rent."""
MOST_CORES = 100_000.0
MOST_SECONDS = 3_650.0 * 86_400.0
"""Ten years."""


_LEAST_IN_BYTES = 1e-3
"""Of a unit: a size that is smaller than this in bytes is not in bytes."""


def too_few(count: int, least: int, of: str) -> list[Fault]:
    """Return a fault when there are fewer than it takes."""
    if count >= least:
        return []
    message = f"there are {count} {of}; it takes at least {least}"
    return [Fault(code="H011", message=message, fix="give more runs, or use the presets")]


def gpu_memory_mib(value: float, place: int) -> list[Fault]:
    """Return the faults of a GPU's memory in MiB."""
    return _checked("gpu_memory_mib", value, MOST_GPU_MEMORY_MIB, place, _unit(value, 2.0**20))


def memory_gib(value: float, place: int) -> list[Fault]:
    """Return the faults of a task's memory in GiB."""
    return _checked("memory_gib", value, MOST_MEMORY_GIB, place, _unit(value, 2.0**30))


def seconds(value: float, place: int) -> list[Fault]:
    """Return the faults of a duration in seconds."""
    hint = "milliseconds" if value / 1_000.0 <= MOST_SECONDS else "nanoseconds"
    return _checked("duration_seconds", value, MOST_SECONDS, place, hint)


def cores(value: float, place: int) -> list[Fault]:
    """Return the faults of a use of processors in cores."""
    return _checked("cpu_cores", value, MOST_CORES, place, "millicores or nanoseconds")


def percent(value: float, place: int) -> list[Fault]:
    """Return the faults of a share in percent."""
    return _checked("gpu_percent", value, 100.0, place, "a count or thousandths")


def finite(name: str, value: float, place: int) -> list[Fault]:
    """Return the faults of a measured amount in any unit."""
    return _checked(name, value, math.inf, place, "")


def _unit(value: float, bytes_in_unit: float) -> str:
    """Return the smaller unit in which a size is likely to be."""
    return "bytes" if value / bytes_in_unit >= _LEAST_IN_BYTES else "kB"


def _checked(name: str, value: float, most: float, place: int, hint: str) -> list[Fault]:
    """Return a fault when a value is no number, negative, or more than there can be."""
    where = f"run {place + 1}"
    if not math.isfinite(value):
        message = f"`{name}` of {where} is {value!r}; it must be a number"
        return [Fault(code="H012", message=message, fix="leave the run out, or measure it again")]
    if value < 0:
        message = f"`{name}` of {where} is {value!r}; it must be at least 0"
        return [Fault(code="H012", message=message, fix="correct the clock or the counter")]
    if value > most:
        message = f"`{name}` of {where} is {value:g}; at most {most:g} is possible"
        return [Fault(code="H013", message=message, fix=f"the value looks like {hint}; convert it")]
    return []
