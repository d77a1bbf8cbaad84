"""What the attempt after a failure could change, each with its chance and its cost.

Cost is that of plans: the dominant share of its nodes, their price, and time. A task on machines
without a price is weighed by share and time alone, so that it does not seem to cost nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from engine.model.failures import Failure, Place
from engine.model.identifiers import MicroDollars
from engine.model.remedies import Configuration, FailureCause, Option, RemedyStep
from engine.model.resources import Resource, Resources
from forecasting.presets import size_of
from forecasting.remedies.memory import Needs
from forecasting.remedies.success import Asked, success

_HOUR = 3_600.0
_NUMBERS = r"0x[0-9a-f]+|\d+(\.\d+)?"
"""Left out of words, as in `Retry.words`."""
_LEAST_SECONDS = 1.0
"""Below it the clock speaks, not the task."""
_BATCH_SLOWER = 1.1
_TIME_FACTOR = 2.0
_DISK_FACTOR = 2.0
_MOST_TIME_FACTOR = 4.0
_RUNS_BELIEVED = 10.0
"""So many runs of its own, and what they needed counts as much as what retries came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """An option with what it is weighed by.

    weight: expected cost until success, money or share-hours, in the same unit for all options.
    eventual: chance that this attempt or one of those after it succeeds, as far as the weight
        counts them. learned_from: past retries and runs that speak for it.
    """

    option: Option
    weight: float
    eventual: float
    learned_from: int


def weighed(failure: Failure, needs: Needs) -> list[Weighed]:
    """Return every option for a failure, in the order in which they were thought of.

    needs: what runs of this task needed, for one that ran out of memory.
    """
    make: dict[FailureCause, Callable[[Failure], list[Weighed]]] = {
        FailureCause.OUT_OF_MEMORY: lambda failure: _of_memory(failure, needs),
        FailureCause.OUT_OF_GPU_MEMORY: _of_gpu_memory,
        FailureCause.DISK_FULL: _of_disk,
        FailureCause.TIMED_OUT: _of_time,
    }
    return make.get(failure.diagnosis.cause, _the_same)(failure)


def share_hours(failure: Failure, place: Place, configuration: Configuration) -> float:
    """Return the dominant share of a place that an attempt holds, times its hours."""
    planned = failure.planned
    memory = configuration.memory_gib
    disk = configuration.disk_gib
    held = Resources(
        cpu_cores=planned.cpu_cores,
        memory_gib=planned.memory_gib if memory is None else memory,
        gpu_count=planned.gpu_count,
        disk_gib=planned.disk_gib if disk is None else disk,
    )
    seconds = max(failure.seconds, _LEAST_SECONDS)
    parts = (Resource.CPU, Resource.MEMORY, Resource.GPU, Resource.DISK)
    shares = [held.of(r) / place.room.of(r) for r in parts if place.room.of(r) > 0]
    return min(max(shares, default=1.0), 1.0) * seconds / max(place.speed, 1e-9) / _HOUR


def _option(
    failure: Failure, place: Place, step: RemedyStep, changed: Configuration, *, slower: float = 1.0
) -> Weighed:
    """Return an option whose chance is what past retries say."""
    chance, count = _chance(failure, step)
    return _priced(
        failure,
        place,
        Option(
            step=step, configuration=changed, success=chance, cost_micro_dollars=MicroDollars(0)
        ),
        times=slower,
        eventual=chance,
        learned_from=count,
    )


def _chance(failure: Failure, step: RemedyStep) -> tuple[float, int]:
    cause = failure.diagnosis.cause
    earlier = [a.remedy.diagnosis.cause for a in failure.attempts[:-1] if a.remedy is not None]
    asked = Asked(
        pipeline=failure.pipeline,
        task=failure.task.name,
        kind=failure.task.kind,
        cause=cause,
        step=step,
        repeat=1 + earlier.count(cause),
        words=re.sub(_NUMBERS, "#", failure.diagnosis.words),
    )
    return success(asked, failure.retries)


def _priced(
    failure: Failure,
    place: Place,
    option: Option,
    *,
    times: float,
    eventual: float,
    learned_from: int,
) -> Weighed:
    """Return an option with its cost. times: attempts expected until success."""
    hours = share_hours(failure, place, option.configuration) * times
    priced = any(each.price_micro_dollars_per_hour > 0 for each in failure.places)
    cost = place.price_micro_dollars_per_hour * hours
    made = Option(
        step=option.step,
        configuration=option.configuration,
        success=option.success,
        cost_micro_dollars=MicroDollars(math.ceil(cost)),
    )
    return Weighed(
        option=made,
        weight=cost if priced else hours,
        eventual=eventual,
        learned_from=learned_from,
    )


