"""G1: a full pool, more important tasks that want in, and answers of the cluster that are lost.

As many of the less important tasks give way as make enough room, their Jobs suspended. They go on
as the same attempts when the others have ended. See `faults.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from benchmarks import frame
from benchmarks.kubernetes import _faults, _world
from benchmarks.kubernetes._faults import Stage, ends_well, runs_on, sound, step_until
from benchmarks.kubernetes._objects import pods
from engine.model.dispatches import AttemptState
from engine.model.specs import Sla
from tests.support.clusters import process_kubelet, proxy

NODES = 4
ROOM = 2 * NODES
URGENT = 3
LOST = 4
"""Answers to the first writes that change a Job."""


def gives_way(stage: Stage) -> Iterator[frame.Figure]:
    """Yield what comes of it: who gave way, and that everybody ran once and to the end."""
    stage.node.script = runs_on
    with stage.engine(node_count=NODES) as engine:
        stage.submit(engine, ROOM)
        step_until(engine, lambda: len(pods(stage)) == ROOM and _running(engine) == ROOM)
        lost = itertools.count()
        stage.proxy.judge = lambda method, _: (
            proxy.Fault.DROP_REPLY if method == "PATCH" and next(lost) < LOST else proxy.Fault.NONE
        )
        asked = _world.pipeline(next(stage.numbers), URGENT)
        urgent = replace(asked, sla=Sla(weight=5.0))
        engine.submit(urgent)
        took = step_until(engine, lambda: _running(engine, urgent.name) == URGENT)
        gave = engine.count(AttemptState.SUSPENDED) + engine.count(AttemptState.SUSPENDING)
        yield frame.at_most("G1 giving way: time until the urgent tasks run", took, 60, unit="s")
        yield frame.at_most("G1 giving way: tasks that gave way", gave, URGENT)
        yield frame.at_least(
            "G1 giving way: urgent tasks that run", _running(engine, urgent.name), URGENT
        )
        stage.node.script = ends_well
        end = process_kubelet.ended(0, message=_faults.WORD)

        def over() -> bool:
            for pod in pods(stage):
                stage.node.play(pod, end)
            return _faults.done(engine, ROOM + URGENT)

        step_until(engine, over)
        yield from sound(stage, engine, "G1 giving way", ROOM + URGENT)


def _running(engine: _world.Engine, pipeline: str = "") -> int:
    """Return how many attempts run, of a pipeline or of all."""
    return sum(
        each.state is AttemptState.RUNNING and pipeline in {"", each.pipeline}
        for each in engine.attempts()
    )
