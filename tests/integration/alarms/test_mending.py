"""A real engine stops, retries and rolls back by itself, and trains nothing again for that."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.client import Client
from engine.model.alarms import Action, CauseKind, SuperAlarm
from engine.model.errors import UnreachableError
from tests.support.faces import FLEET, until

pytestmark = [pytest.mark.network, pytest.mark.slow]

PROGRAMS = Path(__file__).parents[2] / "support" / "programs"
RETRAIN = {"when": ["drift"], "cool down": "1 s"}
"""All of them ask to be trained again by drift, and none of them is."""
PATIENCE_SECONDS = 300.0


@dataclass
class Engine:
    process: subprocess.Popen[str]
    client: Client

    def actions(self) -> list[Action]:
        return list(self.client.engine.actions(100))

    def done(self, kind: str) -> Callable[[], Action | None]:
        def look() -> Action | None:
            states = ("done", "failed")
            found = [a for a in self.actions() if a.kind.value == kind and a.state.value in states]
            return found[0] if found else None

        return look

    def super_alarm(self, action: Action) -> SuperAlarm:
        return self.client.engine.super_alarm(action.super_alarm_id)

    def run_is(self, pipeline: str, state: str) -> Callable[[], bool]:
        return lambda: self.client.status(pipeline)[0].run.state.value == state

    def trained_again(self) -> list[Action]:
        return [action for action in self.actions() if action.kind.value == "retrain"]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    home = tmp_path / "home"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BERTH_")}
    arguments = ("--home", str(home), "--port", "0", "--clock-factor", "100")
    process = subprocess.Popen(
        [sys.executable, "-m", "berth", "start", *arguments],
        cwd=tmp_path,
        env={**kept, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def connected() -> Client | None:
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        try:
            client = Client(home=home)
            client.engine.health()
        except UnreachableError:
            return None
        return client

    try:
        with until(connected, 300) as client:
            yield Engine(process, client)
            for cluster in client.engine.fleet().clusters:
                client.engine.switch_cluster(cluster.name, up=False)
    finally:
        process.terminate()
        process.communicate(timeout=180)


def task(program: str, kind: str, *arguments: str, **more: object) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments]
    return {"kind": kind, "command": command, **more}


def test_a_training_that_loses_precision_is_stopped(engine: Engine) -> None:
    spec = {
        "pipeline": "net",
        "retrain": RETRAIN,
        "tasks": {"train": task("falling_training", "train")},
    }
    engine.client.plan(spec).apply()
    action = until(engine.done("stop"), PATIENCE_SECONDS)
    assert action.result == "stopped train of run r-1"
    assert all(guard.allows for guard in action.guards)
    cause = engine.super_alarm(action).likely
    assert cause is not None
    assert (cause.kind, cause.subject) == (CauseKind.CONFIGURATION, "task:net/train")
    until(engine.run_is("net", "failed"), PATIENCE_SECONDS)
    assert "stopped because of" in engine.client.status("net")[0].run.reason
    assert not engine.trained_again()


def test_a_failed_run_is_retried_with_what_the_last_good_one_had(engine: Engine) -> None:
    def spec(rate: float) -> dict[str, Any]:
        train = task("picky_training", "train", parameters={"learning_rate": rate})
        return {"pipeline": "picky", "retrain": RETRAIN, "tasks": {"train": train}}

    engine.client.plan(spec(0.1)).apply()
    until(engine.run_is("picky", "succeeded"), PATIENCE_SECONDS)
    engine.client.plan(spec(10.0)).apply()
    action = until(engine.done("retry"), PATIENCE_SECONDS)
    assert (action.run_id, dict(action.parameters)) == ("r-2", {"train.learning_rate": 0.1})
    cause = engine.super_alarm(action).likely
    assert cause is not None
    assert cause.kind is CauseKind.CONFIGURATION
    assert "train.learning_rate 0.1 → 10" in cause.title
    until(engine.run_is("picky", "succeeded"), PATIENCE_SECONDS)
    assert len(engine.client.status("picky")) == 2
    checked = [one for one in engine.super_alarm(action).checks if "learning_rate" in one.message]
    assert [one.verdict.value for one in checked] == ["confirms"]
    assert not engine.trained_again()


def test_a_deployment_that_broke_what_serves_is_rolled_back(engine: Engine, tmp_path: Path) -> None:
    first, second = (f"sha256:{hashlib.sha256(run.encode()).hexdigest()}" for run in ("r-1", "r-2"))
    broken = tmp_path / "broken"
    spec = {
        "pipeline": "shop",
        "retrain": RETRAIN,
        "tasks": {
            "package": task("packaging", "package"),
            "serve": task("serving", "serve", str(broken), after="package"),
        },
    }
    engine.client.plan(spec).apply()
    until(engine.run_is("shop", "succeeded"), PATIENCE_SECONDS)

    def windows() -> bool:
        series = "model:shop|errors_share"
        return len(engine.client.engine.signals(series, 0.0)) >= 40

    until(windows, PATIENCE_SECONDS)
    broken.write_text(second)
    engine.client.plan(spec).apply()
    action = until(engine.done("roll back"), PATIENCE_SECONDS)
    assert action.result == "the model of run r-1 serves again"
    cause = engine.super_alarm(action).likely
    assert cause is not None
    assert cause.kind is CauseKind.CODE
    (deployment,) = engine.client.engine.deployments()
    assert (deployment.serving, deployment.previous) == (first, second)
    assert not engine.trained_again()
