"""Trainings on a cluster: what comes back, and what a played executor says of those that do not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason
from engine.model.errors import FinalError, RetryableError, UnreachableError
from engine.model.identifiers import AttemptId, ClusterName, PoolName
from engine.model.resources import Resources
from executors.local import FolderArtifacts
from executors.training.parallel import clusters, member
from executors.training.trials.tasks import Ground


class Cluster:
    """Plays an executor: a training writes one more line into its metrics, or ends otherwise."""

    def __init__(
        self, folder: Path, *ends: Reason, code: int = 0, refusals: Iterable[Exception] = ()
    ) -> None:
        self.refusals = iter(refusals)
        self.artifacts = FolderArtifacts(folder / "artifacts")
        self.orders: list[AttemptOrder] = []
        self.stopped: list[str] = []
        self._code = code
        self._ends = list(ends)
        self._folder = folder
        self._seen: dict[AttemptId, list[Observation]] = {}

    def start(self, order: AttemptOrder) -> None:
        for refusal in self.refusals:
            raise refusal
        if order.attempt_id in self._seen:
            return
        self.orders.append(order)
        waits = Observation(
            attempt_id=order.attempt_id, state=AttemptState.RUNNING, message="no room"
        )
        last = self._well(order)
        if self._ends:
            last = replace(
                waits, state=AttemptState.FAILED, reason=self._ends.pop(0), last_lines=("x", " ")
            )
        self._seen[order.attempt_id] = [waits, waits, last]

    def _well(self, order: AttemptOrder) -> Observation:
        outputs = self._folder / order.attempt_id
        outputs.mkdir()
        for digest in order.inputs.values():
            self.artifacts.fetch(digest, outputs / "before")
        before = outputs / "before" / "metrics.jsonl"
        lines = before.read_text() if before.exists() else ""
        (outputs / member.TRAINING).mkdir()
        (outputs / member.TRAINING / "metrics.jsonl").write_text(lines + order.attempt_id + "\n")
        return Observation(
            attempt_id=order.attempt_id,
            state=AttemptState.SUCCEEDED,
            artifact=self.artifacts.put(outputs),
            outputs={"code": self._code},
        )

    def observe(self) -> Sequence[Observation]:
        return [found.pop(0) if len(found) > 1 else found[0] for found in self._seen.values()]

    def stop(self, attempt: AttemptId) -> None:
        self.stopped.append(attempt)


def trained(
    tmp_path: Path, cluster: Cluster, sleep: Callable[[float], None] = lambda _: None
) -> tuple[int, list[str]]:
    """Return the exit code of a training, and what was said meanwhile."""
    limits = Resources(cpu_cores=1.0, memory_gib=1.0)
    ground = Ground(cluster=ClusterName("east"), pool=PoolName("nodes"), limits=limits)
    site = clusters.Site(
        executor=cluster,
        artifacts=cluster.artifacts,
        ground=ground,
        name="t",
    )
    work = clusters.Work(
        file=tmp_path / "net.py", function="recipe", nodes=2, workers=1, seconds_max=60.0
    )
    said: list[str] = []
    (tmp_path / "training" / clusters.HOME).mkdir(parents=True, exist_ok=True)
    code = clusters.train(
        site,
        work,
        tmp_path / "training",
        say=said.append,
        sleep=sleep,
    )
    return code, said


def test_what_came_back_is_what_the_next_one_begins_with(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, code=75)
    assert trained(tmp_path, cluster) == (75, ["t.training.1 waits: no room"])
    trained(tmp_path, cluster)
    lines = (tmp_path / "training" / "metrics.jsonl").read_text().split()
    assert lines == ["t.training.1", "t.training.2"]
    first, second = cluster.orders
    assert (first.nodes, dict(first.inputs)) == (2, {})
    assert first.command[-2:] == ("$BERTH_FOLDER/net.py", "recipe")
    assert list(second.inputs) == [member.TRAINING]


def test_one_that_runs_already_is_met_again(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)

    def killed(_: float) -> None:
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        trained(tmp_path, cluster, sleep=killed)
    assert trained(tmp_path, cluster)[0] == 0
    assert len(cluster.orders) == 1
    assert not cluster.stopped


def test_one_that_is_called_off_is_stopped(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, cluster, sleep=interrupted)
    assert cluster.stopped == ["t.training.1"]
    trained(tmp_path, cluster)
    assert [order.attempt_id for order in cluster.orders] == ["t.training.1", "t.training.2"]


def test_a_place_that_asks_for_patience_is_asked_again(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, refusals=[RetryableError("not yet")] * 3)
    code, said = trained(tmp_path, cluster)
    assert (code, said) == (0, ["t.training.1 waits: not yet", "t.training.1 waits: no room"])
    assert len(cluster.orders) == 1


@pytest.mark.parametrize("refusal", [RetryableError("not yet"), UnreachableError("no answer")])
def test_patience_ends_and_is_not_had_with_what_does_not_answer(
    tmp_path: Path, refusal: RetryableError
) -> None:
    cluster = Cluster(tmp_path, refusals=repeat(refusal))
    waits: list[float] = []
    with pytest.raises(type(refusal), match=refusal.message):
        trained(tmp_path, cluster, sleep=waits.append)
    assert not cluster.orders
    assert (len(waits) > 0) == (type(refusal) is RetryableError)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.NODE_LOST, RetryableError),
        (Reason.BAD_INPUT, FinalError),
        (Reason.OUT_OF_MEMORY, FinalError),
    ],
)
def test_one_that_was_lost_is_told_with_its_last_words(
    tmp_path: Path, reason: Reason, kind: type[Exception]
) -> None:
    cluster = Cluster(tmp_path, reason)
    with pytest.raises(kind, match=rf"{reason.value}\): x"):
        trained(tmp_path, cluster)
    assert trained(tmp_path, cluster)[0] == 0
    assert cluster.orders[1].attempt_id == "t.training.2"


def test_a_node_is_told_its_number_and_where_all_meet(tmp_path: Path) -> None:
    order = {"workers": 2, "options": [], "seconds_max": 60.0}
    met = {"BERTH_NODES": "2", "BERTH_NODE": "1", "BERTH_MEETING": "10.0.0.1:29500"}
    start = member.start_of(order, met)
    assert (start.workers, start.nodes, start.node, start.restarts) == (2, 2, 1, 0)
    assert start.address == "10.0.0.1:29500"
    assert member.start_of(order, {}).node is None


def test_an_image_without_torch_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    order = {"workers": 1, "options": [], "seconds_max": 60.0}
    (tmp_path / "parameters.json").write_text(json.dumps({"training": order}))
    there = {
        "BERTH_PARAMETERS": str(tmp_path / "parameters.json"),
        "BERTH_OUTPUTS": str(tmp_path / "outputs"),
        "BERTH_INPUTS": str(tmp_path / "inputs"),
    }
    assert member.main(["net.py", "recipe"], there) == member.BAD_INPUT
    assert "torch is not installed" in capsys.readouterr().err
