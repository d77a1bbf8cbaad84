"""Trainings as Indexed Jobs of a real API server; pods are processes of this machine."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from executors.training.parallel import metrics
from tests.support.clusters import programs
from tests.support.clusters.fixtures import Place
from tests.support.clusters.process_kubelet import ProcessKubelet
from tests.support.later import Later

loop: Any = Later("executors.training.parallel.loop")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(1_200),
    pytest.mark.xdist_group("torch"),
]

WAIT_SECONDS_MAX = 500.0
KILLS_PODS = bool(os.environ.get("CI"))
"""Each start is six processes that import torch; `scripts/test` names what it leaves to CI."""
GOES_ON = "goes-on"
"""File without which one worker stands still after twelve steps, to be killed in peace."""
STANDS = "1"
"""Its rank: the other one waits for it in a collective operation, and notices its end there."""
RECIPE = """
import os, pathlib, time
import torch
from executors.training.parallel.recipe import Recipe

calls = []

def summed(outputs, targets):
    calls.append(1)
    stands = os.environ.get("RANK") == {stands!r} and len(calls) > 2 * 12
    while stands and not pathlib.Path({goes_on!r}).exists():
        time.sleep(0.02)
    return torch.nn.functional.cross_entropy(outputs, targets, reduction="sum")

def recipe():
    torch.manual_seed(0)
    inputs = torch.randn(200, 6, dtype=torch.float64)
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    return Recipe(
        model=model.double(), inputs=inputs, targets=inputs.argmax(1) % 3, loss=summed, epochs=10,
        global_batch=50, micro_batch=16, learning_rate=0.2, warm_up_steps=3,
    )
"""


@dataclass(frozen=True)
class Lost:
    """A training that is to lose a worker."""

    process: subprocess.Popen[str]
    worker: psutil.Process

    def ended(self) -> str:
        """Return what it said when it has failed."""
        _, said = self.process.communicate(timeout=WAIT_SECONDS_MAX)
        assert self.process.returncode != 0
        return said


@pytest.fixture
def folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Pods are processes with the environment of this one: their `python` has to have libraries.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("BERTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BERTH_KUBERNETES", str(tmp_path / "kubernetes.toml"))
    recipe = RECIPE.format(goes_on=str(tmp_path / GOES_ON), stands=STANDS)
    (tmp_path / "net.py").write_text(recipe)
    (tmp_path / "kubernetes.toml").write_text(
        f'kubeconfig = "{place.kubeconfig}"\nlisten = "127.0.0.1:{programs.free_port()}"\n'
        "stop_seconds = 6.0\n"
        f'[clusters.{place.context}]\nnamespace = "{place.namespace}"\nwrites_per_second = 0.0\n'
    )
    return tmp_path


def command(folder: Path, name: str, *more: str) -> list[str]:
    recipe = f"{folder / 'net.py'}:recipe"
    words = ["train", recipe, "--folder", str(folder / name), "--checkpoint-steps", "5"]
    return [sys.executable, "-m", "berth", *words, *more]


def run(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics.read(folder / metrics.NAME)]


def standing(node: ProcessKubelet) -> psutil.Process | None:
    """Return the process of this node that trains, by no torchrun's words, and stands still."""
    for process in psutil.Process().children(recursive=True):
        try:
            words, rank = process.cmdline(), process.environ().get("RANK")
        except psutil.Error:  # it has just ended
            continue
        if rank == STANDS and any(str(node.folder) in word for word in words):
            name = next((word for word in words if word.startswith("executors.")), "")
            if name.endswith("parallel.worker") and "torch.distributed.run" not in words:
                return process
    return None


def begun(node: ProcessKubelet, words: list[str], steps: int) -> Lost:
    """Start a training, and return it with the worker that stands still after so many steps."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + WAIT_SECONDS_MAX
    while (found := standing(node)) is None or not any(
        len(metrics.read(path)) > steps for path in node.folder.rglob(metrics.NAME)
    ):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    return Lost(process, found)


def by_one(folder: Path) -> list[float]:
    """Return the loss of each step that this process takes."""
    made = runpy.run_path(str(folder / "net.py"))["recipe"]()
    (folder / "here").mkdir()
    loop.train(made, folder / "here", loop.World(), loop.Limits(), clock=time.perf_counter)
    return losses(folder / "here")


def test_two_nodes_take_the_steps_of_one_whatever_is_killed(
    place: Place, node: ProcessKubelet, folder: Path
) -> None:
    there = command(folder, "there", "--on", place.context, "--nodes", "2")
    lost = begun(node, there, steps=7)
    lost.worker.send_signal(signal.SIGKILL)
    assert "the training ended with 1" in lost.ended()
    assert 5 < len(losses(folder / "there")) <= 12

    if KILLS_PODS:
        lost = begun(node, there, steps=7)
        parents = lost.worker.parents()
        pod = next(each for each in parents if "executors.kubernetes.pod" in each.cmdline())
        for each in (*pod.children(recursive=True), pod):
            each.send_signal(signal.SIGKILL)
        assert "run the same again" in lost.ended()

    (folder / GOES_ON).touch()
    assert "by 2 workers" in run(there)
    one, two = by_one(folder), losses(folder / "there")
    assert len(one) == 40
    assert np.abs(np.subtract(one, two)).max() < 1e-12
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    jobs = place.admin.call("GET", path)["items"]
    assert {job["spec"]["completionMode"] for job in jobs} == {"Indexed"}
    newest = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))
    assert newest["status"]["succeeded"] == 2


def test_a_training_that_takes_too_long_is_stopped(place: Place, folder: Path) -> None:
    words = ["--on", place.context, "--nodes", "2", "--minutes", "0.01"]
    stopped = subprocess.run(
        command(folder, "there", *words), capture_output=True, text=True, check=False
    )
    assert "longer than it may" in stopped.stderr
