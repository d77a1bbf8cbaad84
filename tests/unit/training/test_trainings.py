"""Trainings on the command line are recorded, listed, compared, done again and exported."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.cli import main
from engine.model.errors import DamagedError, NotFoundError
from executors.local import recording, results
from executors.tasks import records
from executors.training.tracking import experiments
from executors.training.tracking.trainings import Training, Trainings
from tests.support.tracking_server import Tracking, serving

SCRIPT = """
import json, os, sys
from pathlib import Path
numbers = [float(word) for word in Path(sys.argv[1]).read_text().split()]
metrics = {"quality": sum(numbers), "fit_seconds": os.getpid()}
Path(os.environ["BERTH_OUTPUTS"], "outputs.json").write_text(json.dumps(metrics))
"""
OBJECTIVE = """
def objective(trial):
    for epoch in trial.epochs():
        trial.report(loss=trial.parameters["x"] + 1 / epoch)
"""
RECIPE = """
import torch
from executors.training.parallel.recipe import Recipe

def recipe():
    torch.manual_seed(0)
    inputs = torch.arange(64.0).reshape(32, 2) / 64
    model = torch.nn.Linear(2, 1)
    return Recipe(model=model, inputs=inputs, targets=inputs[:, :1], loss=summed, epochs=2,
                  global_batch=16, learning_rate=0.01)

def summed(outputs, targets):
    return ((outputs - targets) ** 2).sum()
"""
COMPRESSION = """
import numpy as np
import torch
from executors.training.compression.compressing import Task

def compression():
    torch.manual_seed(0)
    rows = torch.randn(64, 8)
    model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    labels = model(rows).argmax(1).numpy().astype(np.int64)
    rows = rows.numpy()
    return Task(model=model, tune=lambda network: None, rows=rows, labels=labels,
                calibration=rows[:16], budget=0.5, shares=(0.5,))
