"""Packages of InferenceServices as modelcars: the node pulls them, no pod fetches anything.

The engine pushes each package once, before its pods are asked for. KServe finds the image by the
variable `STORAGE_URI` of the server's container; what the server does with it is in `shown`.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path

from engine.model.errors import BerthError, RetryableError
from engine.model.identifiers import Digest
from engine.ports import ArtifactStore
from executors.kubernetes.serving.shown import Modelcar
from executors.kubernetes.settings import ClusterSettings
from executors.packaging.oci import distribution, modelcars
from executors.packaging.oci.layers import LayerCache

_LOG = logging.getLogger(__name__)
_WAIT_SECONDS = 4.0
"""How long the look that begins a push waits for it, and the end for the last one."""
_PAUSE_SECONDS = 15.0
"""How long a registry is left alone after a push that failed."""


class Modelcars:
    """Pushes packages; may be used from several threads.

    layers: folder of the layer that all share. scratch: folder for packages on their way; what a
    push that is cut short leaves there, its owner removes. environment: where logins of registries
    are looked for. clock: monotonic seconds.
    """

    def __init__(
        self,
        artifacts: ArtifactStore,
        layers: Path,
        scratch: Path,
        environment: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._artifacts = artifacts
        self._layers = layers
        self._scratch = scratch
        self._environment = environment
        self._clock = clock
        self._pushes: dict[tuple[str, str, str], tuple[Future[Modelcar], float]] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def of(self, given: ClusterSettings, package: str) -> Modelcar:
        """Return the modelcar of a package, pushed to the repository of a cluster's settings.

        Only the call that begins a push waits for it: the others have their own work to do.

        Raises:
            RetryableError: while it is on its way, or when it fails for what may pass.
            RefusedError: when the registry refuses us.
            NotFoundError: when there is no shell to begin with.
            DamagedError: when the package is not what it says.
        """
        key = (given.modelcars, given.modelcar_base, package)
        with self._lock:
            push, tried_at = self._pushes.get(key, (None, 0.0))
            over = push is not None and push.done() and push.exception() is not None
            is_mine = push is None or (over and self._clock() - tried_at >= _PAUSE_SECONDS)
            if push is None or is_mine:
                push = Future()
                self._pushes[key] = (push, self._clock())
        if is_mine:
            # A thread that nobody waits for at the end: what it leaves undone is pushed once more.
            job = (push, given, package)
            threading.Thread(target=self._work, args=job, name="modelcar", daemon=True).start()
            wait([push], _WAIT_SECONDS)
        if not push.done():
            raise RetryableError(f"package {package} is on its way to {given.modelcars!r}")
        return push.result()

    def close(self) -> None:
        """Begin no more pushes, and give the one that is under way a moment."""
        with self._lock:
            pushes = [push for push, _ in self._pushes.values()]
        for push in pushes:
            push.cancel()
        wait(pushes, _WAIT_SECONDS)

    def _work(self, push: Future[Modelcar], given: ClusterSettings, package: str) -> None:
        """Push one package, when those before it are over."""
        with self._turn:
            if not push.set_running_or_notify_cancel():
                return
            try:
                push.set_result(self._push(given, package))
            except BerthError as error:
                push.set_exception(error)
            except Exception as error:
                # What a registry answers must not keep other servers from being looked at.
                _LOG.exception("the push of %s to %s failed", package, given.modelcars)
                message = f"package {package} cannot be pushed to {given.modelcars!r}: {error}"
                fix = "look at the registry, and at the room on the disk"
                push.set_exception(RetryableError(message, fix=fix))

    def _push(self, given: ClusterSettings, package: str) -> Modelcar:
        where = distribution.parse(given.modelcars)
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            layout = Path(folder) / "package"
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
