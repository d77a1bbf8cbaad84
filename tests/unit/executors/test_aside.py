"""A package's large model runs in a process of its own and answers as if it were here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

import numpy as np
import pytest

from engine.model.errors import DamagedError
from executors.packaging import images
from executors.serving import aside, models
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.processes import Processes
from tests.support.heart_tasks import HeartTasks


def test_a_large_package_is_loaded_and_asked_in_another_process(
    heart: HeartTasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = images.read_image(heart.outputs("package-tree"))
    here = models.load(image, frozenset())
    monkeypatch.setattr(models, "INLINE_BYTES_MAX", 0)
    started: list[aside.ModelAside] = []
    kind = aside.ModelAside

    def noted(
        files: Mapping[str, bytes], processes: Processes, *, leave: str = ""
    ) -> aside.ModelAside:
        started.append(kind(files, processes, leave=leave))
        return started[-1]

    monkeypatch.setattr(aside, "ModelAside", noted)
    processes = Processes()
    there = models.load(image, frozenset(), processes)
    rows = np.random.default_rng(7).uniform(0, 100, (5, len(here.features)))
    assert there.infer(rows).labels.tolist() == here.infer(rows).labels.tolist()
    chances, own = there.infer(rows).probabilities, here.infer(rows).probabilities
    assert chances is not None
    assert own is not None
    assert np.array_equal(chances, own)
    os.kill(started[0].process_id, signal.SIGKILL)
    end = time.monotonic() + 300
    refused: set[int] = set()
    again = None
    while time.monotonic() < end:
        try:
            again = there.infer(rows)
        except RequestError as error:
            refused.add(error.status)
            time.sleep(0.05)
        else:
            if refused:
                break
    assert refused == {503}
    assert again is not None
    assert again.labels.tolist() == here.infer(rows).labels.tolist()
    del there
    started.clear()
    processes.close()


def test_a_large_file_that_is_no_model_is_refused() -> None:
    processes = Processes()
    with pytest.raises(DamagedError, match="no ONNX model"):
        aside.ModelAside({"model.onnx": b"\x80\x04N."}, processes)
    processes.close()
