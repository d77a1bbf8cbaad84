"""Trainings go to MLflow's tracking API, once; a server that answers as its documents say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine.model.errors import RefusedError, UnreachableError
from executors.training.tracking.experiments import Experiment
from executors.training.tracking.exporting import Tracker, Training
from tests.support.tracking_server import Tracking, serving

RECORD = Experiment(
    task="train",
    data={"train.npy": "sha256:ab"},
    code={"berth": "0.1.0", "commit": ""},
    parameters={"model": ["tree"], "seed": 3, **{f"p{n}": n for n in range(120)}},
    environment={"python": "3.11"},
    metrics={"quality": 0.8, "model": "tree", "loss": float("nan")},
)
TRAINING = Training(
    pipeline="heart disease",
    run="r-1",
    attempt="r-1.train.1",
    started_at=1.0,
    ended_at=2.5,
    experiment=RECORD,
)


@pytest.fixture
def tracking() -> Iterator[Tracking]:
    with serving() as server:
        yield server


def export(tracking: Tracking, **environment: str) -> str:
    tracker = Tracker(tracking.url, environment)
    try:
        return tracker.export(TRAINING).url
    finally:
        tracker.close()


def test_a_training_is_there_once(tracking: Tracking) -> None:
    url = export(tracking, MLFLOW_TRACKING_TOKEN="t")
    assert url == f"{tracking.url}/#/experiments/7/runs/run0"
    assert export(tracking, MLFLOW_TRACKING_TOKEN="t") == url
    assert tracking.logins == {"Bearer t"}
    (run,) = tracking.runs.values()
    assert run["info"]["status"] == "FINISHED"
    assert [(m["key"], m["value"], m["timestamp"]) for m in run["metrics"]] == [
        ("quality", 0.8, 2500)
    ]
    assert {"key": "seed", "value": "3"} in run["params"]
    assert len(run["params"]) == 122
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["data.train.npy"] == "sha256:ab"
    assert tags["output.model"] == "tree"
    assert "code.commit" not in tags
    assert [path.rpartition("/")[2] for path in tracking.artifacts] == ["experiment.json"]


def test_a_training_by_halves_is_exported_again(tracking: Tracking) -> None:
    tracking.fails_at = "runs/log-batch"
    with pytest.raises(UnreachableError, match="500"):
        export(tracking)
    tracking.fails_at = ""
    assert export(tracking).endswith("run1")
    assert "gone" in tracking.runs["run0"]


def test_who_is_no_mlflow_is_told(tracking: Tracking) -> None:
    with pytest.raises(RefusedError, match="no address"):
        Tracker("mlflow", {})
    tracker = Tracker("http://127.0.0.1:1", {"MLFLOW_TRACKING_USERNAME": "u"})
    with pytest.raises(UnreachableError, match="does not answer"):
        tracker.export(TRAINING)
    tracker.close()
