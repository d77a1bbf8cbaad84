"""Jobs a second that the engine starts on a real API server, against bare creates of the same Jobs.

Runs of ten tasks are submitted; then the dispatch loop runs until every attempt is stored as
started. Each attempt has its intent committed before the request and its outcome after it, in
SQLite with full durability. Before and after it, as many bare creates of the same Job by as many
connections are timed in the same process, and the mean of both is the yardstick. Only etcd and the
API server run: what controllers do with the Jobs is not measured.
"""

from __future__ import annotations

import argparse
import copy
import resource
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from api.wiring import garbage
from benchmarks import frame
from benchmarks.kubernetes import _world
from engine.model.dispatches import AttemptState
from engine.model.errors import BerthError
from executors.kubernetes.api import Api, Document

TASKS = 10
BAR_PER_SECOND = 300.0
BAR_SHARE = 0.70
LIMIT_SECONDS = 600.0


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how many Jobs, over how many connections."""
    group.add_argument("--jobs", type=int, default=2000, help="jobs to start")
    group.add_argument("--connections", type=int, default=4, help="requests at a time")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    count = 200 if context.quick else int(context.options["jobs"])
    connections = int(context.options["connections"])
    with _world.control_plane(context, _world.SERVER_ONLY) as made:
        place = _world.place(made)
        _world.add_node(place.admin)
        given = _world.settings(place, connections=connections)
        engine = _world.Engine(context.scratch / "home", given)
        try:
            yield from figures(engine, place.namespace, count, connections)
        finally:
            engine.close()


def figures(
    engine: _world.Engine, namespace: str, count: int, connections: int
) -> Iterator[frame.Figure]:
    """Yields what the engine reaches, between two measurements of bare creates."""
    began = time.perf_counter()
    for number in range(count // TASKS):
        engine.submit(_world.pipeline(number, TASKS))
    yield frame.informs("runs submitted a second", count / TASKS / (time.perf_counter() - began))
    garbage.spare_what_stays()  # as an engine does when it starts
    api = engine.clusters.links()[_world.CLUSTER].api
    assert api is not None
    job = engine.executor.manifests.job(_world.order())
    before = bare(api, namespace, job, "before", count // 2, connections)
    used = cpu_seconds()
    began = time.perf_counter()
    # Counting reads every attempt, which is no work of the engine: only where it paused.
    while time.perf_counter() - began < LIMIT_SECONDS:
        if not engine.dispatcher.step() and engine.count(AttemptState.RUNNING) >= count:
            break
    seconds = time.perf_counter() - began
    used = cpu_seconds() - used
    after = bare(api, namespace, job, "after", count // 2, connections)
    started = engine.count(AttemptState.RUNNING)
    bare_rate = (before + after) / 2
    bar = min(BAR_PER_SECOND, BAR_SHARE * bare_rate)
    anchor = "Armada 100/s, Kueue 42.7/s"
    yield frame.at_least("jobs started a second", started / seconds, bar, anchor=anchor)
    yield frame.informs("share of bare creates", started / seconds / bare_rate)
    yield frame.informs("bare creates a second, before", before)
    yield frame.informs("bare creates a second, after", after)
    yield frame.informs("processor time of the engine a job", 1000 * used / started, unit="ms")
    yield frame.at_least("jobs that are on the server", on_server(api, namespace), count)


def bare(api: Api, namespace: str, job: Document, name: str, count: int, connections: int) -> float:
    """Returns bare creates a second by so many connections."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"

    def create(number: int) -> None:
        body = copy.deepcopy(job)
        body["metadata"]["name"] = f"bare-{name}-{number}"
        api.call("POST", path, body=body)

    with ThreadPoolExecutor(connections) as workers:
        list(workers.map(create, range(connections)))  # connections are made
        began = time.perf_counter()
        list(workers.map(create, range(connections, connections + count)))
        return count / (time.perf_counter() - began)


def on_server(api: Api, namespace: str) -> int:
    """Returns how many Jobs of the engine are on the server."""
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    try:
        found = api.call("GET", path, query={"resourceVersion": "0"}, seconds=120.0)["items"]
    except BerthError as error:
        raise frame.BenchmarkError(error.message) from error
    return sum(not each["metadata"]["name"].startswith("bare-") for each in found)


def cpu_seconds() -> float:
    """Returns the processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
