"""Has the servers of a model serve its releases; the journal and the registry's tags say so."""

from __future__ import annotations

from engine.model.dispatches import Deployment
from engine.model.errors import NotFoundError, RefusedError
from engine.model.identifiers import PipelineName, RunId, TaskName
from engine.ports import Clock, ModelServer
from executors.packaging.registry import OciRegistry
from executors.packaging.repository import settings
from executors.packaging.repository.releases import Event, Journal, Kind, Stage
from executors.packaging.repository.settings import ModelSettings


class Stages:
    """What serves releases for a test, and in production.

    server: what swaps models. registry: where packages are kept; a stage's name is the tag of the
    one that it serves.
    """

    def __init__(self, server: ModelServer, clock: Clock, registry: OciRegistry) -> None:
        self._server = server
        self._clock = clock
        self._registry = registry

    def deploy(
        self,
        given: ModelSettings,
        release: Event,
        stage: Stage,
        journal: Journal,
        *,
        kind: Kind = Kind.DEPLOYED,
    ) -> Event:
        """Let the server of a stage serve a release; return the line of the journal that says so.

        Raises:
            RefusedError: when the model has no server for the stage.
            NotFoundError: when the release has no package.
            UnreachableError, DamagedError: as `ModelServer.swap`; what served before serves on.
        """
        endpoint = given.test if stage is Stage.TEST else given.production
        if not endpoint:
            message = f"model {given.name!r} has no server for {stage.value}"
            fix = f'name it in {settings.FILE}: [deploy] {stage.value} = "http://HOST:PORT"'
            raise RefusedError(message, fix=fix)
        package = release.package
        if package is None:
            raise NotFoundError(f"release {release.commit[:12]} has no package")
        self._server.swap(
            Deployment(
                pipeline=PipelineName(given.name),
                task=TaskName("serve"),
                run_id=RunId(f"git-{release.commit[:12]}"),
                wanted=package,
                endpoint=endpoint,
            )
        )
        event = Event(
            at=self._clock.now(),
            kind=kind,
            commit=release.commit,
            package=package,
            image=release.image,
            stage=stage.value,
        )
        journal.append(event)
        self._registry.tag(given.name, package, stage.value)
        return event
