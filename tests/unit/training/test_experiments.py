"""Records of trainings, comparing them, and doing them again."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from api.cli import main
from api.report.experiments import again_text, compared_text
from engine.model import documents
from engine.model.dispatches import AttemptOrder
from engine.model.errors import DamagedError, FinalError, NotFoundError
from engine.model.identifiers import (
    AttemptId,
    ClusterName,
    PipelineName,
    PoolName,
    RunId,
    TaskName,
)
from engine.model.resources import Resources
from engine.model.specs import TaskKind
from executors.local import FolderArtifacts, processes
from executors.tasks import records
from executors.training.tracking import experiments, reproducing
from executors.training.tracking.reproducing import Again
from tests.support.heart_tasks import HeartTasks


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> HeartTasks:
    found = HeartTasks(tmp_path_factory.mktemp("tracked")).upto_features()
    found.run("tree", "train", "features", model=["tree"], trials=3)
    return found


def kept(trained: HeartTasks, home: Path, *, command: tuple[str, ...] = ()) -> str:
    """Keep the training as an executor does; return the attempt's id."""
    attempt = "r-1.tree.1"
    folder = home / "attempts" / attempt
    (folder / "outputs").mkdir(parents=True)
    (folder / "outputs" / "outputs.json").write_text(json.dumps(trained.values("tree")))
    parameters = json.loads((trained.home / "tree" / "parameters.json").read_text())
    digest = FolderArtifacts(home / "artifacts").put(trained.outputs("features"))
    order = AttemptOrder(
        attempt_id=AttemptId(attempt),
        run_id=RunId("r-1"),
        pipeline=PipelineName("heart"),
        task=TaskName("tree"),
        kind=TaskKind.TRAIN,
        cluster=ClusterName("here"),
        pool=PoolName("here"),
        command=command,
        folder=str(home),
        inputs={TaskName("features"): digest},
        parameters=parameters,
        limits=Resources(),
    )
    (folder / "order.json").write_text(documents.encode(order))
    return attempt


def test_a_training_says_what_made_it(trained: HeartTasks) -> None:
    found = experiments.read(trained.outputs("tree"))
    assert found.task == "tree"
    assert found.data["train.npy"] == records.digest(trained.outputs("features") / "train.npy")
    assert found.parameters["seed"] == 7
    assert found.parameters["model"] == ["tree"]
    assert found.metrics["model"] == "tree"
    assert found.environment["scikit-learn"]


def test_a_training_done_again_has_the_same_metrics(trained: HeartTasks, tmp_path: Path) -> None:
    again = reproducing.again(tmp_path, kept(trained, tmp_path), seconds_max=120)
    assert again.reproduced
    assert "fit_seconds" not in again.names
    assert "1 of 1 training came out the same" in again_text([again])


def test_a_metric_that_comes_out_otherwise_is_shown() -> None:
    again = Again(task="t", before={"quality": 0.8, "n": 1}, after={"quality": 0.81, "n": 1})
    assert not again.reproduced
    assert again.same("n")
    assert "0 of 1" in again_text([again])


@pytest.mark.parametrize(
    ("program", "seconds_max", "message"),
    [
        ("raise SystemExit('no luck')", 100, "ends with 1 now: no luck"),
        ("import time; time.sleep(600)", 1, "longer than 1 s"),
    ],
)
def test_a_task_that_fails_now_says_so(
    trained: HeartTasks, tmp_path: Path, program: str, seconds_max: int, message: str
) -> None:
    attempt = kept(trained, tmp_path, command=("python", "-c", program))
    with pytest.raises(FinalError, match=message):
        reproducing.again(tmp_path, attempt, seconds_max=seconds_max)


STARTS = """
import subprocess, sys
from pathlib import Path
last = "import time; time.sleep(600)"
words = [sys.executable, "-S", "-c", last]
left = subprocess.Popen(words, start_new_session=True)
bare = subprocess.Popen(words, env={})
Path(sys.argv[1]).write_text(f"{left.pid} {bare.pid}")
if sys.argv[2] == "lasts":
    bare.wait()
bare.terminate()
"""


def finish(folder: Path, ending: str, *, seconds_max: float) -> None:
    """Do a command again that starts two others."""
    words = (sys.executable, "-S", "-c", STARTS, str(folder / "started"), ending)
    reproducing.finish(words, folder, os.environ, seconds_max=seconds_max, what="it")


def running(folder: Path) -> list[bool]:
    """Return which of the two still run; none where it did not come to start them."""
    told = folder / "started"
    words = told.read_text().split() if told.exists() else []
    return [processes.identity(int(word)) is not None for word in words]


def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    for seconds_max in (1.0, 8.0, 60.0):  # a busy machine may take long to start them
        with pytest.raises(FinalError, match="took longer than"):
            finish(tmp_path, "lasts", seconds_max=seconds_max)
        if running(tmp_path):
            break
    assert running(tmp_path) == [False, False]


def test_what_ends_by_itself_leaves_nothing_running(tmp_path: Path) -> None:
    finish(tmp_path, "ends", seconds_max=600)
    assert running(tmp_path) == [False, False]


