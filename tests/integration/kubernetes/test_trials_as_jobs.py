"""Trials of a search as Jobs of a real API server; pods are processes of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from executors.training.trials.standing import Records
from executors.training.trials.study import JOURNAL
from tests.support.clusters import programs
from tests.support.clusters.fixtures import Place
from tests.support.clusters.process_kubelet import ProcessKubelet

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

WAIT_SECONDS_MAX = 400.0
OBJECTIVE = """
import os
import numpy as np

def objective(trial):
    state = trial.load() or {"sum": np.zeros(1)}
    for epoch in trial.epochs():
        state = {"sum": state["sum"] + epoch}
        assert state["sum"] == epoch * (epoch + 1) / 2, "an epoch was lost or doubled"
        trial.save(state)
        trial.report(loss=abs(trial.parameters["x"] - 0.4) + 1 / epoch)
        if trial.parameters["x"] > 0.9 and os.environ.get("BERTH_CLUSTER"):
            raise ValueError("bad luck")
        if epoch == 2 and not (trial.folder / "was-here").exists():
            (trial.folder / "was-here").write_text("")
            os.kill(os.getpid(), 9)
"""
SPACE = ("x=0.0|0.3|0.95",)


def settings(place: Place, folder: Path) -> dict[str, str]:
    """Write the settings of the cluster; return the environment of a command."""
    (folder / "kubernetes.toml").write_text(
        f'kubeconfig = "{place.kubeconfig}"\nlisten = "127.0.0.1:{programs.free_port()}"\n'
        "stop_seconds = 6.0\n"
        f'[clusters.{place.context}]\nnamespace = "{place.namespace}"\nwrites_per_second = 0.0\n'
    )
    return {**os.environ, "BERTH_HOME": str(folder / "home")} | {
        "BERTH_KUBERNETES": str(folder / "kubernetes.toml")
    }


def command(folder: Path, *more: str) -> list[str]:
    """Return a search of nine epochs at most, three trials, two at once."""
    objective = f"{folder / 'toy.py'}:objective"
    words = ["--space", *SPACE, "--trials", "3", "--epochs", "3", "--seed", "2", "--workers", "2"]
    return [sys.executable, "-m", "berth", "tune", objective, *words, *more]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Pods are processes with the environment of this one: their `python` has to have libraries.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "toy.py").write_text(OBJECTIVE)
    return tmp_path


def records(folder: Path) -> Records:
    """Return what the journal of a study says."""
    found = Records()
    lines = (folder / JOURNAL).read_text().splitlines()
    found.replay(json.loads(line) for line in lines)
    return found


def test_a_search_on_a_cluster_finds_what_one_with_processes_does(
    place: Place, node: ProcessKubelet, folder: Path
) -> None:
    environment = settings(place, folder)
    here = command(folder, "--folder", str(folder / "here"), "--json")
    there = command(folder, "--folder", str(folder / "there"), "--json", "--on", place.context)
    found = []
    for words in (here, there):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    both = [records(folder / name) for name in ("here", "there")]
    one, other = ([r.values for r in each.trials.values() if not r.out] for each in both)
    assert all(values in one for values in other)
    assert both[1].cpu_seconds > 0
    killed = [r for r in both[1].trials.values() if r.kills]
    assert killed, "an epoch killed itself, and its trial went on"
    reasons = {r.reason for r in both[1].trials.values() if r.out}
    assert reasons <= {"ValueError: bad luck"}


def test_a_killed_search_meets_its_jobs_again(
    place: Place, node: ProcessKubelet, folder: Path
) -> None:
    environment = settings(place, folder)
    words = command(folder, "--folder", str(folder / "study"), "--json", "--on", place.context)
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL)
    journal = folder / "study" / JOURNAL
    end = time.monotonic() + WAIT_SECONDS_MAX
    while not (journal.exists() and '"started"' in journal.read_text()):
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    jobs = place.admin.call("GET", f"/apis/batch/v1/namespaces/{place.namespace}/jobs")["items"]
    asked = [json.loads(line) for line in journal.read_text().splitlines()]
    visits = {(e["trial"], e["attempt"]) for e in asked if e["event"] == "asked"}
    assert len(jobs) == len(visits), "a visit that went on was begun again"
