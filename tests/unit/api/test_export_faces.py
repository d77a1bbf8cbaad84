"""Trainings of a run go to MLflow by the command line, REST, and by an engine itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from api.cli import main
from api.rest import app as rest
from api.settings import Settings
from api.wiring import Application, build
from api.wiring.run_desk import RunDesk
from engine import documents
from engine.model.dispatches import (
    Attempt,
    AttemptState,
    Run,
    RunCause,
    RunState,
    TaskRun,
    TaskState,
)
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    PipelineName,
    PlanId,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.records import ATTEMPTS, RUNS, TASK_RUNS, Put
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.local import FolderArtifacts
from tests.support.faces import FLEET
from tests.support.tracking_server import Tracking, serving

RUN = Run(
    run_id=RunId("r-1"),
    pipeline=PipelineName("heart"),
    plan_id=PlanId("p-1"),
    cause=RunCause.SUBMITTED,
    state=RunState.SUCCEEDED,
    created_at=1.0,
)
ATTEMPT = Attempt(
    attempt_id=AttemptId("r-1.train.1"),
    run_id=RUN.run_id,
    pipeline=RUN.pipeline,
    task=TaskName("train"),
    number=1,
    executor="local",
    cluster=ClusterName("near"),
    pool=PoolName("small"),
    held=Resources(),
    state=AttemptState.SUCCEEDED,
    intended_at=1.0,
    ended_at=2.0,
    fence=1,
)


@pytest.fixture
def tracking() -> Iterator[Tracking]:
    with serving() as server:
        yield server


@pytest.fixture
def ran(tmp_path: Path, tracking: Tracking) -> Iterator[Application]:
    """An application that knows a run with one training, which is kept."""
    settings = Settings(home=tmp_path / "home", mlflow=tracking.url)
    application = Application(build(settings, fleet=documents.read_fleet(FLEET, name="fleet.yaml")))
    application.parts.ledger.commit("test", [Put(RUNS, RUN), Put(ATTEMPTS, ATTEMPT)])
    outputs = tmp_path / "home" / "attempts" / ATTEMPT.attempt_id / "outputs"
    outputs.mkdir(parents=True)
    (outputs / "experiment.json").write_text(json.dumps({"task": "train"}))
    (outputs / "outputs.json").write_text(json.dumps({"quality": 0.9}))
    yield application
    application.close()


def test_an_engine_exports_by_itself_once(ran: Application, tracking: Tracking) -> None:
    desk = RunDesk(ran.parts)
    assert desk.export_new()
    assert not desk.export_new()
    assert len(tracking.runs) == 1
    with TestClient(rest.create(ran)) as http:
        (found,) = http.post(f"/v1/runs/{RUN.run_id}/export").json()
    assert (found["task"], found["run"]) == ("train", "run0")


def test_a_damaged_training_keeps_no_other_from_being_exported(
    ran: Application, tracking: Tracking, caplog: pytest.LogCaptureFixture
) -> None:
    bad = replace(ATTEMPT, attempt_id=AttemptId("r-1.bad.1"), task=TaskName("bad"), intended_at=5.0)
    ran.parts.ledger.commit("test", [Put(ATTEMPTS, bad)])
    outputs = ran.parts.settings.home / "attempts" / bad.attempt_id / "outputs"
    outputs.mkdir(parents=True)
    (outputs / "experiment.json").write_text(json.dumps({"task": "bad"}))
    (outputs / "outputs.json").write_text("{")
    desk = RunDesk(ran.parts)
    assert desk.export_new()
    assert not desk.export_new()
    assert len(tracking.runs) == 1
    assert caplog.text.count("r-1.bad.1 is not exported") == 1


def test_a_run_is_exported_by_hand(
    ran: Application,
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = ran.parts.settings.home
    ran.close()
    monkeypatch.setenv("BERTH_HOME", str(home))
    for extra in (["--to", tracking.url], ["--to", "nowhere"], []):
        with pytest.raises(SystemExit) as ended:
            main.application()(["export", RUN.run_id, *extra], prog_name="berth")
        assert bool(ended.value.code) == (extra != ["--to", tracking.url])
    assert "run0" in capsys.readouterr().out


def test_trainings_of_a_cluster_are_read_from_what_came_back(
    ran: Application, tracking: Tracking, tmp_path: Path
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "experiment.json").write_text(json.dumps({"task": "far"}))
    (outputs / "outputs.json").write_text(json.dumps({"quality": 0.8}))
    artifacts = FolderArtifacts(ran.parts.settings.home / "artifacts")
    far = replace(ATTEMPT, attempt_id=AttemptId("r-1.far.1"), task=TaskName("far"))
    task = TaskRun(
        run_id=RUN.run_id,
        pipeline=RUN.pipeline,
        task=far.task,
        kind=TaskKind.TRAIN,
        state=TaskState.SUCCEEDED,
        attempt=1,
        artifact=artifacts.put(outputs),
    )
    bare = replace(far, attempt_id=AttemptId("r-1.bare.1"), task=TaskName("bare"))
    (outputs / "experiment.json").unlink()
    nothing = replace(task, task=bare.task, artifact=artifacts.put(outputs))
    lost = replace(far, attempt_id=AttemptId("r-1.lost.1"), task=TaskName("lost"))
    attempts = [Put(ATTEMPTS, each) for each in (far, bare, lost)]
    ran.parts.ledger.commit("test", [*attempts, Put(TASK_RUNS, task), Put(TASK_RUNS, nothing)])
    found = {each.task: each.metrics for each in ran.experiments(RUN.run_id)}
    assert found == {"train": {"quality": 0.9}, "far": {"quality": 0.8}}
    desk = RunDesk(ran.parts)
    assert desk.export_new()
    assert not desk.export_new()
    assert len(tracking.runs) == 2
