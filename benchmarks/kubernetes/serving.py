"""Requests that fail while one model follows another on a real node, by each kind of rollout.

A control plane, kubelet and containerd of this machine run Berth's own image, built by Berth's
packager and pulled from a registry on the loopback. Two pods serve a model; requests go to their
own addresses, to those that the Service's EndpointSlices call ready. Model 2 follows 1 by a rolling
update, 3 follows 2 by a canary, 4 follows 3 blue and green, which is rolled back at once; then 2
comes back by a rolling update. Every answer is compared with what each model answers. In the end
the autoscaler's bounds are compared with the forecast of a quiet and of a busy hour.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import cast

from benchmarks import frame
from benchmarks.kubernetes._serving import Load, Tally, until
from benchmarks.packaging import _model
from engine.dispatching.bounds import HOUR_SECONDS, replica_bounds
from engine.model.dispatches import AttemptOrder, Observation
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    Digest,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.profiles import Profile, Quantiles
from engine.model.resources import Resource, Resources
from engine.model.specs import TaskKind
from executors.kubernetes import jobs
from executors.kubernetes.serving.rollout import Rules, Strategy
from executors.packaging import images
from tests.support.clusters import own_image, real_node

ATTEMPT = AttemptId("r-1.serve.1")
NAME = "iris"
REPLICAS = 2
KINDS = 3
"""Models whose numbers differ by so much answer alike."""
LIMIT_SECONDS = 240.0
_CANARY_SECONDS = 5.0
_KEEP_SECONDS = 600.0
_SETTLE_SECONDS = 8.0
"""After each rollout the pods of before still leave."""


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    why = real_node.unavailable()
    if why:
        raise frame.BenchmarkError(why)
    cluster = real_node.start(context.scratch / "real", own_image.SERVING)
    try:
        work = real_node.RealWorkplace(cluster, context.scratch / "home")
        try:
            yield from _Bench(work).run()
        finally:
            work.close()
    finally:
        real_node.stop(cluster)


class _Bench:
    """The rollouts, one after the other, under load."""

    def __init__(self, work: real_node.RealWorkplace) -> None:
        self.work = work
        self.packages = [self._package(number) for number in range(5)]
        self.name = jobs.name_of(work.place.namespace, ATTEMPT)

    def _package(self, number: int) -> Digest:
        """Keeps a model as a package; returns its artefact."""
        layout = self.work.home / f"package-{number}"
        images.write_image(layout, _model.files(number), labels={})
        return self.work.artifacts.put(layout)

    def run(self) -> Iterator[frame.Figure]:
        began = time.monotonic()
        self.work.executor.start(self._order())
        self._until(lambda seen: bool(seen.endpoint))
        yield frame.informs("order to first ready pod", time.monotonic() - began, unit="s")
        self._until(lambda _: self._replicas() == REPLICAS)
        load = self._load()
        load.start()
        try:
            yield from self._rollouts(load)
        finally:
            load.stop()
        yield from self._autoscaling()

    def _rollouts(self, load: Load) -> Iterator[frame.Figure]:
        total = 0
        steps = (
            ("rolling update", 2, Strategy.ROLLING),
            ("canary", 3, Strategy.CANARY),
            ("blue/green", 4, Strategy.BLUE_GREEN),
            ("rollback of blue/green", 3, Strategy.BLUE_GREEN),
            ("rollback by a rolling update", 2, Strategy.ROLLING),
        )
        before = 1
        for name, number, strategy in steps:
            tally = load.phase()
            seconds = self._swap(number, strategy)
            self._settle()
            total += tally.requests
            yield from self._figures(name, tally, seconds, {before % KINDS, number % KINDS})
            before = number
        yield frame.informs("requests in all", total)

    def _figures(
        self, name: str, tally: Tally, seconds: float, allowed: set[int]
    ) -> Iterator[frame.Figure]:
        print(f"{name}: {tally.requests:,} requests, {len(tally.failures)} failed, {seconds:.1f} s")
        for failure in tally.failures[:5]:
            print(f"{name}: {failure}")
        others = sum(count for number, count in tally.answers.items() if number not in allowed)
        yield frame.at_most(f"{name}: failed of {tally.requests:,}", len(tally.failures), 0)
        yield frame.at_most(f"{name}: answers of another model", others, 0)
        yield frame.informs(f"{name}: until it serves", seconds, unit="s")

    def _swap(self, number: int, strategy: Strategy) -> float:
        """Asks for a model until it serves; returns how long that took."""
        rules = Rules(
            strategy=strategy,
            canary_share=0.5,
            canary_seconds=_CANARY_SECONDS,
            keep_seconds=_KEEP_SECONDS,
            replicas_least=REPLICAS,
            replicas_most=REPLICAS,
        )
        began = time.monotonic()
        wanted = self.packages[number]
        servers = self.work.executor.servers
        self._until(lambda _: servers.swap(ATTEMPT, wanted, rules) == wanted)
        return time.monotonic() - began

    def _settle(self) -> None:
        """Goes on for a while, in which the pods of before leave."""
        end = time.monotonic() + _SETTLE_SECONDS
        self._until(lambda _: time.monotonic() > end)

    def _autoscaling(self) -> Iterator[frame.Figure]:
        """Brings the bounds to the forecast of two hours; compares what the cluster then has."""
        profile = _forecast()
        right = 0
        for hour in (2, 12):
            bounds = replica_bounds(profile, hour * HOUR_SECONDS)
            self.work.executor.servers.bound(ATTEMPT, bounds)
            self._until(lambda _, bounds=bounds: self._bounds() == bounds)  # type: ignore[misc]
            self._until(lambda _, least=bounds[0]: self._replicas() >= least)  # type: ignore[misc]
            print(f"forecast of hour {hour}: {bounds[0]} to {bounds[1]} pods")
            right += 1
        yield frame.at_least("autoscale bounds that follow the forecast", right, 2)

    def _bounds(self) -> tuple[int, int] | None:
        path = f"/apis/autoscaling/v2/namespaces/{self.work.place.namespace}"
        found = self.work.place.admin.call("GET", f"{path}/horizontalpodautoscalers")["items"]
        specs = [each["spec"] for each in found if each["metadata"]["name"] == self.name]
        return (specs[0]["minReplicas"], specs[0]["maxReplicas"]) if specs else None

    def _replicas(self) -> int:
        """Returns how many pods are ready."""
        path = f"/apis/apps/v1/namespaces/{self.work.place.namespace}/deployments"
        found = self.work.place.admin.call("GET", path)["items"]
        return sum(int(each.get("status", {}).get("readyReplicas", 0)) for each in found)

    def _until(self, holds: Callable[[Observation], bool]) -> None:
        until(self.work.executor, ATTEMPT, holds, limit_seconds=LIMIT_SECONDS)

    def _load(self) -> Load:
        rows: list[list[float]] = []
        expected: dict[int, list[int]] = {}
        for number in range(1, 5):
            example = _model.onnx(number)[1]
            rows = cast("list[list[float]]", example["rows"])
            expected[number % KINDS] = cast("list[int]", example["labels"])
        place = self.work.place
        return Load(place.admin, place.namespace, self.name, NAME, expected, rows)

    def _order(self) -> AttemptOrder:
        return AttemptOrder(
            attempt_id=ATTEMPT,
            run_id=RunId("r-1"),
            pipeline=PipelineName(NAME),
            task=TaskName("serve"),
            kind=TaskKind.SERVE,
            cluster=ClusterName("east"),
            pool=PoolName(real_node.POOL),
            command=(),
            folder="",
            inputs={TaskName("package"): self.packages[1]},
            parameters={"replicas": [REPLICAS, REPLICAS]},
            limits=Resources(cpu_cores=0.3, memory_gib=0.4),
        )


def _forecast() -> Profile:
    """Returns a forecast with a quiet night and a busy day, three processes at its peak."""
    quiet, busy = (
        Quantiles(p50=c, p80=c * 1.1, p90=c * 1.2, p95=c * 1.3, p99=c * 1.5) for c in (0.1, 0.4)
    )
    slots = tuple(busy if 8 <= hour < 20 else quiet for hour in range(24))
    return Profile(
        task=TaskName("serve"),
        kind=TaskKind.SERVE,
        duration_seconds=None,
        use={Resource.CPU: slots},
        slot_seconds=HOUR_SECONDS,
        replicas=3,
    )
