"""F5 to F8: the API server or the way to it fails for all requests; one function each.

See `faults.py`.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from unittest import mock

from benchmarks import frame
from benchmarks.kubernetes import _faults, _world
from benchmarks.kubernetes._faults import TASKS, Stage, done, sound, step_for, step_until
from engine.model.dispatches import AttemptState
from executors.kubernetes import reflector
from executors.kubernetes.clusters import ClusterLink
from executors.kubernetes.gate import LAST_SECONDS
from tests.support.clusters import fixtures, proxy

SMALL_PAGE = 4
GONE_ANSWERS = 4
RETRY_AFTER_SECONDS = 2.0
BESIDE = "west"
WAIT_SECONDS = 90.0


def link_of(engine: _world.Engine) -> ClusterLink:
    """Return the cluster that lies behind the proxy."""
    return engine.clusters.links()[_world.CLUSTER]


def agrees(stage: Stage, engine: _world.Engine) -> bool:
    """Whether the cache of Jobs is what the server lists now."""
    jobs = link_of(engine).jobs
    fresh, _ = _faults.on_server(stage.place, engine)
    return jobs is not None and {each["attempt"] for each in jobs.objects()} == fresh


def delete_one(stage: Stage, engine: _world.Engine) -> None:
    """Delete a Job of the engine's as somebody else would."""
    jobs = link_of(engine).jobs
    assert jobs is not None
    path = f"/apis/batch/v1/namespaces/{stage.place.namespace}/jobs/{jobs.objects()[0]['name']}"
    stage.place.admin.call("DELETE", path, body={"propagationPolicy": "Background"})


def too_old(stage: Stage) -> Iterator[frame.Figure]:
    """F5: the server is killed, a Job goes meanwhile, and watches and pages are too old."""
    with mock.patch.object(reflector, "PAGE", SMALL_PAGE), stage.engine() as engine:
        stage.submit(engine)
        step_until(engine, lambda: done(engine))
        jobs = link_of(engine).jobs
        assert jobs is not None
        lists = jobs.lists
        stage.proxy.judge = lambda *_: proxy.Fault.CUT
        stage.place.plane.kill_server()
        stage.proxy.cut_all()
        stage.place.plane.start()
        delete_one(stage, engine)
        watches, pages = itertools.count(), itertools.count()

        def judge(_method: str, path: str) -> proxy.Fault | int:
            if "watch=1" in path and next(watches) < GONE_ANSWERS:
                return 410
            if "continue=" in path and next(pages) < GONE_ANSWERS:
                return 410
            return proxy.Fault.NONE

        stage.proxy.judge = judge
        took = step_until(engine, lambda: agrees(stage, engine), WAIT_SECONDS)
        told = min(next(watches), GONE_ANSWERS), min(next(pages), GONE_ANSWERS)
        yield frame.at_most("F5 too old: time until the cache is true", took, 60, unit="s")
        yield frame.informs("F5 too old: answers of 410 to watches", told[0])
        yield frame.informs("F5 too old: answers of 410 to pages", told[1])
        yield frame.at_least("F5 too old: lists read anew", jobs.lists - lists, 1)
        stale = float(not agrees(stage, engine))
        yield frame.at_most("F5 too old: stale objects", stale, 0)


def patience(stage: Stage) -> Iterator[frame.Figure]:
    """F6: every request to one of two clusters is refused for a time, with `Retry-After`."""
    beside = _world.place(stage.place.plane)
    with stage.engine(beside={BESIDE: beside}) as engine:
        before = _beside(stage, engine)
        stage.proxy.seen.clear()
        stage.proxy.retry_after = f"{RETRY_AFTER_SECONDS:g}"
        statuses = itertools.cycle((429, 500, 503))
        stage.proxy.judge = lambda *_: next(statuses)
        began = time.monotonic()
        meanwhile = _beside(stage, engine)
        step_for(engine, min(300.0, max(stage.outage, 10.0)) - meanwhile)
        times = [each.at for each in list(stage.proxy.seen) if each.at >= began]
        stage.proxy.judge, stage.proxy.retry_after = proxy.calm, ""
        # The requests of one moment leave together, before the first answer.
        rounds = [b - a for a, b in itertools.pairwise(times) if b - a > 0.5]
        took = step_until(engine, lambda: done(engine, 4 * TASKS))
        least, most = min(rounds, default=99.0), max(rounds, default=0.0)
        yield frame.at_least("F6 patience: shortest pause", least, RETRY_AFTER_SECONDS, unit="s")
        yield frame.at_most("F6 patience: longest pause", most, 30, unit="s")
        yield frame.at_most("F6 patience: time to converge afterwards", took, 40, unit="s")
        yield frame.informs("F6 patience: the other cluster's tasks before", before, unit="s")
        limit = 1.5 * before + 1.0
        yield frame.at_most("F6 patience: they take meanwhile", meanwhile, limit, unit="s")
        yield from sound(stage, engine, "F6 patience", 4 * TASKS)


