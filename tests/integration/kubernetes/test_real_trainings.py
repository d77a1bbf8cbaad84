"""What trains on a cluster, as containers of a real node in Berth's own image."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.testing.executor_suite import seen
from executors.training.trials.standing import Records
from executors.training.trials.study import JOURNAL
from tests.support.clusters.real_node import RealCluster, RealWorkplace, order

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.timeout(600)]

PULLED_SECONDS_MAX = 300.0
MEETS = """
import json, os, pathlib, socket, time
host, _, port = os.environ["BERTH_MEETING"].rpartition(":")
node, nodes = int(os.environ["BERTH_NODE"]), int(os.environ["BERTH_NODES"])
heard = []
if node == 0:
    with socket.create_server((host, int(port))) as server:
        while len(heard) < nodes - 1:
            there, address = server.accept()
            heard.append([int(there.recv(9)), address[0] != host])
else:
    for _ in range(600):
        try:
            with socket.create_connection((host, int(port))) as there:
                there.send(str(node).encode())
                break
        except OSError:
            time.sleep(0.1)
out = pathlib.Path(os.environ["BERTH_OUTPUTS"])
(out / "outputs.json").write_text(json.dumps({"heard": json.dumps(sorted(heard))}))
"""
OBJECTIVE = """
import numpy as np

def objective(trial):
    state = trial.load() or {"sum": np.zeros(1)}
    for epoch in trial.epochs():
        state = {"sum": state["sum"] + epoch}
        trial.save(state)
        trial.report(loss=abs(trial.parameters["x"] - 0.4) + 1 / epoch)
"""


def together(name: str, program: str) -> AttemptOrder:
    return dataclasses.replace(order(name, program), nodes=3)


def ended(work: RealWorkplace, wanted: AttemptOrder) -> Observation:
    """Return the last observation; the first pods of a node wait for it to pull the image."""
    end = time.monotonic() + PULLED_SECONDS_MAX
    while True:
        last = seen(work.executor, wanted.attempt_id)
        if last is not None and last.state.is_terminal:
            return last
        assert time.monotonic() < end, last
        time.sleep(0.1)


def test_nodes_of_an_attempt_meet_from_pod_to_pod(
    real_cluster: RealCluster, tmp_path: Path
) -> None:
    work = RealWorkplace(real_cluster, tmp_path)
    try:
        wanted = together("meets", MEETS)
        work.executor.start(wanted)
        last = ended(work, wanted)
        assert (last.state, last.message) == (AttemptState.SUCCEEDED, "")
        assert json.loads(str(last.outputs["heard"])) == [[1, True], [2, True]]
        fails = (
            "import os, time; time.sleep(600 * (os.environ['BERTH_NODE'] != '1')); raise OSError"
        )
        wanted = together("fails", fails)
        work.executor.start(wanted)
        last = ended(work, wanted)
        assert (last.state, last.reason) == (AttemptState.FAILED, Reason.EXIT_CODE)
    finally:
        work.close()


def test_a_search_runs_its_trials_in_containers(real_cluster: RealCluster, tmp_path: Path) -> None:
    place = real_cluster.place()
    (tmp_path / "toy.py").write_text(OBJECTIVE)
    (tmp_path / "kubernetes.toml").write_text(
        f'kubeconfig = "{place.kubeconfig}"\nimage = "{real_cluster.image}"\n'
        f'listen = "{real_cluster.node.address}:8751"\nstop_seconds = 6.0\n'
        f'[clusters.{place.context}]\nnamespace = "{place.namespace}"\nwrites_per_second = 0.0\n'
    )
    environment = {
        **os.environ,
        "BERTH_HOME": str(tmp_path / "home"),
        "BERTH_KUBERNETES": str(tmp_path / "kubernetes.toml"),
    }
    words = [sys.executable, "-m", "berth", "tune", f"{tmp_path / 'toy.py'}:objective"]
    words += ["--space", "x=0.0|0.3|0.95", "--trials", "3", "--epochs", "3", "--json"]
    found = []
    for name, more in (("here", []), ("there", ["--on", place.context, "--memory-gib", "0.3"])):
        folder = ["--folder", str(tmp_path / name), "--workers", "2", "--cpu", "0.2"]
        done = subprocess.run(
            [*words, *folder, *more], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    assert found[0] == found[1]
    records = Records()
    lines = (tmp_path / "there" / JOURNAL).read_text(encoding="utf-8").splitlines()
    records.replay(json.loads(line) for line in lines)
    assert not any(trial.out for trial in records.trials.values())
    path = f"/apis/batch/v1/namespaces/{place.namespace}/jobs"
    jobs = place.admin.call("GET", path)["items"]
    assert all(job["status"]["succeeded"] == 1 for job in jobs)
    assert len(jobs) >= 3
