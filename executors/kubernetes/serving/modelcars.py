"""Packages of InferenceServices as modelcars: the node pulls them, no pod fetches anything.

The engine pushes each package once, before its pods are asked for. KServe finds the image by the
variable `STORAGE_URI` of the server's container; what the server does with it is in `shown`.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from engine.model.errors import RetryableError
from engine.model.identifiers import Digest
from engine.ports import ArtifactStore
from executors.kubernetes.serving.shown import Modelcar
from executors.kubernetes.settings import ClusterSettings
from executors.packaging.oci import distribution, modelcars
from executors.packaging.oci.layers import LayerCache

_WAIT_SECONDS = 4.0
"""How long a look waits for a push that has begun."""
_PAUSE_SECONDS = 15.0
"""How long a registry is left alone after a push that failed."""


class Modelcars:
    """Pushes packages; may be used from several threads.

    layers: folder of the layer that all share. environment: where logins of registries are looked
    for. clock: monotonic seconds.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        layers: Path,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._artifacts = artifacts
        self._layers = layers
        self._environment = environment
        self._clock = clock
        self._pushes: dict[tuple[str, str], tuple[Future[Modelcar], float]] = {}
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, "modelcars")

    def of(self, given: ClusterSettings, package: str) -> Modelcar:
        """Return the modelcar of a package, pushed to the repository of a cluster's settings.

        Raises:
            RetryableError: while it is on its way, or when the registry does not answer.
            RefusedError: when it refuses us. NotFoundError: when there is no shell to begin with.
            DamagedError: when the package is not what it says.
        """
        key = (given.modelcars, package)
        with self._lock:
            push, tried_at = self._pushes.get(key, (None, 0.0))
            over = push is not None and push.done() and push.exception() is not None
            if push is None or (over and self._clock() - tried_at >= _PAUSE_SECONDS):
                push = self._worker.submit(self._push, given, package)
                self._pushes[key] = (push, self._clock())
        wait([push], _WAIT_SECONDS)
        if not push.done():
            raise RetryableError(f"package {package} is on its way to {given.modelcars!r}")
        try:
            return push.result()
        except OSError as error:
            message = f"package {package} cannot be pushed: {error}"
            raise RetryableError(message, fix="make room on the disk") from error

    def close(self) -> None:
        """End the thread, once the push that it is at is over."""
        self._worker.shutdown(cancel_futures=True)

    def _push(self, given: ClusterSettings, package: str) -> Modelcar:
        where = distribution.parse(given.modelcars)
        with tempfile.TemporaryDirectory(prefix="berth-modelcar-") as scratch:
            layout = Path(scratch) / "package"
            self._artifacts.fetch(Digest(package), layout)
            cache = LayerCache(self._layers)
            made = modelcars.build(layout, cache, self._environment, given.modelcar_base)
        registry = distribution.Registry(where, self._environment)
        # What has no tag is cleaned away in many registries.
        tag = made.package.removeprefix("sha256:")
        try:
            built = made.built
            registry.push(built.layers, built.config, built.manifest, tags=(tag,))
        finally:
            registry.close()
        image = f"{where.host}/{where.repository}@{built.digest}"
        return Modelcar(image=image, package=made.package, labels=made.labels)
