"""What every built-in task shares: parameters, inputs, signals, exit codes."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from executors.tasks.context import BadInputError, Origin, Task, read_json
from tests.support.heart_tasks import ETL, HeartTasks


def task(tmp_path: Path, **spec: object) -> Task:
    return Task.from_environment(HeartTasks(tmp_path).prepare("t", **spec))


@pytest.mark.parametrize("text", [None, "{", "{}", '{"task": 3, "pipeline": "p"}'])
def test_damaged_parameters_are_bad_input(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "parameters.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadInputError, match="missing or damaged"):
        Task.from_environment({"BERTH_PARAMETERS": str(path)})


def test_overrides_win_over_parameters(tmp_path: Path) -> None:
    found = task(tmp_path, parameters={"a": 1, "b": 2}, overrides={"a": 3})
    assert found.settings == {"a": 3, "b": 2}


def test_a_setting_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="'holdout' is 'much'"):
        task(tmp_path, parameters={"holdout": "much"}).number("holdout", 0.2)


def test_times_of_signals_never_repeat(tmp_path: Path) -> None:
    found = task(tmp_path)
    for _ in range(100):
        found.signal(Origin("etl", "task:p/t"), "rows", 1.0)
    lines = (tmp_path / "t" / "signals.jsonl").read_text().splitlines()
    assert len({json.loads(line)["at"] for line in lines}) == 100


def test_what_is_not_finite_was_not_measured(tmp_path: Path) -> None:
    task(tmp_path).signal(Origin("etl", "task:p/t"), "rows", math.nan)
    assert not (tmp_path / "t" / "signals.jsonl").exists()


def test_the_one_upstream_folder_is_found(heart: HeartTasks, tmp_path: Path) -> None:
    environment = heart.prepare(tmp_path.name, "knn", "tree")
    found = Task.from_environment(environment)
    with pytest.raises(BadInputError, match=r"found: knn, tree"):
        found.upstream_folder("model.skops")
    with pytest.raises(BadInputError, match=r"found: none"):
        found.upstream_folder("data.csv")


def test_a_damaged_document_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text("{")
    with pytest.raises(BadInputError, match=r"schema\.json of an upstream task"):
        read_json(tmp_path / "schema.json")


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "executors.tasks", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("arguments", [(), ("nothing",), ("etl", "etl")])
def test_an_unknown_kind_is_a_usage_error(arguments: tuple[str, ...]) -> None:
    done = run({}, *arguments)
    assert (done.returncode, "usage:" in done.stderr) == (2, True)


def test_a_task_as_a_process_succeeds(tmp_path: Path) -> None:
    tasks = HeartTasks(tmp_path)
    assert run(tasks.prepare("etl", **ETL), "etl").returncode == 0
    assert tasks.values("etl")["rows"] == 303


def test_bad_input_is_exit_code_65_with_the_reason_last(tmp_path: Path) -> None:
    done = run(HeartTasks(tmp_path).prepare("etl", reads="absent.csv"), "etl")
    assert done.returncode == 65
    assert "No such file" in done.stderr.splitlines()[-1]


def test_a_gate_is_exit_code_66(tmp_path: Path) -> None:
    tasks = HeartTasks(tmp_path)
    tasks.outputs("a").mkdir(parents=True)
    (tasks.outputs("a") / "outputs.json").write_text('{"quality": 0.1}')
    environment = tasks.prepare("compare", "a", gates={"quality_at_least": 0.9})
    assert run(environment, "evaluate").returncode == 66


def test_training_as_a_process_does_without_pandas(heart: HeartTasks, tmp_path: Path) -> None:
    name = f"quick-{tmp_path.name}"
    environment = heart.prepare(name, "features", model=["tree"], trials=1)
    assert run(environment, "train").returncode == 0
    assert heart.values(name)["model"] == "tree"


def test_tasks_find_no_pandas_until_statsmodels_wants_it() -> None:
    program = (
        "import sys\n"
        "from importlib.util import find_spec\n"
        "from executors.tasks.__main__ import leave_out\n"
        "leave_out()\n"
        "assert find_spec('pandas') is None, 'looking is no error, as torch looks'\n"
        "assert 'pandas' not in sys.modules, 'scikit-learn would take what is there'\n"
        "import statsmodels\n"
        "assert find_spec('pandas') is not None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
