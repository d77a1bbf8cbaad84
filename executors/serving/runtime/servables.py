"""One version of a model in service: its runner, its queue, where it runs."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.model.errors import DamagedError
from executors.serving.runtime import loading
from executors.serving.runtime.batching import Batcher, Done, InlineBatcher, RemoteBatcher
from executors.serving.runtime.faults import RequestError, busy
from executors.serving.runtime.hosted import HostedModel
from executors.serving.runtime.own import Unpacked
from executors.serving.runtime.processes import Processes
from executors.serving.runtime.runners import Runner, TensorSpec, arrange
from executors.serving.runtime.settings import Isolation, ModelSettings
from executors.serving.runtime.tensors import Array, Tensor
from executors.serving.tracing.spans import Span

_RESTARTS_MAX = 3
_DRAIN_SECONDS_MAX = 30.0
_DRAIN_STEP_SECONDS = 0.01


@dataclass(slots=True, kw_only=True, eq=False)
class Servable:
    """A version that answers. Used by the thread of the event loop.

    aliases: other names of the version, as digests. source: its folder, None for one that was
    handed in ready. described: what metadata says beside the tensors. processes: where its own
    process is started again. leave: digest of the package that may run code there. unpacked: the
    package of a class of one's own, which `source` is then.
    """

    name: str
    version: str
    runner: Runner | HostedModel
    batcher: Batcher
    settings: ModelSettings
    aliases: frozenset[str] = frozenset()
    source: Path | None = None
    described: dict[str, object] = field(default_factory=dict)
    processes: Processes = field(default_factory=Processes)
    leave: str = ""
    unpacked: Unpacked | None = None
    open_requests: int = 0
    closed: bool = False
    _restarts: int = 0
    _restarting: asyncio.Task[None] | None = None

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What it is asked."""
        return self.runner.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What it answers."""
        return self.runner.outputs

    @property
    def is_ready(self) -> bool:
        """Whether it can answer now."""
        if isinstance(self.runner, HostedModel):
            return not self.closed and self.runner.is_alive
        return not self.closed

    def begin(
        self,
        tensors: Sequence[Tensor],
        deadline: float,
        done: Done,
        span: Span | None = None,
    ) -> None:
        """Start to answer a request; `done` is told the outcome.

        deadline: by the machine's monotonic clock, in seconds. span: told when it ran.

        Raises:
            RequestError: when the request is at fault, or too much waits.
        """
        arrays = arrange(self.runner, tensors)
        if isinstance(self.runner, HostedModel) and not self.is_ready:
            self._restart()
            raise busy("the process of the model is starting", 503)
        self.batcher.submit(arrays, deadline, done, span)

    async def infer(self, tensors: Sequence[Tensor], deadline: float) -> list[Array]:
        """Return the outputs for a request.

        Raises:
            RequestError: when the request or the model is at fault, too much waits, or time is up.
        """
        future: asyncio.Future[list[Array]] = asyncio.get_running_loop().create_future()
        self.open_requests += 1
        try:
            self.begin(tensors, deadline, functools.partial(settle, future))
            return await future
        finally:
            self.open_requests -= 1

    async def close(self) -> None:
        """Let open requests finish, then free what the model holds."""
        end = time.monotonic() + _DRAIN_SECONDS_MAX
        while self.open_requests and time.monotonic() < end:
            await asyncio.sleep(_DRAIN_STEP_SECONDS)
        self.closed = True
        if isinstance(self.runner, HostedModel):
            await self.runner.end()
        if self.unpacked is not None:
            await asyncio.to_thread(self.unpacked.remove)

    def _restart(self) -> None:
        """Start the process of the model again, a few times at most."""
        running = self._restarting is not None and not self._restarting.done()
        if self.closed or running or self._restarts >= _RESTARTS_MAX or self.source is None:
            return
        self._restarts += 1
        self._restarting = asyncio.create_task(self._start_again(self.source))

    async def _start_again(self, source: Path) -> None:
        if isinstance(self.runner, HostedModel):
            await self.runner.end()
        hosted = await HostedModel.start(source, self.settings, self.processes, self.leave)
        self.batcher = remote_batcher(hosted, self.settings)
        self.runner = hosted


def settle(
    future: asyncio.Future[list[Array]], outputs: list[Array] | None, error: RequestError | None
) -> None:
    """Hand an outcome to whoever waits, if somebody still does."""
    if future.done():
        return
    if outputs is None:
        future.set_exception(error or RequestError("no outputs", 500))
    else:
        future.set_result(outputs)


async def open_servable(
    name: str,
    version: str,
    folder: Path,
    settings: ModelSettings,
    processes: Processes,
    *,
    is_starting: bool = False,
    leave: str = "",
) -> Servable:
    """Load a version, here or in a process of its own; it has answered its golden requests.

    is_starting: nobody is served yet, so importing a library holds up nobody. leave: digest of
    the package whose pickle may be loaded, which is never done here.

    Raises:
        DamagedError: when it cannot be loaded or answers wrongly.
    """
    if await asyncio.to_thread(loading.is_own, folder):
        return await _open_own(name, version, folder, settings, processes)
    inline = not leave and (
        settings.isolation is Isolation.INLINE
        or (
            settings.isolation is Isolation.AUTO
            and await asyncio.to_thread(loading.is_quick, folder, may_import=is_starting)
        )
    )
    if inline:
        runner = await asyncio.to_thread(loading.open_runner, folder, settings)
        return inline_servable(name, version, runner, settings, source=folder)
    return await _hosted(name, version, folder, settings, processes, leave)


async def _open_own(
    name: str, version: str, layout: Path, settings: ModelSettings, processes: Processes
) -> Servable:
    """Load a package with a class of its own, unpacked, in a process that is confined.

    Raises:
        DamagedError: as `open_servable`.
    """
    unpacked = await asyncio.to_thread(Unpacked, layout)
    try:
        found = await _hosted(name, version, unpacked.folder, settings, processes, unpacked.digest)
    except BaseException:  # also when the server is ended meanwhile
        unpacked.remove()
        raise
    found.unpacked = unpacked
    return found


async def _hosted(
    name: str,
    version: str,
    folder: Path,
    settings: ModelSettings,
    processes: Processes,
    leave: str,
) -> Servable:
    """Load a version in a process of its own."""
    hosted = await HostedModel.start(folder, settings, processes, leave)
    return Servable(
        name=name,
        version=version,
        runner=hosted,
        batcher=remote_batcher(hosted, settings),
        settings=settings,
        source=folder,
        described=_described(hosted),
        processes=processes,
        leave=leave,
    )


def inline_servable(
    name: str,
    version: str,
    runner: Runner,
    settings: ModelSettings,
    *,
    source: Path | None = None,
    aliases: frozenset[str] = frozenset(),
) -> Servable:
    """Return a version that runs in the server's own process."""
    rows_max, queue_max = settings.batch_rows_max, settings.queue_max
    return Servable(
        name=name,
        version=version,
        runner=runner,
        batcher=InlineBatcher(runner, rows_max=rows_max, queue_max=queue_max),
        settings=settings,
        source=source,
        aliases=aliases,
        described=_described(runner),
    )


def remote_batcher(hosted: HostedModel, settings: ModelSettings) -> RemoteBatcher:
    """Return the queue of a model in another process."""
    return RemoteBatcher(
        hosted.run,
        stackable=hosted.stackable,
        rows_max=settings.batch_rows_max,
        queue_max=settings.queue_max,
    )


def _described(runner: Runner | HostedModel) -> dict[str, object]:
    """Return what metadata says of where a model runs.

    Raises:
        DamagedError: when two tensors of the model share a name.
    """
    for specs in (runner.inputs, runner.outputs):
        names = [spec.name for spec in specs]
        if len(set(names)) < len(names):
            raise DamagedError(f"tensors of the model share a name: {names}")
    own = isinstance(runner, HostedModel)
    return {"isolation": (Isolation.PROCESS if own else Isolation.INLINE).value}
