"""Trials as tasks: what a study learns from ends that only clusters have, by a played executor."""

from __future__ import annotations

import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason, Usage
from engine.model.errors import FinalError, RetryableError, UnreachableError
from engine.model.identifiers import AttemptId, ClusterName, PoolName
from engine.model.resources import Resources
from executors.local import FolderArtifacts
from executors.training.trials import visiting
from executors.training.trials.standing import Records
from executors.training.trials.study import Plan, Study
from executors.training.trials.tasks import Ground, TaskHost

GROUND = Ground(
    cluster=ClusterName("east"),
    pool=PoolName("nodes"),
    limits=Resources(cpu_cores=2.0, memory_gib=1.0),
)
EPOCH = f'{visiting.EPOCH}{{"epoch": 1, "values": {{"loss": 0.5}}}}'


class Cluster:
    """Plays an executor: attempts end as they are told to, in order, and then well."""

    def __init__(self, folder: Path, ends: Sequence[Observation] = ()) -> None:
        self.artifacts = FolderArtifacts(folder / "artifacts")
        self.orders: list[AttemptOrder] = []
        self.stopped: list[str] = []
        self.is_silent = False
        self._ends: Iterator[Observation] = iter(ends)
        self._seen: dict[str, Observation] = {}
        self._scratch = folder

    def start(self, order: AttemptOrder) -> None:
        if self.is_silent:
            raise UnreachableError("the cluster does not answer")
        if order.attempt_id in self._seen:
            return
        self.orders.append(order)
        end = next(self._ends, None)
        found = end if end is not None else self._well(order)
        self._seen[order.attempt_id] = replace(found, attempt_id=order.attempt_id)

    def _well(self, order: AttemptOrder) -> Observation:
        visit = order.parameters["visit"]
        assert isinstance(visit, dict)
        outputs = self._scratch / order.attempt_id
        (outputs / visiting.TRIAL).mkdir(parents=True)
        epochs = [
            {"event": "epoch", "epoch": e, "values": {"loss": 1.0 / e}}
            for e in range(1, visit["goal"] + 1)
        ]
        events = [*epochs, {"event": "ended", "code": 0, "cpu_seconds": 3.0}]
        (outputs / visiting.EVENTS).write_text("".join(json.dumps(e) + "\n" for e in events))
        return Observation(
            attempt_id=order.attempt_id,
            state=AttemptState.SUCCEEDED,
            artifact=self.artifacts.put(outputs),
        )

    def observe(self) -> Sequence[Observation]:
        return list(self._seen.values())

    def stop(self, attempt: AttemptId) -> None:
        self.stopped.append(attempt)


def end(reason: Reason, **more: object) -> Observation:
    state = AttemptState.FAILED
    found = Observation(attempt_id=AttemptId(""), state=state, reason=reason)
    return replace(found, started_at=10.0, ended_at=14.0, **more)


def searched(
    tmp_path: Path, cluster: Cluster, clock: Callable[[], float] = time.monotonic
) -> Records:
    """Run a study of one trial of one epoch; clock: of its host."""
    plan = Plan(objective="toy:fit", space=("x=0.0..1.0",), trials=1, epochs=1, eta=None)
    with Study(tmp_path / "study", plan, clock=time.monotonic) as study:
        return study.run(hosting=lambda: host(cluster, clock))


