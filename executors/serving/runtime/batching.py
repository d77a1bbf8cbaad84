"""What is queued when the event loop comes round runs together; no timer waits for more.

One connection alone never waits. Under load, requests that the loop read in one round are stacked
where their shapes agree, so a model that takes as long for sixteen rows as for one answers sixteen
times as many. For a model in another process the batch is what queued while it was busy.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from executors.serving.runtime.faults import RequestError, busy
from executors.serving.runtime.runners import Runner
from executors.serving.runtime.tensors import Array
from executors.serving.tracing.spans import Span

ROWS_INLINE_MAX = 256
"""Requests with more rows run in a thread, so that they do not hold up the others."""


@dataclass(slots=True)
class Statistics:
    """What a model did; times in nanoseconds."""

    success_count: int = 0
    fail_count: int = 0
    inference_count: int = 0
    execution_count: int = 0
    success_ns: int = 0
    fail_ns: int = 0
    queue_ns: int = 0
    infer_ns: int = 0
    last_inference_ms: int = 0


Done = Callable[[list[Array] | None, RequestError | None], None]
"""Told the outputs of a request or why there are none, once, in the thread of the loop."""


class Item(msgspec.Struct, eq=False):
    """A request in the queue; `deadline` in the clock's seconds, infinite without one."""

    arrays: list[Array]
    rows: int
    deadline: float
    done: Done
    queued_ns: int
    span: Span | None = None
    is_finished: bool = False

    def __post_init__(self) -> None:
        """Tell the trace, where there is one, that the request waits."""
        if self.span is not None:
            self.span.queued_ns = self.queued_ns

    def succeed(self, outputs: list[Array]) -> None:
        """Hand over the outputs, unless the request has been answered."""
        if not self.is_finished:
            self.is_finished = True
            self.done(outputs, None)

    def fail(self, error: RequestError) -> None:
        """Hand over an error, unless the request has been answered."""
        if not self.is_finished:
            self.is_finished = True
            self.done(None, error)


@dataclass(slots=True)
class _Queue:
    """Requests that wait, with their limit."""

    limit: int
    items: deque[Item] = field(default_factory=deque)

    def put(self, item: Item) -> None:
        if len(self.items) >= self.limit:
            raise busy(f"{self.limit} requests wait for this model", 429)
        self.items.append(item)


class InlineBatcher:
    """Runs a model in the thread of the event loop.

    rows_max: most rows that run together; queue_max: most requests that wait.
    """

    def __init__(self, runner: Runner, *, rows_max: int, queue_max: int) -> None:
        self.statistics = Statistics()
        self._runner = runner
        self._rows_max = rows_max if runner.stackable else 1
        self._queue = _Queue(queue_max)
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alone: set[asyncio.Future[None]] = set()  # the loop keeps only weak ones

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue.items)

    def submit(
        self, arrays: list[Array], deadline: float, done: Done, span: Span | None = None
    ) -> None:
        """Queue a request; `done` is told the outcome later.

        Raises:
            RequestError: when the queue is full.
        """
        loop = self._loop or asyncio.get_running_loop()
        self._loop = loop
        rows = len(arrays[0]) if self._runner.stackable else 1
        item = Item(arrays, rows, deadline, done, time.perf_counter_ns(), span)
        if rows > ROWS_INLINE_MAX:
            alone = loop.run_in_executor(None, self._run_alone, item, loop)
            self._alone.add(alone)
            alone.add_done_callback(self._alone.discard)
            return
        self._queue.put(item)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._flush)

    def close(self) -> None:
        """Do nothing: there is no process to end."""

    def _flush(self) -> None:
        """Run what is queued."""
        self._scheduled = False
        for batch in batches(self._queue.items, self._rows_max):
            run_batch(self._runner.run, batch, self.statistics)

    def _run_alone(self, item: Item, loop: asyncio.AbstractEventLoop) -> None:
        """Run a large request in a thread and hand its outcome to the loop."""
        began = time.perf_counter_ns()
        try:
            outputs = list(self._runner.run(item.arrays))
        except Exception as error:
            loop.call_soon_threadsafe(item.fail, wrapped(error))
        else:
            loop.call_soon_threadsafe(_alone_done, item, outputs, self.statistics, began)


