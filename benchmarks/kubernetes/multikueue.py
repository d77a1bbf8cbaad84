"""Whether work runs on the cluster that Berth names to MultiKueue, and what a lost worker costs.

One manager and two workers, each a real control plane with the controllers of upstream Kueue, which
are told that the dispatcher is an external one: Berth. Attempts are started for both workers in
turn, and the nodes of the workers count what was really run where. Then a worker's API server is
killed: for less than Kueue's patience, which must change nothing; and for more, upon which Kueue
takes the workload back (KEP-693), Berth ends the attempt as a failure of the cluster, the next one
runs on the other worker, and the copy is removed when the worker is back.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

from benchmarks import frame
from engine.model.dispatches import AttemptState, Observation, Reason
from engine.model.identifiers import AttemptId
from tests.support.clusters import building, multikueue, programs
from tests.support.local_cluster import LASTS, WRITES

PATIENCE_SECONDS = 20
_ANCHOR = "Kueue's own: all clusters at once, or three more every 5 minutes"


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds how many attempts."""
    group.add_argument("--attempts", type=int, default=20, help="attempts, on both workers in turn")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    began = time.perf_counter()
    try:
        trio = multikueue.Trio(context.scratch / "trio", worker_lost_seconds=PATIENCE_SECONDS)
    except (building.UnavailableError, TimeoutError) as error:
        raise frame.BenchmarkError(str(error)) from error
    try:
        trio.open(context.scratch / "home")
        yield frame.informs("three control planes stand", time.perf_counter() - began, unit="s")
        yield from planned(trio, 6 if context.quick else int(context.options["attempts"]))
        yield from lost(trio)
    finally:
        trio.close()


def planned(trio: multikueue.Trio, count: int) -> Iterator[frame.Figure]:
    """Yields where attempts ran, held against where they were planned."""
    wanted = {
        AttemptId(f"r-1.task-{number}.1"): multikueue.WORKERS[number % len(multikueue.WORKERS)]
        for number in range(count)
    }
    began = time.perf_counter()
    executor = trio.executor
    assert executor is not None
    for attempt, cluster in wanted.items():
        executor.start(trio.order(WRITES, attempt, cluster))
    seen = [trio.wait(each, is_over, 300.0) for each in wanted]
    seconds = time.perf_counter() - began
    well = sum(each.state is AttemptState.SUCCEEDED and bool(each.outputs) for each in seen)
    there = sum(trio.ran_on(attempt) == [cluster] for attempt, cluster in wanted.items())
    yield frame.at_least("attempts that succeeded with their outputs", well, count)
    yield frame.at_least("attempts that ran once, where Berth named", there, count, anchor=_ANCHOR)
    yield frame.informs("seconds an attempt, all at once", seconds / count, unit="s")


def lost(trio: multikueue.Trio) -> Iterator[frame.Figure]:
    """Yields what becomes of an attempt whose worker is lost."""
    executor = trio.executor
    assert executor is not None
    first, second = AttemptId("r-1.lost.1"), AttemptId("r-1.lost.2")
    executor.start(trio.order(LASTS, first, "west"))
    trio.wait(first, lambda each: each.started_at is not None)
    server = trio.planes["west"]
    server.kill_server()
    server.start(["kube-apiserver"])
    end = time.monotonic() + PATIENCE_SECONDS + 5
    kept = True
    while time.monotonic() < end:
        seen = trio.seen(first)
        kept &= seen is not None and not seen.state.is_terminal
        time.sleep(0.2)
    yield frame.at_least("briefly lost: the attempt goes on", kept, 1, anchor="KEP-693")
    server.kill_server()
    began = time.monotonic()
    ended = trio.wait(first, is_over, 300.0)
    seconds = time.monotonic() - began
    blamed = (ended.state, ended.reason) == (AttemptState.FAILED, Reason.NODE_LOST)
    yield frame.at_least("lost: the cluster is blamed, not the task", blamed, 1)
    # Kueue counts its time from when the worker took the Job, not from the loss.
    yield frame.informs("lost: given up after", seconds, unit="s")
    executor.start(trio.order(WRITES, second, "east"))
    after = trio.wait(second, is_over, 300.0)
    moved = after.state is AttemptState.SUCCEEDED and trio.ran_on(second) == ["east"]
    yield frame.at_least("lost: the next attempt ends well elsewhere", moved, 1)
    server.start(["kube-apiserver"])
    began = time.monotonic()
    programs.wait_until(lambda: first not in trio.jobs("west"), "the removal of the copy", 300.0)
    yield frame.informs("back: the copy is removed after", time.monotonic() - began, unit="s")
    runs = len(trio.ran_on(first))
    yield frame.at_most("back: starts of the lost attempt", runs, 1)


def is_over(seen: Observation) -> bool:
    """Whether an attempt has ended."""
    return seen.state.is_terminal
