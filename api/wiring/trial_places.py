"""Where trials and trainings run when it is a Kubernetes cluster: `--on CLUSTER`.

A study or training is an installation of its own: its Jobs, its artefacts and their address stand
in its folder, so that it needs no engine and none takes its Jobs for its own. The port is kept, for
pods that run while the command is away bring their outputs to the address that they were told.
"""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from engine.clocks import SystemClock
from engine.model.errors import NotFoundError, RefusedError
from engine.model.fleet import Cluster
from engine.model.identifiers import PoolName
from engine.model.resources import Resources
from executors import kubernetes
from executors.local import FolderArtifacts
from executors.training.parallel.clusters import HOME, Site
from executors.training.trials.hosts import Host
from executors.training.trials.tasks import Ground, TaskHost

if TYPE_CHECKING:
    from api.settings import Settings
    from executors.kubernetes.settings import KubernetesSettings

_PORT = "port"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked for.

    pool: "" for the only one. limits: of one pod. listen: `HOST:PORT` at which pods leave what
    they made, "" for a free port; url: how they reach that.
    """

    cluster: str
    limits: Resources
    pool: str = ""
    listen: str = ""
    url: str = ""


@contextmanager
def on_cluster(
    settings: Settings,
    folder: Path,
    objective: str,
    wanted: Wanted,
    say: Callable[[str], None],
) -> Generator[Callable[[], Host]]:
    """Yield what makes a host of trials there, for the study in a folder; errors as `site`."""
    with site(settings, folder, wanted, "s") as found:
        yield lambda: TaskHost(
            found.executor,
            found.artifacts,
            found.ground,
            name=found.name,
            objective=objective,
            say=say,
        )


def trained_on(settings: Settings, folder: Path, wanted: Wanted) -> AbstractContextManager[Site]:
    """Return where the training in a folder runs; errors as `site`."""
    home = folder / HOME
    home.mkdir(parents=True, exist_ok=True)
    return site(settings, home, wanted, "t")


@contextmanager
def site(settings: Settings, folder: Path, wanted: Wanted, kind: str) -> Generator[Site]:
    """Yield a cluster for what is kept in a folder; kind: how its names begin.

    Raises:
        NotFoundError: when there is no such cluster or pool.
        InvalidInputError: when the settings of the clusters have faults.
    """
    if settings.kubernetes is None:
        message = f"there is no cluster {wanted.cluster!r}: no settings of Kubernetes"
        raise NotFoundError(message, fix="write `kubernetes.toml`: docs/how-to/kubernetes.md")
    folder = folder.absolute()
    name = kubernetes.installation_of(folder)
    given = _reached(kubernetes.read_settings(settings.kubernetes), folder, wanted)
    clusters = kubernetes.KubernetesClusters(given, name)
    artifacts = FolderArtifacts(folder / "artifacts")
    executor = kubernetes.KubernetesExecutor(folder, clusters, artifacts, SystemClock())
    try:
        found = kubernetes.KubernetesFleetSource(clusters).fleet().clusters
        cluster = next((each for each in found if each.name == wanted.cluster), None)
        if cluster is None:
            known = ", ".join(sorted(each.name for each in found)) or "none"
            message = f"there is no cluster {wanted.cluster!r}, only {known}"
            raise NotFoundError(message, fix="name one of them with `--on`")
        ground = Ground(cluster=cluster.name, pool=_pool(cluster, wanted), limits=wanted.limits)
        yield Site(executor=executor, artifacts=artifacts, ground=ground, name=f"{kind}-{name}")
    finally:
        executor.close()


def _pool(cluster: Cluster, wanted: Wanted) -> PoolName:
    """Return the pool that is asked for, or the only one."""
    names = sorted(pool.name for pool in cluster.pools)
    if wanted.pool in names:
        return PoolName(wanted.pool)
    if not wanted.pool and len(names) == 1:
        return names[0]
    if not names:
        message = f"cluster {wanted.cluster!r} shows no nodes now"
        raise NotFoundError(message, fix="`berth doctor` examines it")
    message = f"cluster {wanted.cluster!r} has no pool {wanted.pool!r}, only {', '.join(names)}"
    raise NotFoundError(message, fix="name one of them with `--pool`")


def _reached(given: KubernetesSettings, folder: Path, wanted: Wanted) -> KubernetesSettings:
    """Return the settings with an address of the study's own.

    The host is that of the engine's address; a running engine holds its port.
    """
    host = given.listen.rpartition(":")[0]
    listen = wanted.listen or f"{host}:{_port(folder / 'kubernetes' / _PORT, host)}"
    url = wanted.url
    if not url and given.artifacts_url and not wanted.listen:
        known = urlsplit(given.artifacts_url)
        url = f"{known.scheme}://{known.hostname}:{listen.rpartition(':')[2]}"
    return dataclasses.replace(given, listen=listen, artifacts_url=url)


def _port(path: Path, host: str) -> int:
    """Return the port that a study keeps; a free one the first time."""
    if path.exists():
        return int(path.read_text(encoding="utf-8"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as chosen:
        try:
            chosen.bind((host.strip("[]"), 0))
        except OSError as error:
            message = f"{host!r} is no address of this machine: {error.strerror}"
            raise RefusedError(message, fix="name one with `--listen HOST:PORT`") from error
        port = int(chosen.getsockname()[1])
    path.write_text(f"{port}\n", encoding="utf-8")
    return port