def host(cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> TaskHost:
    return TaskHost(cluster, cluster.artifacts, GROUND, name="s", objective="toy:fit", clock=clock)


NOT_OURS = tuple(
    f"{visiting.EPOCH}{said}" for said in ("{", "[1]", '{"epoch": "x", "values": {}}', "{}")
)
"""Lines that an objective wrote which look like ours."""


def test_a_node_that_is_lost_is_charged_and_uses_up_no_retry(tmp_path: Path) -> None:
    lost = end(Reason.NODE_LOST, last_lines=("noise", EPOCH, *NOT_OURS))
    (trial,) = searched(tmp_path, Cluster(tmp_path, [lost] * 4)).trials.values()
    assert (trial.kills, trial.losses, trial.out) == (0, 4, False)
    assert trial.epochs_run == 4 + 1, "those that went with the node are counted"
    assert trial.cpu_seconds == pytest.approx(4 * 4.0 * 2.0 + 3.0), "time times cores"


def test_losses_have_an_end(tmp_path: Path) -> None:
    (trial,) = searched(tmp_path, Cluster(tmp_path, [end(Reason.EVICTED)] * 99)).trials.values()
    assert trial.out
    assert trial.losses == 11


@pytest.mark.parametrize("reason", [Reason.OUT_OF_MEMORY, Reason.TIMED_OUT])
def test_what_would_end_alike_is_not_tried_again(tmp_path: Path, reason: Reason) -> None:
    usage = Usage(duration_seconds=4.0, cpu_seconds=1.5, memory_gib_peak=1.0, disk_gib=0.0)
    cluster = Cluster(tmp_path, [end(reason, usage=usage)])
    (trial,) = searched(tmp_path, cluster).trials.values()
    assert trial.out
    assert trial.reason == reason.value
    assert trial.cpu_seconds == 1.5
    assert len(cluster.orders) == 1


def test_an_objective_that_is_not_there_ends_the_search(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, [end(Reason.BAD_INPUT, last_lines=("no objective 'toy:fit'",))])
    with pytest.raises(FinalError, match="no objective"):
        searched(tmp_path, cluster)


@pytest.mark.parametrize("events", [None, "{", "[1]", "{}"])
def test_outputs_that_are_damaged_count_as_a_kill(tmp_path: Path, events: str | None) -> None:
    (tmp_path / "bad" / visiting.TRIAL).mkdir(parents=True)
    if events is not None:
        (tmp_path / "bad" / visiting.EVENTS).write_text(events)
    cluster = Cluster(tmp_path)
    digest = cluster.artifacts.put(tmp_path / "bad")
    bad = replace(end(Reason.COMPLETED), state=AttemptState.SUCCEEDED, artifact=digest)
    cluster = Cluster(tmp_path, [bad])
    (trial,) = searched(tmp_path, cluster).trials.values()
    assert (trial.kills, trial.out) == (1, False)


def test_a_search_that_is_run_again_takes_its_visits_over(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    cluster.is_silent = True
    with pytest.raises(RetryableError):
        searched(tmp_path, cluster, itertools.count(0.0, 500.0).__next__)
    cluster.is_silent = False
    (trial,) = searched(tmp_path, cluster).trials.values()
    assert (trial.attempts, trial.loss) == (1, 1.0)
    assert not cluster.stopped
    assert [order.attempt_id for order in cluster.orders] == ["s.trial-0.1"]


def test_a_visit_is_ended_on_request_and_with_its_host(tmp_path: Path) -> None:
    running = replace(end(Reason.NONE), state=AttemptState.RUNNING, ended_at=None)
    cluster = Cluster(tmp_path, [running])
    folder = tmp_path / "trials" / "0"
    folder.mkdir(parents=True)
    order = {"trial": 0, "attempt": 1, "goal": 1, "folder": str(folder), "epoch_seconds_max": 9.0}
    with host(cluster) as made:
        made.send(order)
        assert [event["event"] for event in made.take(0.0) or ()] == ["ready", "started"]
        made.send({"kill": 0})
    assert cluster.stopped == ["s.trial-0.1"] * 2


def test_a_visit_that_says_nothing_is_killed_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toy.py").write_text(
        "import time\ndef sleeps(trial):\n"
        "    for epoch in trial.epochs():\n        print('here')\n        time.sleep(600)\n"
    )
    for name in ("outputs", "inputs/trial", "work"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "inputs/trial/log.txt").write_text("before\n")
    (tmp_path / "inputs/trial/log.txt").chmod(0o444)
    visit = {"trial": 3, "attempt": 1, "parameters": {}, "seed": 0, "goal": 1}
    visit |= {"file_bytes_max": 1 << 20, "epoch_seconds_max": 0.5}
    (tmp_path / "parameters.json").write_text(json.dumps({"visit": visit}))
    environment = {
        "BERTH_OUTPUTS": str(tmp_path / "outputs"),
        "BERTH_INPUTS": str(tmp_path / "inputs"),
        "BERTH_PARAMETERS": str(tmp_path / "parameters.json"),
    }
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("PYTHONPATH", ":".join(sys.path))
    assert visiting.main([str(tmp_path / "toy.py"), "sleeps"], environment) == 0
    lines = (tmp_path / "outputs" / visiting.EVENTS).read_text().splitlines()
    last = json.loads(lines[-1])
    assert (last["code"], last["out"]) == (-9, True)
    assert last["reason"] == "no epoch ended within 0.5 s"
    assert (tmp_path / "outputs/trial/log.txt").read_text().startswith("before\n")
    shutil.rmtree(tmp_path / "outputs/trial")
    assert visiting.main([str(tmp_path / "toy.py"), "absent"], environment) == visiting.BAD_INPUT
