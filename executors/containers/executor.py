"""Port `Executor` on podman: the local executor, whose shims are first processes of containers."""

from __future__ import annotations

import os
from pathlib import Path

from engine.model.dispatches import AttemptOrder
from engine.model.errors import RefusedError, RetryableError
from engine.model.specs import TaskKind
from engine.ports import ArtifactStore, Clock, FleetSource
from executors.containers import podman
from executors.containers.settings import ContainerSettings
from executors.local import files, launch
from executors.local.executor import LocalExecutor


class Containers:
    """Starts shims in containers (`executors.local.starting.Starter`).

    An attempt's container has one name for every engine, so podman itself keeps two from running.
    Once its shim has claimed the attempt, the process id that podman wrote down and the claim's
    identity say whether it lives; podman is asked only before that and after the end.
    """

    def __init__(self, home: Path, settings: ContainerSettings) -> None:
        self._home = home
        self._settings = settings
        self._podman = podman.Podman(settings.podman)
        self._counts: dict[str, int] = {}
        self._gone: set[str] = set()
        self._has_berth = False

    @property
    def python(self) -> str:
        """The interpreter in the image."""
        return self._settings.python

    def owns(self, folder: Path) -> bool:
        """Whether an attempt's folder is that of a container."""
        return (folder / files.CONTAINER).exists()

    def prepare(self, folder: Path, order: AttemptOrder) -> None:
        """Mark a folder as that of a container.

        Raises:
            RefusedError: when it is to serve, several nodes are to run it, its pipeline's folder
                cannot be shown to it, or the image does not have what it runs.
            RetryableError: when podman does not answer.
        """
        if order.kind is TaskKind.SERVE:
            message = f"{order.attempt_id!r} serves, and containers here run tasks that end"
            raise RefusedError(message, fix="serve on a local or a Kubernetes cluster")
        if order.nodes > 1:
            message = f"{order.attempt_id!r} is for {order.nodes} nodes, and a container is one"
            raise RefusedError(message, fix="run it on a local or a Kubernetes cluster")
        self._check_paths(order)
        self._check_image(order)
        name = podman.name_of(self._home, order.attempt_id)
        files.write_durably(folder / files.CONTAINER, name.encode())
        (folder / files.PODMAN).mkdir()

    def _check_paths(self, order: AttemptOrder) -> None:
        """Refuse paths that podman would take for something else, and folders behind the wall."""
        for path in (str(self._home), order.folder):
            if ":" in path:
                message = f"podman cannot mount {path!r}: it reads the colon as the path's end"
                raise RefusedError(message, fix="move it to a path without a colon")
        inside = podman.is_within(order.folder or self._home, self._home)
        if inside and not podman.is_same(order.folder or self._home, self._home):
            message = f"the folder {order.folder!r} of {order.pipeline!r} lies in the data folder"
            raise RefusedError(message, fix="move the pipeline's folder out of the data folder")

    def _check_image(self, order: AttemptOrder) -> None:
        """Refuse a built-in task in an image without Berth; one that has it is looked at once."""
        if order.command or self._has_berth:
            return
        self._has_berth = self._podman.has_berth(self._settings)
        if not self._has_berth:
            image = self._settings.image
            message = f"image {image!r} holds no Berth, which built-in tasks ({order.kind}) need"
            fix = "`berth image build berth:0.1 --podman` makes one; set it as `container_image`"
            raise RefusedError(message, fix=fix)

    def spawn(self, order: AttemptOrder, folder: Path) -> None:
        """Start a container; when that fails, nothing of it is left.

        Raises:
            RefusedError: when the image is not there. RetryableError: on any other fault.
        """
        self._counts[order.attempt_id] = self.count(order.attempt_id) + 1
        self._gone.discard(order.attempt_id)
        told = files.read_launch(folder)
        if told is None:
            raise RetryableError(f"{str(folder / files.LAUNCH)!r} is damaged")
        for name in ("clusters", launch.MODELS):
            (self._home / name).mkdir(exist_ok=True)
        (self._home / "started.log").touch()
        cores = len(told["cpus"]) or os.cpu_count() or 1
        words = podman.arguments(order, self._home, told, self._settings, cores)
        try:
            self._podman.run(words, self._settings.image, folder)
        except RetryableError:
            self._podman.remove(podman.name_of(self._home, order.attempt_id))
            raise

    def has(self, attempt: str) -> bool:
        """Whether a container runs whose shim has not claimed its attempt yet."""
        folder = launch.folder_of(self._home, attempt)
        if attempt in self._gone or (folder / files.CLAIM).exists():
            return False
        return self._podman.runs(podman.name_of(self._home, attempt))

    def count(self, attempt: str) -> int:
        """Return how many containers were started here for an attempt."""
        return self._counts.get(attempt, 0)

    def kill(self, folder: Path) -> None:
        """End what lives of an attempt, and remove its container."""
        self.clear(folder)

    def clear(self, folder: Path) -> None:
        """Remove the container of an attempt that is over.

        Raises:
            RetryableError: when podman cannot.
        """
        self._podman.remove(podman.name_of(self._home, folder.name))
        self._gone.add(folder.name)

    def sweep(self) -> None:
        """Remove containers whose attempts have no folder any more.

        Raises:
            RetryableError: when podman cannot.
        """
        for name, attempt in self._podman.named(self._home):
            folder = launch.folder_of(self._home, attempt)
            if not folder.exists() or (folder / files.STATE).exists():
                self._podman.remove(name)


class ContainerExecutor(LocalExecutor):
    """Runs attempts of local clusters in containers.

    Arguments are those of `LocalExecutor`, and the settings of the containers. Not safe for
    several threads, and one process at a time.

    Raises:
        RetryableError: when podman does not answer.
    """

    def __init__(
        self,
        home: Path,
        source: FleetSource,
        artifacts: ArtifactStore,
        clock: Clock,
        settings: ContainerSettings,
    ) -> None:
        containers = Containers(home.absolute(), settings)
        super().__init__(home, source, artifacts, clock, containers)
        containers.sweep()
