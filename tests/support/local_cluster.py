"""One local cluster in a folder, with orders whose commands are small Python programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.model.dispatches import AttemptOrder, Observation
from engine.model.identifiers import (
    ClusterName,
    Digest,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
    attempt_id,
)
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from engine.testing import samples
from executors.local import ClusterSwitch, FileFleetSource, FolderArtifacts, LocalExecutor

LIMIT_SECONDS = 300.0
RUN = RunId("r-1")
OUTPUTS = "import os, json; from pathlib import Path; out = Path(os.environ['BERTH_OUTPUTS']); "
WRITES = OUTPUTS + "(out / 'outputs.json').write_text(json.dumps({'rows': 3})); "
LASTS = "import time; time.sleep(600)"


class LocalCluster:
    """A data folder with one cluster, `here`, whose grace period is short."""

    def __init__(self, home: Path, *, gpu_count: int = 0) -> None:
        self.home = home
        self.switch = ClusterSwitch(home)
        fleet = samples.fleet("here", grace_seconds=1.0, gpu_count=gpu_count)
        self.source = FileFleetSource(fleet, self.switch)
        self.artifacts = FolderArtifacts(home / "artifacts")
        self.executor = self.reopened()

    def reopened(self) -> LocalExecutor:
        """Return the executor of the next engine."""
        return LocalExecutor(self.home, self.source, self.artifacts, SystemClock())

    def order(
        self,
        program: str,
        name: str = "task",
        *,
        inputs: Mapping[str, Digest] | None = None,
        limits: Resources | None = None,
        time_limit_seconds: float | None = None,
    ) -> AttemptOrder:
        """Return an order to run a Python program; an empty one runs the built-in etl."""
        return AttemptOrder(
            attempt_id=attempt_id(RUN, TaskName(name), 1),
            run_id=RUN,
            pipeline=PipelineName("heart"),
            task=TaskName(name),
            kind=TaskKind.ETL,
            cluster=ClusterName("here"),
            pool=PoolName("nodes"),
            command=(sys.executable, "-c", program) if program else (),
            folder=str(self.home),
            inputs={TaskName(key): value for key, value in (inputs or {}).items()},
            parameters={"answer": 42},
            limits=limits or Resources(cpu_cores=1.0, memory_gib=1.0),
            time_limit_seconds=time_limit_seconds,
        )

    def folder(self, name: str = "task") -> Path:
        """Return the folder of an attempt."""
        return self.home / "attempts" / f"{RUN}.{name}.1"

    def seen(self, name: str = "task") -> Observation:
        """Return what is seen of an attempt."""
        wanted = f"{RUN}.{name}.1"
        return next(each for each in self.executor.observe() if each.attempt_id == wanted)

    def ended(self, name: str = "task") -> Observation:
        """Return the last observation of an attempt."""
        return self.until(lambda seen: seen.state.is_terminal, name)

    def run(self, order: AttemptOrder) -> Observation:
        """Start an attempt and return its last observation."""
        self.executor.start(order)
        return self.ended(order.task)

    def until(self, holds: Callable[[Observation], bool], name: str = "task") -> Observation:
        """Return the first observation of which something holds."""
        found: list[Observation] = []

        def look() -> bool:
            found.append(self.seen(name))
            return holds(found[-1])

        wait_for(look)
        return found[-1]

    def starts(self, name: str = "task") -> int:
        """Return how often an attempt's command was really started."""
        path = self.home / "started.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return sum(line.split()[0] == f"{RUN}.{name}.1" for line in lines)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return when something holds; fails after a generous limit."""
    end = time.monotonic() + LIMIT_SECONDS
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("what was waited for did not come")
