"""The model server of a pipeline: one model by name, whichever package of it is in place.

It speaks the protocol as the standalone server does (`standalone`). A swap loads and checks the
new package while the old one serves, then puts it in its place in one step.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.model.errors import BerthError, NotFoundError
from executors.serving import packaged
from executors.serving.models import ServedModel
from executors.serving.packaged import PackagedRunner, WindowObserver
from executors.serving.packages import Packages
from executors.serving.runtime.faults import RequestError
from executors.serving.runtime.shelf import Shelf
from executors.serving.tracing import Tracer
from executors.serving.v2 import documents, routes
from executors.serving.v2.application import Application
from executors.serving.v2.routes import Json, Routes
from executors.serving.v2.service import InferenceService, Limits
from executors.serving.windows import Windows

_BODY_BYTES_MAX = 16 << 20
AUDIT = "swaps.jsonl"


class ModelServer:
    """Serves one model by name, whichever version of it is in place.

    audit: file to which each swap is appended. tracer: records requests. Not for several threads
    but for the one that runs the event loop.
    """

    def __init__(
        self,
        model: ServedModel,
        packages: Packages,
        windows: Windows,
        audit: Path | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self.shelf = Shelf(audit=audit)
        self.service = InferenceService(
            shelf=self.shelf, limits=Limits(body_bytes_max=_BODY_BYTES_MAX), tracer=tracer
        )
        self._packages = packages
        self._windows = windows
        self._name = model.name
        self._swapping = asyncio.Lock()
        self._noting: asyncio.Task[None] | None = None  # the loop itself keeps only a weak one
        self.shelf.put(model.name, packaged.servable_of(model.name, model), "start")
        self.service.observers[model.name] = WindowObserver(windows)
        post = ["POST"]
        more = [
            Route("/v2/models/{model}/labels", self._labels, methods=post),
            Route("/v2/repository/models/{model}/load", self._load, methods=post),
            Route("/v2/repository/models/{model}/unload", self._unload, methods=post),
        ]
        self.inference = Application(self.service, Routes(self.service, more).application)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self.inference(scope, receive, send)

    @property
    def model(self) -> ServedModel:
        """What serves now."""
        runner = self.shelf.slot(self._name).current.default.runner
        return cast("PackagedRunner", runner).model

    @model.setter
    def model(self, model: ServedModel) -> None:
        """Serve another model from the next request on; the runner beside it swaps so too."""
        self.shelf.put(self._name, packaged.servable_of(self._name, model))

    async def swap(self, digest: str, layout: Path | None = None) -> None:
        """Serve another package; until it is loaded and checked, the old one serves.

        Raises:
            NotFoundError: when nothing has this digest.
            DamagedError: when the package is not what it says it is; nothing changed.
        """
        async with self._swapping:
            if digest in self.model.names:
                return
            try:
                model = await asyncio.to_thread(self._packages.load, digest, layout)
            except BerthError as error:
                self.shelf.note_refused(self._name, error.message)
                raise
            if model.name != self._name:
                raise RequestError(f"the package holds {model.name!r}, not {self._name!r}")
            if self._noting is not None:
                await self._noting  # tags are set in the order of the swaps
            self.model = model
            self._noting = asyncio.create_task(
                asyncio.to_thread(self._packages.note_serving, model)
            )

    # -------------------------------------------------------------------- routes

    def _check_name(self, request: Request) -> None:
        self.shelf.slot(request.path_params["model"])

    async def _load(self, request: Request) -> Json:
        self._check_name(request)
        document = documents.read_object(await routes.body_of(request, self.service))
        parameters = document.get("parameters")
        given = cast("dict[str, Any]", parameters) if isinstance(parameters, dict) else {}
        digest, path = given.get("digest"), given.get("path")
        if not isinstance(digest, str):
            raise RequestError("`parameters.digest` is missing, expected the package's digest")
        try:
            await self.swap(digest, Path(str(path)) if path else None)
        except NotFoundError as error:
            # The path exists; what is missing is what the body names.
            raise RequestError(error.message, 422) from error
        return Json({"name": self._name, "digest": digest, "version": self.model.digest})

    async def _unload(self, request: Request) -> Json:
        self._check_name(request)
        message = f"model {self._name!r} is served by its pipeline; stop its task instead"
        raise RequestError(message, 409)

    async def _labels(self, request: Request) -> Json:
        self._check_name(request)
        entries = documents.read_any(await routes.body_of(request, self.service))
        if not isinstance(entries, list):
            raise RequestError('the body is no list of {"id": ..., "label": ...}')
        pairs = [_label(entry) for entry in cast("list[object]", entries)]
        matched = sum(self._windows.label(request_id, labels) for request_id, labels in pairs)
        return Json({"matched": matched, "unknown": len(pairs) - matched})


def _label(entry: object) -> tuple[str, list[int]]:
    """Read one late label: a number, or a list for a request with several rows."""
    found = cast("dict[str, object]", entry) if isinstance(entry, dict) else {}
    request_id, label = found.get("id"), found.get("label")
    labels = cast("list[object]", label) if isinstance(label, list) else [label]
    if not isinstance(request_id, str) or not all(isinstance(value, int) for value in labels):
        raise RequestError(f'{entry!r} is not {{"id": text, "label": whole number}}')
    return request_id, cast("list[int]", labels)
