"""A training by several workers, and what it is of one of them: arithmetic on profiles."""

from __future__ import annotations

from dataclasses import replace

from engine.model.identifiers import MicroDollars
from engine.model.profiles import MachineFit, Method, Profile, Scaling
from engine.model.resources import Resource
from engine.model.specs import TaskSpec

MODELLED = (2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024)
"""Numbers of workers for which a speed-up is modelled; between them it is linear."""


def modelled(serial: float, exchange: float, *, most: int = MODELLED[-1]) -> Scaling:
    """Return the scaling of a training from what its step is made of, as shares of one worker's.

    serial: of what each worker does itself, however many there are (Amdahl 1967). exchange: of two
    workers' exchange of gradients; a ring's grows with their number to twice that (Patarasuk and
    Yuan 2009, "Bandwidth optimal all-reduce algorithms"). most: last number of workers.
    """
    counts = [count for count in MODELLED if count < most]
    steps = ((n, serial + (1.0 - serial) / n + exchange * 2 * (n - 1) / n) for n in (*counts, most))
    return Scaling(points=tuple((n, round(1.0 / step, 3)) for n, step in steps if n > 1))


PRESET = modelled(serial=0.05, exchange=0.05)
"""Of a training of which nothing is known. An assumption: two workers are 1.74 times as fast as
one, four 2.76 times, however many there are 6.7 times at most."""


def scaling_of(task: TaskSpec, profile: Profile) -> Scaling:
    """Return how a task gets faster: as a person says, as the forecaster does, or as assumed."""
    if task.workers is not None and task.workers.speed_ups:
        return Scaling(points=task.workers.speed_ups, method=Method.STATED)
    return profile.scaling or PRESET


def with_workers(profile: Profile, scaling: Scaling, workers: int) -> Profile:
    """Return the profile of a training by so many workers, from that by one.

    Each worker needs what the one does, for a shorter time.
    """
    faster = scaling.speed_up(workers)
    duration = profile.duration_seconds
    return replace(
        profile,
        duration_seconds=None if duration is None else duration.times(1.0 / faster),
        slot_seconds=profile.slot_seconds / faster,
        use={
            resource: tuple(slot.times(_copies(resource, workers)) for slot in slots)
            for resource, slots in profile.use.items()
        },
        replicas=workers,
        machines=tuple(_fit(fit, workers, faster) for fit in profile.machines),
        memory_retries_gib=tuple(workers * each for each in profile.memory_retries_gib),
        scaling=scaling,
    )


def alone_of(profile: Profile) -> Profile:
    """Return the profile by one worker, from that of a training as it is planned."""
    workers, scaling = profile.replicas, profile.scaling
    if scaling is None or workers == 1:
        return profile
    duration, faster = profile.duration_seconds, scaling.speed_up(workers)
    return replace(
        profile,
        duration_seconds=None if duration is None else duration.times(faster),
        slot_seconds=profile.slot_seconds * faster,
        use={
            resource: tuple(slot.times(1.0 / _copies(resource, workers)) for slot in slots)
            for resource, slots in profile.use.items()
        },
        replicas=1,
        machines=tuple(_fit(fit, 1 / workers, 1 / faster) for fit in profile.machines),
        memory_retries_gib=tuple(each / workers for each in profile.memory_retries_gib),
    )


def _copies(resource: Resource, workers: int) -> float:
    return 1.0 if resource is Resource.GPU_MEMORY else float(workers)


def _fit(fit: MachineFit, workers: float, faster: float) -> MachineFit:
    seconds = fit.duration_seconds_p50
    return replace(
        fit,
        duration_seconds_p50=None if seconds is None else seconds / faster,
        cost_micro_dollars=MicroDollars(round(fit.cost_micro_dollars * workers / faster)),
    )