"""
Run = Callable[..., int]


@pytest.fixture
def berth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "fit.py").write_text(OBJECTIVE)
    (tmp_path / "net.py").write_text(RECIPE)
    (tmp_path / "data.csv").write_text("1 2 3")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BERTH_OUTPUTS", raising=False)
    monkeypatch.setenv("BERTH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main.application()(list(arguments), prog_name="berth")
        return int(str(ended.value.code or 0))

    return run


@pytest.fixture
def tracking() -> Iterator[Tracking]:
    with serving() as server:
        yield server


def kept(store: Trainings, quality: float, *, ended_at: float = 2.0) -> Training:
    training = Training(
        run_id="",
        pipeline="script",
        command=("train", "script.py"),
        folder="/",
        started_at=1.0,
        ended_at=ended_at,
    )
    return store.keep(training, {"task": "train"}, {"quality": quality})


def newest(tmp_path: Path) -> Training:
    return Trainings(tmp_path / "home").recorded(1)[0].training


def test_a_script_says_what_made_its_metrics(berth: Run, tmp_path: Path) -> None:
    assert berth("train", "script.py", "data.csv") == 0
    found = Trainings(tmp_path / "home").experiment(newest(tmp_path).run_id)
    assert found.metrics["quality"] == 6.0
    assert found.data == {"data.csv": records.digest(tmp_path / "data.csv")}
    assert found.code["script.py"] == records.digest(tmp_path / "script.py")
    assert found.environment["numpy"]


def test_the_same_training_has_the_same_name_and_another_one_has_another(
    berth: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        assert berth("train", "script.py", "data.csv", "--folder", folder) == 0
    (tmp_path / "data.csv").write_text("4")
    assert berth("train", "script.py", "data.csv") == 0
    names = [each.training.run_id for each in Trainings(tmp_path / "home").recorded(9)]
    assert len(names) == 2
    capsys.readouterr()
    assert berth("runs", "--quiet") == 0
    assert capsys.readouterr().out.split() == names
    assert berth("runs") == 0
    assert berth("runs", "--json") == 0
    assert berth("compare", *names) == 0
    said = capsys.readouterr().out
    assert "script" in said
    assert "data.data.csv" in said
    assert "1 difference in data" in said


def test_a_script_done_again_comes_out_the_same_until_its_data_change(
    berth: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert berth("train", "script.py", "data.csv") == 0
    name = newest(tmp_path).run_id
    assert berth("reproduce", name) == 0
    assert "1 of 1 training came out the same" in capsys.readouterr().out
    (tmp_path / "data.csv").write_text("4")
    assert berth("reproduce", name) == 1
    said = capsys.readouterr().out
    assert "0 of 1" in said
    assert "Not as it was: train: data.data.csv." in said
    assert len(Trainings(tmp_path / "home").recorded(9)) == 1
    (tmp_path / "data.csv").unlink()
    assert berth("reproduce", name) == 1
    assert f"{name} ends with 1 now" in capsys.readouterr().err


def test_a_script_without_metrics_is_not_recorded(berth: Run, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('nothing')")
    (tmp_path / "training").mkdir()
    (tmp_path / "training" / "outputs.json").write_text('{"quality": 1}')
    assert berth("train", "script.py") == 0
    assert not Trainings(tmp_path / "home").recorded(9)


def test_a_search_is_recorded_with_its_plan_and_done_again(berth: Run, tmp_path: Path) -> None:
    words = ("--space", "x=0.0..1.0", "--trials", "3", "--epochs", "3", "--reads", "data.csv")
    assert berth("tune", "fit.py:objective", *words) == 0
    name = newest(tmp_path).run_id
    found = Trainings(tmp_path / "home").experiment(name)
    assert found.parameters["space"] == ["x=0.0..1.0"]
    assert set(found.data) == {"data.csv"}
    assert set(found.code) == {"fit.py", "berth", "commit", "command"}
    assert berth("reproduce", name) == 0


@pytest.mark.slow
def test_a_recipe_is_recorded_with_its_samples_and_settings(berth: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert berth("train", "net.py:recipe") == 0
    name = newest(tmp_path).run_id
    found = Trainings(tmp_path / "home").experiment(name)
    assert set(found.data) == {"inputs", "targets"}
    assert (found.parameters["global_batch"], found.parameters["loss"]) == (16, "summed")
    assert set(found.artifacts) == {"checkpoint.pt"}
    assert found.environment["device"] in {"cpu", "cuda:0"}
    assert berth("reproduce", name, "--json") == 0


def test_a_compression_is_recorded_with_what_it_was_given_and_done_again(
    berth: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    (tmp_path / "small.py").write_text(COMPRESSION)
    words = ("small.py:compression", "--out", str(tmp_path / "made" / "small.onnx"))
    assert berth("compress", *words, "--reads", "data.csv") == 0
    name = newest(tmp_path).run_id
    found = Trainings(tmp_path / "home").experiment(name)
    assert found.task == "compress"
    assert set(found.data) == {"rows", "labels", "calibration", "weights", "data.csv"}
    assert found.parameters == {"budget": 0.5, "shares": [0.5]}
    made = tmp_path / "made" / "small.onnx"
    assert found.artifacts == {"small.onnx": records.digest(made)}
    assert found.metrics["accepted"] is True
    assert found.metrics["quality_before"] == 1.0
    assert found.metrics["size_bytes"] == made.stat().st_size
    assert found.metrics["latency_ms"] > 0
    assert "--reads=data.csv" in found.code["command"]
    kept = made.read_bytes()
    made.write_bytes(b"mine")
    (tmp_path / "data.csv").write_text("4")
    capsys.readouterr()
    berth("reproduce", name)  # which of two forms is faster may come out otherwise
    said = capsys.readouterr().out
    assert "quality_before" in said
    assert "Not as it was: compress: data.data.csv" in said
    assert "data.rows" not in said
    assert made.read_bytes() == b"mine" != kept
    assert berth("runs", "--quiet") == 0
    assert capsys.readouterr().out.split() == [name]


def test_in_a_task_a_compression_leaves_its_outputs_for_gates(
    berth: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    (tmp_path / "small.py").write_text(COMPRESSION)
    monkeypatch.setenv("BERTH_OUTPUTS", str(tmp_path))
    assert berth("compress", "small.py:compression") == 0
    outputs = results.read_outputs(tmp_path)
    assert outputs["accepted"] is True
    assert {"quality", "quality_before", "faster", "form"} < outputs.keys()
    said = recording.said(tmp_path)
    assert said is not None
    assert "weights" in said["data"]
    assert not Trainings(tmp_path / "home").recorded(9)


def test_a_compression_of_what_is_not_there_says_so(
    berth: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    assert berth("compress", "none.py:compression") == 2
    assert "name a function of a file" in capsys.readouterr().err


def test_a_training_goes_to_mlflow_when_it_ends_and_by_hand(
    berth: Run, tmp_path: Path, tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTH_MLFLOW", tracking.url)
    assert berth("train", "script.py", "data.csv") == 0
    assert len(tracking.runs) == 1
    name = newest(tmp_path).run_id
    assert berth("reproduce", name) == 0
    monkeypatch.delenv("BERTH_MLFLOW")
    assert berth("export", name, "--to", tracking.url) == 0
    assert len(tracking.runs) == 1
    assert berth("export", name) != 0


def test_a_training_is_kept_when_mlflow_does_not_answer(
    berth: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BERTH_MLFLOW", "http://127.0.0.1:9")
    assert berth("train", "script.py", "data.csv") == 0
    assert f"`berth export {newest(tmp_path).run_id}` tries again" in capsys.readouterr().err


def test_in_a_task_the_record_is_left_for_the_runner(
    berth: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    monkeypatch.setenv("BERTH_OUTPUTS", str(outputs))
    monkeypatch.setenv("BERTH_INPUTS", str(tmp_path / "inputs"))
    monkeypatch.setenv("BERTH_TASK", "fit")
    assert berth("train", "script.py", "data.csv") == 0
    assert json.loads((outputs / "outputs.json").read_text())["quality"] == 6.0
    said = recording.said(outputs)
    assert said is not None
    assert "data.csv" in said["data"]
    assert "task" not in said
    assert not Trainings(tmp_path / "home").recorded(9)


def test_what_is_not_there_or_damaged_is_named(tmp_path: Path) -> None:
    store = Trainings(tmp_path)
    assert store.recorded(9) == ()
    for name in ("t-none", "r-1", "t-/../x"):
        with pytest.raises(NotFoundError, match="there is no training"):
            store.find(name)
    (tmp_path / "trainings" / "t-bad").mkdir(parents=True)
    (tmp_path / "trainings" / "t-bad" / "training.json").write_text("{}")
    with pytest.raises(DamagedError, match="the training 't-bad' is damaged"):
        store.find("t-bad")


@pytest.mark.parametrize("name", ["training.json", "experiment.json", "outputs.json"])
@pytest.mark.parametrize("text", ["{}", "[", None])
def test_a_damaged_training_hides_no_other(
    berth: Run,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str | None,
) -> None:
    store = Trainings(tmp_path / "home")
    good, bad = (kept(store, quality) for quality in (0.5, 0.6))
    path = tmp_path / "home" / "trainings" / bad.run_id / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    is_fine = (name, text) == ("outputs.json", "{}")  # a training may have no metrics
    capsys.readouterr()
    assert berth("runs") == 0
    said = capsys.readouterr()
    assert good.run_id in said.out
    assert (bad.run_id in said.out) == is_fine
    assert (f"note: the training '{bad.run_id}' is damaged" in said.err) != is_fine


def test_the_same_training_kept_twice_at_once_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, rename = Trainings(tmp_path), Path.rename

    def after_another(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        kept(store, 0.5, ended_at=7.0)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", after_another)
    last = kept(store, 0.5, ended_at=8.0)
    assert [each.training for each in store.recorded(9)] == [last]
    assert [path.name for path in (tmp_path / "trainings").iterdir()] == [last.run_id]


def test_of_a_training_that_cannot_be_kept_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(records, "write", full)
    with pytest.raises(OSError, match="No space"):
        kept(Trainings(tmp_path), 0.5)
    assert not list((tmp_path / "trainings").iterdir())


@pytest.mark.parametrize(
    "text", ['{"mine": 1}', "[]", '{"data": {}}', '{"task": "t", "data": "none"}']
)
def test_a_file_of_the_same_name_that_is_no_record_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / experiments.NAME).write_text(text)
    assert experiments.find(tmp_path) is None


def test_of_many_files_the_digest_of_all_is_told(tmp_path: Path) -> None:
    for number in range(101):
        (tmp_path / f"{number}.txt").write_text(str(number))
    assert list(records.artifacts(tmp_path)) == ["all 101 files"]
    before = records.digest(tmp_path)
    (tmp_path / "0.txt").write_text("other")
    assert records.digest(tmp_path) != before


def test_words_of_a_command_name_programs_and_data(tmp_path: Path) -> None:
    for name in ("fit.py", "data.csv", "tool"):
        (tmp_path / name).write_text(name)
    (tmp_path / "tool").chmod(0o755)
    words = ["tool", "fit.py:main", "--reads=data.csv", "no.py", "x" * 5000, "a\0b"]
    code, data = records.named(words, tmp_path)
    assert (list(code), list(data)) == (["fit.py"], ["data.csv"])