def test_a_command_done_again_says_which_of_its_data_changed(
    trained: HeartTasks, tmp_path: Path
) -> None:
    program = (
        "import os; from pathlib import Path; "
        "Path(os.environ['BERTH_OUTPUTS'], 'outputs.json').write_text('{\"quality\": 0.5}')"
    )
    words = ["python", "-c", program]
    attempt = kept(trained, tmp_path, command=tuple(words))
    folder = tmp_path / "attempts" / attempt
    (folder / "outputs" / "outputs.json").write_text('{"quality": 0.5}')
    (folder / "outputs" / experiments.NAME).write_text('{"data": {"rows.csv": "sha256:0"}}')
    order = json.loads((folder / "order.json").read_text())
    spec = {"name": "tree", "kind": "train", "command": words, "reads": "rows.csv"}
    order["parameters"] = {"task": spec}
    (folder / "order.json").write_text(json.dumps(order))
    (folder / "launch.json").write_text(json.dumps(LAUNCH | {"command": words}))
    (tmp_path / "rows.csv").write_text("1")
    again = reproducing.again(tmp_path, attempt, seconds_max=100)
    assert again.reproduced
    assert again.changed == ("data.rows.csv",)


def test_what_is_gone_cannot_be_done_again(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nothing is kept of attempt"):
        reproducing.again(tmp_path, "r-9.tree.1", seconds_max=1)
    with pytest.raises(NotFoundError, match="no record"):
        experiments.read(tmp_path)


def test_a_damaged_record_is_named(tmp_path: Path) -> None:
    (tmp_path / experiments.NAME).write_text("{}")
    (tmp_path / "outputs.json").write_text("{}")
    with pytest.raises(DamagedError, match="damaged"):
        experiments.read(tmp_path)


def test_two_runs_show_all_metrics_and_only_what_differs(trained: HeartTasks) -> None:
    found = experiments.read(trained.outputs("tree"))
    other = experiments.Experiment(
        task="tree",
        data={**found.data, "train.npy": "sha256:00"},
        code=found.code,
        parameters=found.parameters,
        environment=found.environment,
        metrics=found.metrics,
    )
    text = compared_text("r-1", "r-2", ([found], [other]))
    assert "1 difference in data" in text
    assert "metrics.quality" in text
    assert "environment" not in text.splitlines()[2]
    assert compared_text("r-1", "r-2", ([], [])) == "Neither run has trained anything."


@pytest.mark.parametrize("packed", [False, True])
def test_the_commit_of_a_folder_is_read_without_git(tmp_path: Path, packed: bool) -> None:
    git = tmp_path / ".git"
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    if packed:
        (git / "packed-refs").write_text("# pack-refs\nabc123 refs/heads/main\n")
    else:
        (git / "refs" / "heads" / "main").write_text("abc123\n")
    (tmp_path / "deep").mkdir()
    assert records.commit(tmp_path / "deep") == "abc123"
    (git / "HEAD").write_text("def456\n")
    assert records.commit(tmp_path) == "def456"
    (git / "HEAD").write_bytes(b"\xff")
    assert records.commit(tmp_path) == ""


LAUNCH = {"cpus": [0], "grace_seconds": 1.0, "folder": "work"}
OBJECTIVE = """
def objective(trial):
    for epoch in trial.epochs():
        trial.report(loss=trial.parameters["x"] + 1 / epoch, accuracy=0.5)

def broken(trial):
    raise ValueError("bad luck")
"""


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    (tmp_path / "fit.py").write_text(OBJECTIVE)
    monkeypatch.setenv("BERTH_OUTPUTS", str(tmp_path))

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main.application()(list(arguments), prog_name="berth")
        return int(str(ended.value.code or 0))

    return run


def test_tune_prints_the_comparison_and_hands_on_the_best(
    berth: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tune", f"{tmp_path / 'fit.py'}:objective", "--space", "x=0.0..1.0", "--trials", "4")
    folder = ("--folder", str(tmp_path / "study"))
    assert berth(*words, *folder, "--epochs", "3", "--against-all") == 0
    text = capsys.readouterr().out
    assert "no pruning" in text
    assert "Best: trial" in text
    outputs = json.loads((tmp_path / "outputs.json").read_text())
    assert outputs["quality"] == 0.5
    assert outputs["loss_last"] < outputs["loss_first"]


def test_tune_says_why_no_trial_came_to_anything(
    berth: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tune", f"{tmp_path / 'fit.py'}:broken", "--space", "x=0.0..1.0", "--trials", "2")
    assert berth(*words, "--folder", str(tmp_path / "study")) == 1
    assert "ValueError: bad luck" in capsys.readouterr().err


def test_train_says_what_a_script_that_failed_said_last(
    berth: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "script.py").write_text("raise SystemExit('out of luck')\n")
    assert berth("train", str(tmp_path / "script.py"), "--folder", str(tmp_path / "t")) == 1
    assert "the training ended with 1: out of luck" in capsys.readouterr().err
    (tmp_path / "script.py").write_text("print('fine')\n")
    assert berth("train", str(tmp_path / "script.py"), "--folder", str(tmp_path / "t")) == 0
    assert "done;" in capsys.readouterr().out