def _beside(stage: Stage, engine: _world.Engine) -> float:
    """Submit tasks for both clusters; return the seconds until those of the other are done."""
    stage.submit(engine, 2 * TASKS)
    others = {each.attempt_id for each in engine.attempts() if each.cluster == BESIDE}

    def over() -> bool:
        found = [
            each
            for each in engine.attempts()
            if each.cluster == BESIDE and each.attempt_id not in others
        ]
        return sum(each.state is AttemptState.SUCCEEDED for each in found) == TASKS

    return step_until(engine, over)


def outage(stage: Stage) -> Iterator[frame.Figure]:
    """F7: the API server is gone for a while, with half of the work started."""
    stage.node.script = _faults.runs_on
    with stage.engine() as engine:
        stage.submit(engine)
        step_until(engine, lambda: engine.count(AttemptState.RUNNING) == TASKS)
        stage.place.plane.kill_server()
        stage.proxy.seen.clear()
        step_for(engine, stage.outage / 2)
        stage.submit(engine)
        step_for(engine, stage.outage / 2)
        asked = len(stage.proxy.seen) / stage.outage
        failed = sum(each.state.is_terminal for each in engine.attempts())
        stage.node.script = _faults.ends_well
        stage.place.plane.start()
        # The administrator's own requests are not to wait for what failed meanwhile.
        own = fixtures.api_of(stage.place.plane.kubeconfig, stage.place.context)
        stage.place.admin.gate.succeeded()

        def caught_up() -> bool:
            return engine.count(AttemptState.RUNNING) + engine.count(
                AttemptState.SUCCEEDED
            ) == 2 * TASKS and agrees(stage, engine)

        took = step_until(engine, caught_up)
        more = step_until(engine, lambda: done(engine))
        jobs = own.call("GET", f"/apis/batch/v1/namespaces/{stage.place.namespace}/jobs")["items"]
        yield frame.at_most("F7 outage: tasks that failed of it", failed, 0)
        yield frame.at_most("F7 outage: requests a second meanwhile", asked, 1)
        yield frame.at_most("F7 outage: time until all waits are started", took, 30, unit="s")
        yield frame.informs(
            "F7 outage: until they are done, controllers included", took + more, unit="s"
        )
        yield frame.at_least("F7 outage: Jobs on the server", len(jobs), 2 * TASKS)
        known = len(engine.attempts()) - 2 * TASKS
        yield frame.at_most("F7 outage: attempts beyond one a task", known, 0)


def silence(stage: Stage) -> Iterator[frame.Figure]:
    """F8: every connection stays open and says nothing, and a Job goes meanwhile."""
    inactivity = 8.0 if stage.outage < LAST_SECONDS else reflector.INACTIVITY_SECONDS
    beside = _world.place(stage.place.plane)
    with stage.engine(inactivity, beside={BESIDE: beside}) as engine:
        before = _beside(stage, engine)
        step_until(engine, lambda: done(engine, 2 * TASKS))
        stage.proxy.hanging = True
        delete_one(stage, engine)

        def watched() -> int:
            found = [each.path for each in list(stage.proxy.seen) if "watch=1" in each.path]
            return sum("/jobs" in each for each in found)

        watches = watched()
        took = step_until(engine, lambda: watched() > watches, WAIT_SECONDS)
        meanwhile = _beside(stage, engine)
        stage.proxy.hanging = False
        back = step_until(engine, lambda: agrees(stage, engine), WAIT_SECONDS)
        name = f"F8 silence: time until the watch of Jobs is opened anew ({inactivity:g} s)"
        yield frame.at_most(name, took, inactivity + 10.0, unit="s")
        yield frame.at_most("F8 silence: time until the cache is true", back, 60, unit="s")
        yield frame.informs("F8 silence: the other cluster's tasks before", before, unit="s")
        limit = 1.5 * before + 5.0
        yield frame.at_most("F8 silence: they take meanwhile", meanwhile, limit, unit="s")
