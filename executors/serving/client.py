"""Port `ModelServer` over the repository extension of the Open Inference Protocol."""

from __future__ import annotations

import http.client
import json
from typing import cast
from urllib.parse import quote, urlsplit

from engine.model.dispatches import Deployment
from engine.model.errors import DamagedError, UnreachableError
from engine.model.identifiers import Digest

_TIMEOUT_SECONDS = 60.0
"""A swap loads and checks a model, which for one of hundreds of megabytes takes seconds."""
_SERVER_FAULT = 500


class HttpModelServer:
    """Asks a model server to serve another package.

    timeout_seconds: longest wait for an answer.
    """

    def __init__(self, timeout_seconds: float = _TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds

    def swap(self, deployment: Deployment) -> Digest:
        """Make the server serve `wanted`; return the digest that serves now.

        Raises:
            UnreachableError: when the server does not answer or fails on its side.
            DamagedError: when it refuses the package; the old model still serves.
        """
        path = f"/v2/repository/models/{quote(deployment.pipeline, safe='')}/load"
        status, answer = self._post(
            deployment.endpoint, path, {"parameters": {"digest": deployment.wanted}}
        )
        said = str(answer.get("error", "nothing"))
        if status >= _SERVER_FAULT:
            message = f"the model server at {deployment.endpoint!r} failed: {said}"
            raise UnreachableError(message, fix="read the serve task's log, then repeat")
        if status != http.HTTPStatus.OK:
            message = f"the model server refused {deployment.wanted}: {said}"
            raise DamagedError(message, fix="package the model again")
        if "digest" not in answer:
            message = f"the server at {deployment.endpoint!r} takes no packages by digest"
            raise DamagedError(message, fix="name a `berth serve`, or the server of a serve task")
        return Digest(str(answer["digest"]))

    def _post(
        self, endpoint: str, path: str, document: dict[str, object]
    ) -> tuple[int, dict[str, object]]:
        """Return status and JSON answer of a POST."""
        address = urlsplit(endpoint)
        if not address.hostname:
            raise UnreachableError(f"the model server has no address yet: {endpoint!r}")
        connection = http.client.HTTPConnection(
            address.hostname, address.port, timeout=self._timeout_seconds
        )
        try:
            headers = {"Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(document), headers)
            response = connection.getresponse()
            value: object = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"the model server at {endpoint!r} does not answer: {error}"
            raise UnreachableError(message, fix="wait until it is up, then repeat") from error
        finally:
            connection.close()
        return response.status, cast("dict[str, object]", value if isinstance(value, dict) else {})
