"""Workers of a training: a number, a range, and how much faster they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine import documents
from engine.model.errors import Fault
from engine.model.specs import Workers

TaskFault = Callable[..., Fault]


def read(keys: str) -> Workers | None:
    task = f"{{kind: train, command: [berth, train, net.py:recipe], {keys}}}"
    text = f"pipeline: p\ntasks: {{t: {task}}}"
    spec = documents.read_pipeline(text, name="x", as_of=0.0)
    again = documents.pipeline_from(documents.pipeline_mapping(spec), name="x", as_of=0.0)
    assert again == spec
    return spec.tasks[0].workers


@pytest.mark.parametrize(
    ("keys", "workers"),
    [
        ("workers: 4", Workers(least=4, most=4)),
        ("workers: 1 to 4", Workers(least=1, most=4)),
        (
            "workers: 2 to 8, speed up: {8: 5, 2: 1.8, 1: 1}",
            Workers(least=2, most=8, speed_ups=((2, 1.8), (8, 5.0))),
        ),
        ("retries: 1", None),
    ],
)
def test_workers_are_read_and_written_back(keys: str, workers: Workers | None) -> None:
    assert read(keys) == workers


@pytest.mark.parametrize(
    ("keys", "code", "words"),
    [
        ("workers: many", "S004", "a number or a range"),
        ("workers: 4 to 2", "S007", "ends before it begins"),
        ("workers: 0", "S007", "below 1"),
        ("workers: 1 to 9999", "S007", "above 1024"),
        ("workers: 1 to 2, speed up: {two: 1.8}", "S004", "workers was expected, not 'two'"),
        ("workers: 1 to 2, speed up: {0: 1.8}", "S007", "below 1"),
        ("workers: 1 to 2, speed up: {2: 1.8, '02': 1.9}", "S008", "2 workers are named twice"),
        (f"workers: 1 to {'9' * 5_000}", "S004", "a number or a range"),
        (f"workers: 1 to 2, speed up: {{'{'9' * 100}': 2}}", "S004", "workers was expected"),
        (f"workers: {'9' * 5_000}", "S004", "workers was expected, not 'inf'"),
        (f"workers: 2, speed up: {{2: 0x{'f' * 300}}}", "S007", "not a finite number"),
        ("speed up: {2: 1.8}", "S025", "there are none"),
    ],
)
def test_faults_name_what_is_wrong(task_fault: TaskFault, keys: str, code: str, words: str) -> None:
    fault = task_fault(f"command: [x], {keys}", "train")
    assert fault.code == code
    assert words in fault.message


def test_the_built_in_training_has_no_workers(task_fault: TaskFault) -> None:
    fault = task_fault("workers: 2", "train")
    assert fault.code == "S025"
    assert "berth, train" in fault.fix


def test_only_a_training_has_workers(task_fault: TaskFault) -> None:
    assert task_fault("command: [x], workers: 2").code == "S018"
