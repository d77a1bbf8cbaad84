"""Processor time and memory of reading every pod of a cluster into the engine's cache.

So many pods as the engine makes them stand on a real API server (only etcd and the API server
run). A process of its own then reads them once by the reflector's paged list, keeping only the
fields that are read; its processor time for that (imports not counted) and its largest memory
(everything counted) are the figures. Another process reads the same by the official client's
typed models, all in one answer as `kubectl` libraries do by default, for comparison.
"""

from __future__ import annotations

import argparse
import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from benchmarks import frame
from benchmarks.kubernetes import _world
from executors.kubernetes.api import Api, Document
from tests.support.clusters import fixtures

BAR_CPU_SECONDS = 1.3
BAR_MEMORY_MB = 150.0
WRITERS = 8

READER = """
import json, resource, sys
from pathlib import Path
from executors.kubernetes import access, jobs
from executors.kubernetes.api import Api
from executors.kubernetes.gate import Gate
from executors.kubernetes.reflector import Reflector

config, context, path = sys.argv[1:]
api = Api("east", access.connect(Path(config), context), Gate("east"))
cache = Reflector(api, path, jobs.keep_pod)
def used():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime
before = used()
cache.list_once()
print(json.dumps({
    "cpu": used() - before,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    "pods": len(cache.objects()),
}))
"""

TYPED = """
import json, resource, sys
from pathlib import Path
from kubernetes import client
from executors.kubernetes import access

config, context, path = sys.argv[1:]
namespace = path.split("/")[4]
api = client.CoreV1Api(access.connect(Path(config), context))
def used():
    now = resource.getrusage(resource.RUSAGE_SELF)
    return now.ru_utime + now.ru_stime
before = used()
found = api.list_namespaced_pod(namespace)
print(json.dumps({
    "cpu": used() - before,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    "pods": len(found.items),
}))
"""


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how many pods."""
    group.add_argument("--pods", type=int, default=10_000, help="pods on the server")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; most of the time goes into making the pods."""
    count = 1_000 if context.quick else int(context.options["pods"])
    with _world.control_plane(context, _world.SERVER_ONLY) as made:
        place = _world.place(made)
        _world.add_node(place.admin)
        engine = _world.Engine(context.scratch / "home", _world.settings(place, connections=4))
        job = engine.executor.manifests.job(_world.order())
        engine.close()
        make(place.admin, place.namespace, job, count)
        yield from figures(read(place, READER), count, read(place, TYPED))


def make(api: Api, namespace: str, job: Document, count: int) -> None:
    """Makes pods as the Job's controller would."""
    template: Document = job["spec"]["template"]
    path = f"/api/v1/namespaces/{namespace}/pods"

    def create(number: int) -> None:
        body = copy.deepcopy(template)
        body["metadata"]["name"] = f"pod-{number}"
        api.call("POST", path, body=body, seconds=60.0)

    with ThreadPoolExecutor(WRITERS) as workers:
        list(workers.map(create, range(count)))


def read(place: fixtures.Place, program: str) -> dict[str, float]:
    """Returns what a process needed that read all pods by a program."""
    path = f"/api/v1/namespaces/{place.namespace}/pods"
    result = subprocess.run(
        [sys.executable, "-c", program, str(place.kubeconfig), place.context, path],
        capture_output=True,
        text=True,
        check=False,
        cwd=frame.ROOT.parent,
    )
    if result.returncode:
        raise frame.BenchmarkError(result.stderr[-2_000:])
    found: dict[str, float] = json.loads(result.stdout)
    return found


def figures(found: dict[str, float], count: int, typed: dict[str, float]) -> Iterator[frame.Figure]:
    """Yields the figures; the bars are those of 10,000 pods, and hold for fewer all the more."""
    anchor = f"official typed client: {typed['cpu']:.1f} s, {typed['memory']:.0f} MB"
    yield frame.at_most(
        "processor time of one list", found["cpu"], BAR_CPU_SECONDS, unit="s", anchor=anchor
    )
    yield frame.at_most(
        "largest memory of the process", found["memory"], BAR_MEMORY_MB, unit="MB", anchor=anchor
    )
    yield frame.at_least("pods in the cache", found["pods"], count)
