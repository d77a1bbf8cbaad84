"""The profile of a task: what it will need, by slot, with the evidence for it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

from engine.model.fleet import Fleet
from engine.model.profiles import (
    QUANTILE_LEVELS,
    Evidence,
    Profile,
    Quantiles,
    RunRecord,
    StorageKind,
)
from engine.model.resources import Resource
from engine.model.specs import PipelineSpec, Serving, TaskKind, TaskSpec, Wishes
from forecasting import evidence, machines, networks, runs, serving, workers
from forecasting.conformal import rising
from forecasting.estimation import Estimate, estimate
from forecasting.learning.learned import Oracle
from forecasting.methods import sized
from forecasting.methods.question import question
from forecasting.presets import Quantity, preset, size_of

Use = dict[Resource, Quantiles]

_SHORT_SLOT_SECONDS = 900.0
_SHORT_HORIZON_SECONDS = 24 * 3_600.0
_LONG_SLOT_SECONDS = 3_600.0
_MOST_LONG_SLOTS = 168
_HOURS = 24
_CLOCK_ERROR_CORES = 0.05
"""By which a busy thread may be measured above one core."""
_SMALL_GIB = 1.0
"""Data up to this size is best kept in memory while a task works on it."""

_QUANTITIES = {
    Resource.CPU: Quantity.CPU,
    Resource.MEMORY: Quantity.MEMORY,
    Resource.DISK: Quantity.DISK,
    Resource.NETWORK: Quantity.NETWORK,
}


class TaskForecaster:
    """Profiles tasks from their spec and past runs (the port `Forecaster`).

    A profile follows from its arguments and the learned models in force alone.

    Args:
        learned: Returns the models in force and what is wrong with their store, "" when nothing
            is; no models unless said.
    """

    def __init__(self, learned: Callable[[], tuple[Oracle | None, str]] | None = None) -> None:
        self._learned = learned or (lambda: (None, ""))

    def profile(
        self,
        pipeline: PipelineSpec,
        task: TaskSpec,
        fleet: Fleet,
        history: Sequence[RunRecord],
    ) -> Profile:
        """Return the profile of a task, from its spec and from past runs of any task.

        Of a training by several workers that of one, with what more of them would bring.
        """
        oracle, problem = self._learned()
        scaling = workers.scaling(pipeline, task, history)
        history = workers.alone(pipeline, task, history, scaling)
        succeeded = runs.gather(pipeline, task, history, failed=False)
        with_failed = runs.gather(pipeline, task, history, failed=True)
        estimates = {
            quantity: estimate(
                question(with_failed if quantity is Quantity.MEMORY else succeeded, quantity),
                oracle,
            )
            for quantity in (Quantity.DURATION, *_QUANTITIES.values())
        }
        use: Use = {
            resource: estimates[quantity].quantiles for resource, quantity in _QUANTITIES.items()
        }
        if task.kind is not TaskKind.SERVE:
            use[Resource.CPU] = _within_threads(use[Resource.CPU], succeeded)
        gpus, of_gpus = _gpus(task.wishes, succeeded, oracle)
        use |= gpus
        duration = _slowed(estimates[Quantity.DURATION].quantiles, use[Resource.CPU], task.wishes)
        stated = _stated(task.wishes)
        use |= stated
        leading = Quantity.CPU if task.kind is TaskKind.SERVE else Quantity.DURATION
        known = evidence.evidence(
            succeeded,
            {**estimates, **of_gpus},
            leading,
            tuple(stated),
            version=0 if oracle is None else oracle.number,
            problem=problem,
        )
        if task.kind is TaskKind.SERVE:
            return _serve_profile(task, fleet, use, known)
        made = _batch_profile(task, fleet, use, duration, known)
        held = made.peak(Resource.MEMORY, sized.HELD)
        tries = sized.retries(question(with_failed, Quantity.MEMORY), held)
        return dataclasses.replace(made, memory_retries_gib=tries, scaling=scaling)


def _batch_profile(
    task: TaskSpec, fleet: Fleet, use: Use, duration: Quantiles, known: Evidence
) -> Profile:
    """Return the profile of a task that ends."""
    models = _gpu_models(task, fleet, use)
    short = duration.p99 <= _SHORT_HORIZON_SECONDS
    slot_seconds = _SHORT_SLOT_SECONDS if short else _LONG_SLOT_SECONDS
    count = min(max(1, math.ceil(duration.p99 / slot_seconds)), _MOST_LONG_SLOTS)
    ended = [_share_ended(duration, slot * slot_seconds) for slot in range(count)]
    return Profile(
        task=task.name,
        kind=task.kind,
        duration_seconds=duration,
        use={
            resource: tuple(_while_running(needed, share) for share in ended)
            for resource, needed in use.items()
        },
        slot_seconds=slot_seconds,
        gpu_models=models,
        storage=_storage(task),
        machines=machines.machines_that_fit(fleet, _peaks(use), models, duration, 1),
        evidence=known,
    )


def _serve_profile(task: TaskSpec, fleet: Fleet, use: Use, known: Evidence) -> Profile:
    """Return the profile of a task that runs until it is replaced, by hour of day."""
    promise = task.serving or Serving()
    answers = serving.answering(promise, fleet, use[Resource.CPU])
    count = answers.replicas
    load = promise.load_by_hour or (1.0,)
    by_hour: dict[Resource, tuple[Quantiles, ...]] = {}
    for resource, needed in use.items():
        follows = resource in {Resource.CPU, Resource.NETWORK}
        wished = _stated(task.wishes).get(resource)
        whole = (
            needed if follows and wished is None else needed.times(float(_copies(resource, count)))
        )
        shares = load if follows and wished is None else (1.0,) * len(load)
        by_hour[resource] = tuple(whole.times(max(share, 0.0)) for share in shares)
    peaks = {r: max(slot.p95 for slot in slots) for r, slots in by_hour.items()}
    models = _gpu_models(task, fleet, use)
    return Profile(
        task=task.name,
        kind=task.kind,
        duration_seconds=None,
        use=by_hour,
        slot_seconds=_LONG_SLOT_SECONDS,
        gpu_models=models,
        storage=StorageKind.MEMORY,
        replicas=count,
        service_ms_p99=answers.milliseconds_p99
        if math.isfinite(answers.milliseconds_p99)
        else None,
        machines=machines.machines_that_fit(fleet, peaks, models, None, count),
        evidence=known,
    )


def _copies(resource: Resource, replicas: int) -> int:
    """Return how often a replica's need counts: GPU memory is stated per GPU."""
    return 1 if resource is Resource.GPU_MEMORY else replicas


