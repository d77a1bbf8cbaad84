"""Micro-batches: who shares a run, who fails alone, who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from executors.serving.runtime.batching import InlineBatcher, RemoteBatcher
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.runners import TensorSpec
from executors.serving.runtime.tensors import Array

FOREVER = float("inf")


class Doubling:
    """Doubles rows; refuses batches with a negative number."""

    platform = "test"
    inputs = (TensorSpec(name="x", datatype="FP64", shape=(-1, -1)),)
    outputs = inputs
    stackable = True

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: Sequence[Array]) -> Sequence[Array]:
        self.batches.append(len(inputs[0]))
        if (inputs[0] < 0).any():
            raise ValueError("negative")
        return [inputs[0] * 2]


def ask(
    values: Sequence[Array],
    *,
    remote: bool = False,
    rows_max: int = 100,
    queue_max: int = 100,
    deadline: float = FOREVER,
) -> tuple[list[object], list[int]]:
    """Submit all values in one round of a loop; return outcomes and sizes of batches."""
    runner = Doubling()
    outcomes: list[object] = []

    async def distant(inputs: list[Array]) -> list[Array]:
        await asyncio.sleep(0)
        return list(runner.run(inputs))

    async def main() -> None:
        batcher: InlineBatcher | RemoteBatcher = InlineBatcher(
            runner, rows_max=rows_max, queue_max=queue_max
        )
        if remote:
            batcher = RemoteBatcher(distant, stackable=True, rows_max=rows_max, queue_max=queue_max)
        for value in values:
            try:
                batcher.submit([value], deadline, lambda out, err: outcomes.append(err or out))
            except RequestError as error:
                outcomes.append(error)
        async with asyncio.timeout(60):
            while len(outcomes) < len(values):
                await asyncio.sleep(0.001)
        for _ in range(50):  # rounds in which no value may get a second outcome
            await asyncio.sleep(0)

    asyncio.run(main())
    return outcomes, runner.batches


def row(*values: float) -> Array:
    return np.array([values])


@pytest.mark.parametrize("remote", [False, True])
def test_what_waits_runs_together(remote: bool) -> None:
    outcomes, batches = ask([row(1.0), row(2.0), row(3.0)], remote=remote)
    assert batches == [3]
    assert [each[0].tolist() for each in outcomes] == [[[2.0]], [[4.0]], [[6.0]]]  # type: ignore[index]


@pytest.mark.parametrize("remote", [False, True])
def test_only_the_request_at_fault_fails(remote: bool) -> None:
    outcomes, _ = ask([row(1.0), row(-1.0), row(3.0)], remote=remote)
    assert [isinstance(each, RequestError) for each in outcomes] == [False, True, False]


def test_other_shapes_run_apart() -> None:
    assert ask([row(1.0), row(1.0, 2.0), row(3.0, 4.0)])[1] == [1, 2]


def test_a_batch_has_a_limit() -> None:
    assert ask([row(1.0)] * 5, rows_max=2)[1] == [2, 2, 1]


@pytest.mark.parametrize("remote", [False, True])
def test_a_full_queue_turns_requests_away(remote: bool) -> None:
    outcomes, _ = ask([row(1.0)] * 3, queue_max=2, remote=remote)
    refused = [each for each in outcomes if isinstance(each, RequestError)]
    assert [(each.status, each.retry_after_seconds) for each in refused] == [(429, 1)]


@pytest.mark.parametrize("remote", [False, True])
def test_what_is_too_late_does_not_run(remote: bool) -> None:
    outcomes, batches = ask([row(1.0)], deadline=0.0, remote=remote)
    assert [each.status for each in outcomes if isinstance(each, RequestError)] == [504]
    assert batches == []


def test_large_requests_run_in_a_thread() -> None:
    outcomes, batches = ask([np.ones((300, 1))], rows_max=1000)
    assert (batches, len(outcomes)) == ([300], 1)
