"""Models in repositories, asked of an engine over HTTP.

The methods are those of `api.wiring.model_desk.ModelDesk`.
"""

from __future__ import annotations

from api.client.transport import Transport
from api.messages import modelling


class RemoteModels:
    """The models of one engine. May be used from several threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def deliver(self, name: str, commit: str = "") -> modelling.DeliveryAnswer:
        """Take a commit through tests and image to its servers."""
        path = f"/v1/models/{name}/deliver"
        query = {"commit": commit or None}
        return self._transport.value(modelling.DeliveryAnswer, "POST", path, query=query)

    def models(self) -> tuple[modelling.ModelSummary, ...]:
        """Return all models with what they serve."""
        return self._transport.value(tuple[modelling.ModelSummary, ...], "GET", "/v1/models")

    def releases(self, name: str) -> tuple[modelling.ReleaseEvent, ...]:
        """Return what became of a model's pushes, newest first."""
        path = f"/v1/models/{name}/releases"
        return self._transport.value(tuple[modelling.ReleaseEvent, ...], "GET", path)

    def promote(self, name: str, release: str = "") -> modelling.ReleaseEvent:
        """Serve a release in production."""
        path, query = f"/v1/models/{name}/promote", {"release": release or None}
        return self._transport.value(modelling.ReleaseEvent, "POST", path, query=query)

    def weights(self, name: str, artifact: str) -> bytes:
        """Return weights of a model by the digest of their artefact."""
        return self._transport.ask("GET", f"/v1/models/{name}/weights/{artifact}").content

    def roll_back(self, name: str) -> modelling.ReleaseEvent:
        """Serve in production what served before."""
        path = f"/v1/models/{name}/rollback"
        return self._transport.value(modelling.ReleaseEvent, "POST", path)