def _share_ended(duration: Quantiles, seconds: float) -> float:
    """Return the probability that a run has ended after so many seconds."""
    if seconds <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if duration.at(middle) <= seconds else (low, middle)
    return low


def _while_running(needed: Quantiles, ended: float) -> Quantiles:
    """Return the quantiles of a need that is nothing with probability `ended`."""
    if ended <= 0:
        return needed
    return rising(
        [
            0.0 if level <= ended else needed.at((level - ended) / (1.0 - ended))
            for level in QUANTILE_LEVELS
        ]
    )


def _peaks(use: Use) -> dict[Resource, float]:
    """Return P95 of each need."""
    return {resource: needed.p95 for resource, needed in use.items()}


def _stated(wishes: Wishes) -> Use:
    """Return what a person insists on, as quantities that are known."""
    amounts = {
        Resource.CPU: wishes.cpu_cores,
        Resource.MEMORY: wishes.memory_gib,
        Resource.DISK: wishes.disk_gib,
        Resource.NETWORK: wishes.network_mbps,
        Resource.GPU: None if wishes.gpu_count is None else float(wishes.gpu_count),
        Resource.GPU_MEMORY: wishes.gpu_memory_gib,
    }
    return {r: Quantiles.constant(float(a)) for r, a in amounts.items() if a is not None}


def _within_threads(cpu: Quantiles, past: runs.Past) -> Quantiles:
    """Return cores that are no more than the task has threads.

    A task that never used more than a whole number of cores has so many threads; one that never
    ran has as many as its preset keeps busy.
    """
    used = [record.cpu_cores_mean for record in past.records] or [cpu.p50]
    threads = max(1, math.ceil(max(used) - _CLOCK_ERROR_CORES))
    return rising([min(value, float(threads)) for value in cpu.values])


def _slowed(duration: Quantiles, cpu: Quantiles, wishes: Wishes) -> Quantiles:
    """Return the duration with fewer cores than the task would keep busy; work is conserved."""
    if not wishes.cpu_cores or cpu.p50 <= wishes.cpu_cores:
        return duration
    return duration.times(cpu.p50 / wishes.cpu_cores)


def _gpus(
    wishes: Wishes, past: runs.Past, oracle: Oracle | None
) -> tuple[Use, dict[Quantity, Estimate]]:
    """Return GPUs and their memory when past runs used some or a person names a model."""
    used = [record for record in past.records if record.gpu_count > 0]
    wanted = wishes.gpu_model is not None or wishes.gpu_count or wishes.gpu_memory_gib
    if not wanted and 2 * len(used) <= len(past.records):
        return {}, {}
    count = max((record.gpu_count for record in used), default=1.0)
    use = {Resource.GPU: Quantiles.constant(count), Resource.GPU_MEMORY: Quantiles.constant(0.0)}
    if not used and preset(past.kind, past.attributes)[Quantity.GPU_MEMORY] <= 0:
        return use, {}
    # What a run without a GPU, or one whose network nobody stated, took says nothing of this one.
    stated = networks.is_stated(past.attributes)
    like = runs.only(
        past, lambda run: run.gpu_count > 0 and networks.is_stated(run.attributes) == stated
    )
    told = estimate(question(like, Quantity.GPU_MEMORY), oracle)
    use[Resource.GPU_MEMORY] = told.quantiles
    return use, {Quantity.GPU_MEMORY: told}


def _gpu_models(task: TaskSpec, fleet: Fleet, use: Mapping[Resource, Quantiles]) -> tuple[str, ...]:
    """Return GPU models that would do: the one asked for, else all with the memory."""
    if Resource.GPU not in use or use[Resource.GPU].p99 == 0:
        return ()
    if task.wishes.gpu_model is not None:
        return (task.wishes.gpu_model,)
    memory = use.get(Resource.GPU_MEMORY)
    return machines.gpu_models(fleet, 0.0 if memory is None else memory.p95)


def _storage(task: TaskSpec) -> StorageKind:
    """Return where the task's data should live while it runs."""
    place = (task.reads or task.writes or "").lower()
    scheme, separator, _ = place.partition("://")
    if separator and scheme != "file":
        databases = {"postgresql", "postgres", "mysql", "bigquery", "snowflake", "jdbc"}
        return StorageKind.WAREHOUSE if scheme in databases else StorageKind.OBJECT_STORE
    if place.startswith("warehouse."):
        return StorageKind.WAREHOUSE
    small = not place and size_of(task.attributes).gib <= _SMALL_GIB
    return StorageKind.MEMORY if small else StorageKind.LOCAL_DISK