def _of_memory(failure: Failure, needs: Needs) -> list[Weighed]:
    """Return more memory where it runs and beside, and a smaller batch where there is one."""
    failed = failure.attempts[-1].held.memory_gib
    size = size_of(failure.attributes).gib
    left = max(failure.retries_left, 1)
    found: list[Weighed] = []
    for place in failure.places:
        most = place.room.memory_gib
        if most <= failed * (1 + 1e-9):
            continue
        rung = needs.rung(size, failed, most=most, is_last=left <= 1)
        is_here = place == failure.places[0]
        step = RemedyStep.MORE_MEMORY if is_here else RemedyStep.OTHER_MACHINE
        past, count = _chance(failure, RemedyStep.MORE_MEMORY)
        known = len(needs) / (len(needs) + _RUNS_BELIEVED)
        chance = known * rung.success + (1.0 - known) * past
        changed = Configuration(memory_gib=rung.memory, cluster=place.cluster, pool=place.pool)
        option = Option(
            step=step, configuration=changed, success=chance, cost_micro_dollars=MicroDollars(0)
        )
        times = max(rung.expected / rung.memory, 1.0)
        eventual = 1.0 - (1.0 - chance) ** left
        learned = count + len(needs)
        found.append(
            _priced(failure, place, option, times=times, eventual=eventual, learned_from=learned)
        )
    return [*found, *_smaller_batch(failure)]


def _smaller_batch(failure: Failure) -> list[Weighed]:
    if failure.batch_size is None or failure.batch_size < 2:  # noqa: PLR2004
        return []
    changed = Configuration(
        memory_gib=failure.attempts[-1].held.memory_gib,
        batch_size=failure.batch_size // 2,
        cluster=failure.places[0].cluster,
        pool=failure.attempts[-1].pool,
    )
    step = RemedyStep.SMALLER_BATCH
    return [_option(failure, failure.places[0], step, changed, slower=_BATCH_SLOWER)]


def _of_gpu_memory(failure: Failure) -> list[Weighed]:
    """Return a smaller batch, and machines whose GPUs have more memory."""
    found = _smaller_batch(failure)
    here = failure.places[0].room.gpu_memory_gib
    for place in failure.places[1:]:
        if place.room.gpu_memory_gib > here:
            changed = Configuration(cluster=place.cluster, pool=place.pool)
            found.append(_option(failure, place, RemedyStep.OTHER_MACHINE, changed))
    return found


def _of_disk(failure: Failure) -> list[Weighed]:
    """Return more disk where it runs and beside, or the same once somebody cleared up."""
    held = max(failure.attempts[-1].held.disk_gib, failure.planned.disk_gib)
    found: list[Weighed] = []
    for place in failure.places:
        wanted = min(_DISK_FACTOR * max(held, 1.0), place.room.disk_gib)
        if wanted <= held:
            continue
        is_here = place == failure.places[0]
        step = RemedyStep.MORE_DISK if is_here else RemedyStep.OTHER_MACHINE
        changed = Configuration(disk_gib=wanted, cluster=place.cluster, pool=place.pool)
        found.append(_option(failure, place, step, changed))
    return found or _the_same(failure)


def _of_time(failure: Failure) -> list[Weighed]:
    """Return more time where it runs, and faster machines."""
    before = failure.attempts[-1].configuration
    factor = _TIME_FACTOR * (before.time_factor if before else 1.0)
    found: list[Weighed] = []
    for place in failure.places:
        is_here = place == failure.places[0]
        if not is_here and place.speed <= failure.places[0].speed:
            continue
        step = RemedyStep.MORE_TIME if is_here else RemedyStep.OTHER_MACHINE
        changed = Configuration(
            time_factor=min(factor, _MOST_TIME_FACTOR), cluster=place.cluster, pool=place.pool
        )
        found.append(_option(failure, place, step, changed, slower=factor))
    return found


def _the_same(failure: Failure) -> list[Weighed]:
    before = failure.attempts[-1].configuration or Configuration()
    return [_option(failure, failure.places[0], RemedyStep.SAME, before)]
