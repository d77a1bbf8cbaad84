"""How fresh the view of a large fleet is, and what it costs a running engine to keep it.

An engine is started as its users start it, on a kubeconfig of so many clusters. The clusters are
served: one process beside the engine answers lists and watches of their nodes, and of the pods that
others run there, from memory. When the whole fleet is seen, nobody asks anything for a while, and
the engine's processor time is that of idleness. Then nodes are cordoned and given back, one at a
time, and the time until `/v1/fleet` says so is the figure; it is asked ten times a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from benchmarks import frame
from executors.kubernetes import access
from executors.kubernetes.api import Api
from executors.kubernetes.gate import Gate
from tests.support.clusters import served

BAR_SECONDS = 5.0
BAR_MEMORY_MB = 1_000.0
BAR_IDLE_PERCENT = 10.0
START_SECONDS = 180.0
CHANGE_SECONDS = 30.0
STOP_SECONDS = 20.0
SETTLE_SECONDS = 10.0
POLL_SECONDS = 0.1


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how large the fleet is, and how much is tried."""
    group.add_argument("--clusters", type=int, default=50, help="clusters served")
    group.add_argument("--nodes", type=int, default=5_000, help="nodes of all clusters together")
    group.add_argument("--pods", type=int, default=4, help="pods of others on each node")
    group.add_argument("--changes", type=int, default=20, help="changes of nodes that are timed")
    group.add_argument("--idle", type=float, default=60.0, help="seconds of idleness measured")
    group.add_argument("--seed", type=int, default=1, help="of which nodes change")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    options = context.options
    clusters, count = int(options["clusters"]), int(options["nodes"])
    idle, changes = float(options["idle"]), int(options["changes"])
    if context.quick:
        idle, changes = 10.0, 5
    each = count // clusters
    server = served.start(context.scratch / "served", clusters, each, int(options["pods"]))
    try:
        kubeconfig = context.scratch / "served" / "kubeconfig"
        with engine(context.scratch / "home", kubeconfig) as (process, url):
            began = time.monotonic()
            count = each * clusters
            until(lambda: seen(url) == count, f"a view of all {count} nodes", START_SECONDS)
            yield frame.informs("time until every node is seen", time.monotonic() - began, unit="s")
            yield from idleness(process.pid, idle)
            yield from freshness(url, kubeconfig, (clusters, each), changes, int(options["seed"]))
            memory = status_mb(process.pid, "VmHWM")
            yield frame.at_most("largest memory of the engine", memory, BAR_MEMORY_MB, unit="MB")
    finally:
        server.stop()


@contextlib.contextmanager
def engine(home: Path, kubeconfig: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Starts an engine on these clusters; yields its process and address."""
    home.mkdir()
    text = f'kubeconfig = "{kubeconfig}"\nlisten = "127.0.0.1:0"\n'
    (home / "kubernetes.toml").write_text(text, encoding="utf-8")
    kept = {key: value for key, value in os.environ.items() if not key.startswith("BERTH_")}
    with (home.parent / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "berth", "start", "--home", str(home), "--port", "0"],
            cwd=frame.ROOT.parent,
            env=kept,
            stdout=log,
            stderr=log,
        )
    try:
        address = home / "engine.json"
        until(lambda: process.poll() is not None or address.exists(), "the engine", START_SECONDS)
        yield process, json.loads(address.read_text("utf-8"))["url"]
    except (frame.BenchmarkError, OSError) as error:
        last = (home.parent / "engine.log").read_text("utf-8")[-2_000:]
        raise frame.BenchmarkError(f"{error}; the engine's log ends with:\n{last}") from error
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_SECONDS)


def until(condition: Callable[[], bool], what: str, seconds: float) -> float:
    """Returns how long it took until something held.

    Raises:
        BenchmarkError: when it does not come true in so many seconds.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise frame.BenchmarkError(f"{what} did not come within {seconds:g} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


def seen(url: str, cluster: str = "") -> int:
    """Returns how many nodes the engine says there are, of a cluster or of all that answer."""
    try:
        fleet = httpx.get(f"{url}/v1/fleet", timeout=10.0).json()
    except httpx.TransportError:
        return -1
    return sum(
        pool["node_count"]
        for each in fleet["clusters"]
        if each["reachable"] and cluster in {"", each["name"]}
        for pool in each["pools"]
    )


def idleness(pid: int, seconds: float) -> Iterator[frame.Figure]:
    """Yields what the engine costs while nobody asks and nothing happens."""
    time.sleep(SETTLE_SECONDS)
    before, began = cpu_seconds(pid), time.monotonic()
    time.sleep(seconds)
    share = 100.0 * (cpu_seconds(pid) - before) / (time.monotonic() - began)
    yield frame.at_most("processor of the idle engine", share, BAR_IDLE_PERCENT, unit="% of a core")


def freshness(
    url: str, kubeconfig: Path, sizes: tuple[int, int], changes: int, seed: int
) -> Iterator[frame.Figure]:
    """Yields how long changes of nodes take to be seen; sizes: clusters, and nodes of each."""
    clusters, count = sizes
    chance = random.Random(seed)
    took = []
    for _ in range(changes):
        name = f"c-{chance.randrange(clusters)}"
        api = Api(name, access.connect(kubeconfig, name), Gate(name))
        node = chance.choice(api.call("GET", served.NODES)["items"])
        path = f"{served.NODES}/{node['metadata']['name']}"
        for cordoned in (True, False):
            node["spec"]["unschedulable"] = cordoned
            api.call("PUT", path, body=node)
            wanted, what = count - cordoned, f"a change of {node['metadata']['name']}"
            took.append(until(lambda: seen(url, name) == wanted, what, CHANGE_SECONDS))  # noqa: B023
    took.sort()
    yield frame.informs("median time until a change is seen", took[len(took) // 2], unit="s")
    yield frame.at_most("longest time until a change is seen", took[-1], BAR_SECONDS, unit="s")


def cpu_seconds(pid: int) -> float:
    """Returns the processor time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def status_mb(pid: int, key: str) -> float:
    """Returns a figure of `/proc/PID/status` in MB."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    found = next(each for each in lines if each.startswith(f"{key}:"))
    return int(found.split()[1]) * 1024 / 1e6
