"""The server in every pod of a serve task: `python -m executors.kubernetes.serving.pod`.

It fetches the package from the engine's artefact endpoint, or takes it from the modelcar that
KServe shows to it (`shown`), and serves it as a local server does
(`executors.serving.server`), on all addresses of the pod. What it measures goes to the engine,
window by window. SIGTERM lets it say that it is not ready, and answer a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import math
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import uvloop

from engine.model.errors import BerthError
from executors.kubernetes import pod
from executors.kubernetes.serving import DRAIN_SECONDS, PORT, shown
from executors.kubernetes.serving.telling import Telling
from executors.serving import faces, logs, tracing
from executors.serving.models import ServedModel
from executors.serving.packages import Packages
from executors.serving.server import ModelServer
from executors.serving.windows import Windows

_EARLY = 0.05
"""Of a window."""


def main(environment: Mapping[str, str]) -> int:
    """Serve the package that the environment names until a signal ends it; return the exit code."""
    logs.to_standard_error()
    name, digest = environment["BERTH_MODEL"], environment["BERTH_PACKAGE"]
    target = Path(environment.get("BERTH_ROOT", "/berth")) / "package"
    try:
        if not target.exists():
            _bring(environment, target)
        packages = Packages(name, environment)
        model = packages.load(digest, target)
        packages.processes.warm()
        with contextlib.closing(packages.processes):
            _run(environment, packages, dataclasses.replace(model, name=name))
    except pod.TransferError as error:
        sys.stderr.write(f"the package cannot be fetched: {error}\n")
        return 1
    except BerthError as error:
        sys.stderr.write(f"{error.message}\n{error.fix}\n")
        return error.exit_code
    return 0


def _bring(environment: Mapping[str, str], target: Path) -> None:
    """Lay the package out."""
    if shown.MODELCAR in environment:
        shown.lay_out(environment[shown.MODELCAR], target)
    else:
        pod.patiently(functools.partial(pod.fetch, environment["BERTH_ADDRESS"], target))


def _run(environment: Mapping[str, str], packages: Packages, model: ServedModel) -> None:
    """Serve a model that was loaded."""
    host = environment.get("BERTH_HOST", "0.0.0.0")  # noqa: S104 - of the pod alone
    listening = faces.listen(int(environment.get("BERTH_PORT", PORT)), host)
    telling = Telling(model.name, environment["BERTH_SIGNALS"])
    windows = Windows(telling)
    tracer = tracing.from_environment(environment, "berth-model-server")
    application = ModelServer(model, packages, windows, tracer=tracer)
    faces.tune()
    telling.start()
    measuring = _Measuring(
        application, windows, telling, float(environment.get("BERTH_WINDOW_SECONDS", "1"))
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(application, listening, measuring))
    finally:
        telling.close()
        if tracer is not None:
            tracer.close()


@dataclasses.dataclass(frozen=True, slots=True)
class _Measuring:
    """Ends the windows of a server, at the same instants in all its pods."""

    application: ModelServer
    windows: Windows
    telling: Telling
    seconds: float

    async def go_on(self) -> None:
        """End a window whenever the clock passes a multiple of its length."""
        while True:
            await asyncio.sleep(self.seconds - time.time() % self.seconds)
            # A sleep may end a moment early.
            self.end(math.floor(time.time() / self.seconds + _EARLY) * self.seconds)

    def end(self, at: float, *, is_whole: bool = True) -> None:
        """End the window that began last."""
        self.telling.begin(at)
        features = [each.name for each in self.application.model.features]
        self.windows.flush(features, is_whole=is_whole)
        self.telling.end()


async def _serve(application: ModelServer, listening: socket.socket, measuring: _Measuring) -> None:
    def leaving() -> float:
        application.service.draining = True
        return DRAIN_SECONDS

    configuration = faces.configuration(application, application.inference)
    server = faces.Server(configuration, leaving)
    going_on = asyncio.create_task(measuring.go_on())
    try:
        await server.serve(sockets=[listening])
    finally:
        going_on.cancel()
        measuring.end(time.time(), is_whole=False)


if __name__ == "__main__":
    sys.exit(main(os.environ))