class RemoteBatcher:
    """Feeds a model in another process, one batch at a time.

    run: sends stacked inputs and waits for the outputs.
    """

    def __init__(
        self,
        run: Callable[[list[Array]], Awaitable[list[Array]]],
        *,
        stackable: bool,
        rows_max: int,
        queue_max: int,
    ) -> None:
        self.statistics = Statistics()
        self._run = run
        self._stackable = stackable
        self._rows_max = rows_max if stackable else 1
        self._queue = _Queue(queue_max)
        self._pump: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._queue.items)

    def submit(
        self, arrays: list[Array], deadline: float, done: Done, span: Span | None = None
    ) -> None:
        """Queue a request; `done` is told the outcome later.

        Raises:
            RequestError: when the queue is full.
        """
        loop = asyncio.get_running_loop()
        rows = len(arrays[0]) if self._stackable else 1
        item = Item(arrays, rows, deadline, done, time.perf_counter_ns(), span)
        self._queue.put(item)
        if deadline < float("inf"):
            loop.call_later(max(0.0, deadline - time.monotonic()), item.fail, _too_late())
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._serve())

    async def _serve(self) -> None:
        """Run batches until nothing waits."""
        await asyncio.sleep(0)  # let the loop read what arrived in this round
        while self._queue.items:
            batch = next(batches(self._queue.items, self._rows_max), None)
            if batch is None:
                return
            began = time.perf_counter_ns()
            try:
                outputs = await self._run(stacked(batch))
                share(batch, outputs, self.statistics, began)
            except (RequestError, ValueError) as error:
                if len(batch) == 1:
                    batch[0].fail(wrapped(error))
                    self.statistics.fail_count += 1
                else:
                    await self._one_by_one(batch)

    async def _one_by_one(self, batch: Sequence[Item]) -> None:
        """Run the requests of a failed batch alone, so that only those at fault fail."""
        for item in batch:
            began = time.perf_counter_ns()
            try:
                share([item], await self._run(item.arrays), self.statistics, began)
            except (RequestError, ValueError) as error:
                item.fail(wrapped(error))
                self.statistics.fail_count += 1


Batcher = InlineBatcher | RemoteBatcher


def batches(waiting: deque[Item], rows_max: int) -> Iterator[list[Item]]:
    """Take what waits, in batches of equal shapes."""
    while waiting:
        first = waiting.popleft()
        if expired(first):
            continue
        batch = [first]
        rows = first.rows
        shapes = [(array.shape[1:], array.dtype) for array in first.arrays]
        while waiting and rows + waiting[0].rows <= rows_max:
            following = waiting[0]
            if [(array.shape[1:], array.dtype) for array in following.arrays] != shapes:
                break
            waiting.popleft()
            if not expired(following):
                batch.append(following)
                rows += following.rows
        yield batch


def expired(item: Item) -> bool:
    """Answer a request whose deadline has passed, or that nobody waits for, without running it."""
    if item.is_finished:
        return True
    if item.deadline >= time.monotonic():
        return False
    item.fail(_too_late())
    return True


def stacked(batch: Sequence[Item]) -> list[Array]:
    """Return the inputs of a batch, one below the other."""
    if len(batch) == 1:
        return batch[0].arrays
    return [np.concatenate(each) for each in zip(*(item.arrays for item in batch), strict=True)]


def run_batch(
    run: Callable[[Sequence[Array]], Sequence[Array]],
    batch: Sequence[Item],
    statistics: Statistics,
) -> None:
    """Run a batch; when it fails, run its requests alone so that only those at fault fail."""
    began = time.perf_counter_ns()
    try:
        share(batch, run(stacked(batch)), statistics, began)
    except Exception as error:
        if len(batch) == 1:
            statistics.fail_count += 1
            statistics.fail_ns += time.perf_counter_ns() - batch[0].queued_ns
            batch[0].fail(wrapped(error))
            return
        for item in batch:
            run_batch(run, [item], statistics)


def share(
    batch: Sequence[Item], outputs: Sequence[Array], statistics: Statistics, began_ns: int
) -> None:
    """Give every request of a batch its rows of the outputs."""
    ended = time.perf_counter_ns()
    statistics.execution_count += 1
    statistics.infer_ns += ended - began_ns
    statistics.last_inference_ms = time.time_ns() // 1_000_000
    rows = sum(item.rows for item in batch)
    if len(batch) > 1 and any(len(output) != rows for output in outputs):
        raise ValueError("the model gave another number of rows than it was given")
    start = 0
    for item in batch:
        stop = start + item.rows
        own = list(outputs) if len(batch) == 1 else [output[start:stop] for output in outputs]
        start = stop
        statistics.success_count += 1
        statistics.inference_count += item.rows
        statistics.queue_ns += began_ns - item.queued_ns
        statistics.success_ns += ended - item.queued_ns
        if item.span is not None:
            item.span.run_began_ns, item.span.run_ended_ns = began_ns, ended
        item.succeed(own)


def wrapped(error: BaseException) -> RequestError:
    """Return the error that a request is answered with: 400 for its values, 500 for the rest."""
    if isinstance(error, RequestError):
        return error
    if isinstance(error, ValueError):
        return RequestError(f"the model cannot answer these values: {error}")
    return RequestError(f"the model failed: {error}", 500)


def _too_late() -> RequestError:
    return RequestError("the deadline passed while the request waited", 504)


def _alone_done(item: Item, outputs: list[Array], statistics: Statistics, began_ns: int) -> None:
    share([item], outputs, statistics, began_ns)
