"""Trainings as Indexed Jobs of a real API server; pods are processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from executors.training.parallel import metrics
from tests.support.clusters.fixtures import Place, admin, control_plane, node, place
from tests.support.clusters.process_kubelet import ProcessKubelet

__all__ = ["admin", "control_plane", "node", "place"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("torch"),
]

RECIPE = """
import os, pathlib, time
import torch
from executors.training.parallel.recipe import Recipe

def summed(outputs, targets):
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


@pytest.fixture
def folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Pods are processes with the environment of this one: their `python` has to have libraries.
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("BERTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BERTH_KUBERNETES", str(tmp_path / "kubernetes.toml"))
    (tmp_path / "net.py").write_text(RECIPE)
    (tmp_path / "kubernetes.toml").write_text(
        f'kubeconfig = "{place.kubeconfig}"\nlisten = "127.0.0.1:8751"\nstop_seconds = 6.0\n'
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


def workers(node: ProcessKubelet) -> list[psutil.Process]:
    """Return the processes of this node that train, by no torchrun's words."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            words = process.cmdline()
        except psutil.Error:  # it has just ended
            continue
        if any(str(node.folder) in word for word in words) and "--probe" not in words:
            name = next((word for word in words if word.startswith("executors.")), "")
            if name.endswith("parallel.worker") and "torch.distributed.run" not in words:
                found.append(process)
    return found


def test_two_nodes_take_the_steps_of_one_and_survive_the_kill_of_a_worker(
    place: Place, node: ProcessKubelet, folder: Path
) -> None:
    there = ["--on", place.context, "--nodes", "2"]
    process = subprocess.Popen(command(folder, "there", *there), stdout=subprocess.PIPE, text=True)
    end = time.monotonic() + 240
    while not (found := workers(node)) or not any(
        len(metrics.read(path)) > 7 for path in node.folder.rglob(metrics.NAME)
    ):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    found[0].send_signal(signal.SIGKILL)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0
    assert "by 2 workers" in said
    run(command(folder, "here"))
    one, two = losses(folder / "here"), losses(folder / "there")
    assert len(one) == 40
    assert np.abs(np.subtract(one, two)).max() < 1e-12
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    (job,) = place.admin.call("GET", path)["items"]
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["status"]["succeeded"] == 2


def test_a_pod_that_is_lost_ends_them_all_and_the_next_one_goes_on(
    place: Place, node: ProcessKubelet, folder: Path
) -> None:
    there = ["--on", place.context, "--nodes", "2"]
    stopped = subprocess.run(
        command(folder, "there", *there, "--minutes", "0.01"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "longer than it may" in stopped.stderr
    process = subprocess.Popen(command(folder, "there", *there), stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 240
    while not (found := workers(node)):
        assert time.monotonic() < end
        assert process.poll() is None
        time.sleep(0.05)
    runner = next(p for p in found[0].parents() if "executors.kubernetes.pod" in p.cmdline())
    for each in (*runner.children(recursive=True), runner):
        each.send_signal(signal.SIGKILL)
    _, said = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "run the same again" in said
    run(command(folder, "there", *there))
    assert len(losses(folder / "there")) == 40
