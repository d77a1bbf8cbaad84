"""Studies with real processes: kills, failures, resuming, limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.model.errors import DamagedError, FinalError, RefusedError
from executors.training.trials.standing import Records
from executors.training.trials.study import Plan, Study

Watch = Callable[[Mapping[str, Any]], None]

OBJECTIVE = """
import os, time
from pathlib import Path
import numpy as np

def prepare():
    print("prepared")

def objective(trial):
    print("trial", trial.number)
    state = trial.load() or {"sum": np.zeros(1)}
    x = trial.parameters["x"]
    for epoch in trial.epochs():
        state = {"sum": state["sum"] + epoch}
        if x > 0.9: time.sleep(0.05)
        trial.save(state)
        assert state["sum"] == epoch * (epoch + 1) / 2, "an epoch was lost or doubled"
        trial.report(loss=abs(x - 0.4) + 1 / epoch, accuracy=x)

def held(trial):
    killed = Path(__file__).with_name(f"{trial.number}.killed")
    while trial.number in {0, 4, 8} and not killed.exists():
        time.sleep(0.01)
    objective(trial)

def broken(trial):
    for epoch in trial.epochs():
        if trial.number == 0: raise ValueError("bad luck")
        if trial.number == 1: trial.report(loss=float("nan"))
        if trial.number == 2: trial.save({"big": np.zeros(100_000)})
        if trial.number == 3: return
        if trial.number == 4: continue
        trial.report(loss=1.0)

def sleeper(trial):
    for epoch in trial.epochs():
        time.sleep(600)

def killer(trial):
    os.kill(os.getppid(), 9)
    time.sleep(5)

def suicide(trial):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    path = tmp_path / "toy.py"
    path.write_text(OBJECTIVE)
    return Plan(objective=f"{path}:objective", space=("x=0.0..1.0",), trials=9, epochs=9)


def run(folder: Path, plan: Plan, *, workers: int = 2, watch: Watch = lambda _: None) -> Records:
    with Study(folder, plan, clock=time.monotonic) as study:
        return study.run(workers, watch=watch)


def losses(records: Records) -> dict[int, float | None]:
    return {number: record.loss for number, record in records.trials.items()}


def test_a_search_finds_the_best_with_a_third_of_the_epochs(tmp_path: Path, plan: Plan) -> None:
    records = run(tmp_path / "s", plan)
    best = records.best()
    assert best is not None
    everything = run(tmp_path / "all", replace(plan, eta=None)).best()
    assert everything is not None
    assert best.number == everything.number
    assert records.epochs_run <= 9 + 3 * 2 + 1 * 6 + 8
    assert records.cpu_seconds > 0
    assert (tmp_path / "s" / "trials" / "0" / "log.txt").read_text().startswith("trial 0")


def test_trials_that_are_killed_go_on_from_their_checkpoints(tmp_path: Path, plan: Plan) -> None:
    # A victim stands still until it was killed: none is through before its kill arrives.
    victims = {0, 4, 8}
    plan = replace(plan, objective=plan.objective.replace(":objective", ":held"))

    def watch(event: Mapping[str, Any]) -> None:
        if event["event"] == "started" and event["trial"] in victims:
            victims.remove(event["trial"])
            os.kill(event["pid"], signal.SIGKILL)
            (tmp_path / f"{event['trial']}.killed").touch()

    killed = run(tmp_path / "killed", plan, watch=watch)
    assert losses(killed) == losses(run(tmp_path / "s", plan))
    assert sum(record.kills for record in killed.trials.values()) == 3


def test_a_study_that_is_killed_goes_on_where_it_was(tmp_path: Path, plan: Plan) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\n"
        "from executors.training.trials.study import Plan, Study\n"
        f"plan = Plan(objective={plan.objective!r}, space={plan.space!r}, trials=9, epochs=9)\n"
        f"with Study(Path({str(tmp_path / 'k')!r}), plan, clock=time.monotonic) as study:\n"
        "    study.run(1, watch=lambda event: print(event['event'], flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert process.stdout is not None
    for count, _ in enumerate(process.stdout):
        if count > 12:
            break
    process.kill()
    process.wait()
    process.stdout.close()
    records = run(tmp_path / "k", plan, workers=1)
    assert losses(records) == losses(run(tmp_path / "s", plan, workers=1))
    assert records.sittings == 2


def test_each_failure_has_its_reason_and_is_out(tmp_path: Path, plan: Plan) -> None:
    objective = plan.objective.replace(":objective", ":broken")
    bad = replace(plan, objective=objective, trials=6, epochs=1, file_bytes_max=10_000)
    records = run(tmp_path / "bad", bad, workers=3)
    reasons = [records.trials[number].reason for number in range(6)]
    expected = ["bad luck", "loss of epoch 1 is nan", "cannot be kept", "returned before epoch 1"]
    expected += ["without `trial.report", ""]
    assert [(want in got, got) for want, got in zip(expected, reasons, strict=True)] == [
        (True, got) for got in reasons
    ]
    assert [records.trials[number].out for number in range(6)] == [True] * 5 + [False]


def test_a_trial_whose_epoch_does_not_end_is_out(tmp_path: Path, plan: Plan) -> None:
    objective = plan.objective.replace(":objective", ":sleeper")
    slow = replace(plan, objective=objective, trials=1, epochs=1, epoch_seconds_max=0.5)
    record = run(tmp_path / "slow", slow).trials[0]
    assert (record.out, record.reason) == (True, "no epoch ended within 0.5 s")


def test_a_trial_that_always_dies_is_given_up(tmp_path: Path, plan: Plan) -> None:
    objective = plan.objective.replace(":objective", ":suicide")
    records = run(tmp_path / "s", replace(plan, objective=objective, trials=1, epochs=1))
    record = records.trials[0]
    assert (record.out, record.kills, record.reason) == (True, 3, "killed by SIGKILL")


def test_a_host_that_always_dies_ends_the_study(tmp_path: Path, plan: Plan) -> None:
    objective = plan.objective.replace(":objective", ":killer")
    with pytest.raises(FinalError, match="died 5 times"):
        run(tmp_path / "s", replace(plan, objective=objective, trials=9, retries=9))


@pytest.mark.parametrize("name", ["nowhere.py:objective", "no.such.module:f", "math:nothing"])
def test_an_objective_that_is_not_there_is_named(tmp_path: Path, plan: Plan, name: str) -> None:
    with pytest.raises(FinalError, match="no objective"):
        run(tmp_path / "s", replace(plan, objective=name))


def test_another_study_is_not_mixed_in(tmp_path: Path, plan: Plan) -> None:
    small = replace(plan, trials=1, epochs=1)
    run(tmp_path / "s", small)
    with pytest.raises(DamagedError, match="seed 0, not 1"):
        Study(tmp_path / "s", replace(small, seed=1), clock=time.monotonic)


def test_two_processes_do_not_run_one_study(tmp_path: Path, plan: Plan) -> None:
    with (
        Study(tmp_path / "s", plan, clock=time.monotonic),
        pytest.raises(RefusedError, match="another process"),
    ):
        Study(tmp_path / "s", plan, clock=time.monotonic)
