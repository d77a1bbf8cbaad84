"""What a task leaves where its record belongs: nothing of it hangs, leads elsewhere or ends it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.model.errors import DamagedError
from executors.local import files, recording
from executors.tasks import records
from executors.training.tracking import experiments

LAUNCH = files.Launch(
    attempt_id="r-1.fit.1",
    command=["python", "fit.py"],
    folder="work",
    memory_bytes=0,
    cpus=[],
    time_limit_seconds=None,
    grace_seconds=1.0,
    down="down",
    started_log="started.log",
)


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    """The folder of an attempt that wrote a metric."""
    folder = tmp_path / "r-1.fit.1"
    (folder / files.OUTPUTS).mkdir(parents=True)
    spec = {"name": "fit", "kind": "train", "command": ["python", "fit.py"], "reads": "rows"}
    (folder / files.PARAMETERS).write_text(json.dumps({"task": spec}))
    (folder / files.OUTPUTS / records.OUTPUTS).write_text('{"quality": 0.5}')
    return folder


def record(attempt: Path) -> None:
    recording.record(attempt, LAUNCH, {"BERTH_FOLDER": str(attempt.parent)})


def link(path: Path) -> None:
    secret = path.parents[2] / "secret"
    secret.write_text('{"task": "fit", "data": {"secret": "seven"}}')
    path.symlink_to(secret)


def deep(path: Path) -> None:
    path.write_text('{"data": ' + '{"a": ' * 100_000 + "1" + "}" * 100_001)


def large(path: Path) -> None:
    with path.open("w") as file:
        file.write('{"task": "fit"}')
        file.truncate(files.BYTES_MAX + 1)


@pytest.mark.parametrize("leave", [os.mkfifo, link, deep, large, Path.mkdir])
@pytest.mark.parametrize("name", [records.NAME, records.OUTPUTS])
def test_no_attempt_fails_for_what_is_in_the_place_of_its_record(
    attempt: Path, leave: Callable[[Path], None], name: str
) -> None:
    outputs = attempt / files.OUTPUTS
    written = {records.NAME: '{"task": "fit"}', records.OUTPUTS: '{"quality": 0.5}'}
    for each in written.keys() - {name}:
        (outputs / each).write_text(written[each])
    (outputs / name).unlink(missing_ok=True)
    leave(outputs / name)
    record(attempt)
    assert (recording.said(outputs) is None) == (name == records.NAME)
    with pytest.raises(DamagedError, match=name):
        experiments.find(outputs)
    with pytest.raises(DamagedError, match=name):
        experiments.read(outputs)


def test_a_pipe_that_a_task_reads_is_not_waited_for(attempt: Path) -> None:
    os.mkfifo(attempt.parent / "rows")
    record(attempt)
    assert experiments.read(attempt / files.OUTPUTS).data == {}


def test_a_record_replaces_a_link_and_leaves_what_it_led_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("mine")
    (tmp_path / records.NAME).symlink_to(other)
    records.write(tmp_path, {"task": "fit"})
    assert other.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [records.NAME, "other"]
    assert not (tmp_path / records.NAME).is_symlink()
