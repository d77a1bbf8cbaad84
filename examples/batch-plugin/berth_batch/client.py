"""The service's interface, and nothing else: what a plug-in for another service replaces."""

from __future__ import annotations

import json
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, cast

from berth_batch import packing
from engine.model.errors import (
    DamagedError,
    NotFoundError,
    RefusedError,
    RetryableError,
    UnreachableError,
)

SECONDS = 30.0
_SERVER_FAULT, _BUSY, _MISSING = 500, 429, 404


class BatchClient:
    """Speaks to the service at a URL; a job is called by a name that the caller gives."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def submit(self, name: str, job: dict[str, Any]) -> None:
        """Submit a job, once: a second submission of the name changes nothing.

        Raises:
            UnreachableError: when there is no answer; RetryableError: when it asks for patience.
            RefusedError: when it refuses the job.
        """
        self._send("PUT", f"/jobs/{name}", json.dumps(job).encode())

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs that were submitted and not removed; errors as `submit`."""
        return cast("list[dict[str, Any]]", json.loads(self._send("GET", "/jobs")))

    def stop(self, name: str) -> None:
        """Ask a job to end; one that is not there is none to stop; errors as `submit`."""
        try:
            self._send("POST", f"/jobs/{name}/stop", b"")
        except NotFoundError:
            return

    def bring(self, digest: str, folder: Path) -> None:
        """Bring an input to the service, under its digest; errors as `submit`."""
        self._send("PUT", f"/inputs/{digest}", packing.pack(folder))

    def fetch(self, name: str, folder: Path) -> None:
        """Lay out what a job left in its outputs at a folder; errors as `submit`.

        Raises:
            DamagedError: when it would leave the folder, such as a link to elsewhere.
        """
        packed = self._send("GET", f"/jobs/{name}/outputs")
        try:
            packing.unpack(packed, folder)
        except tarfile.TarError as error:
            raise DamagedError(f"its outputs cannot be taken: {error}") from error

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        address = self.url + path
        request = urllib.request.Request(address, data=body, method=method)  # noqa: S310 - as set up
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            text = f"the batch service: {error.read().decode('utf-8', 'replace')[:500]}"
            if error.code == _MISSING:
                raise NotFoundError(text) from error
            if error.code == _BUSY or error.code >= _SERVER_FAULT:
                raise RetryableError(text) from error
            raise RefusedError(text) from error
        except OSError as error:
            message = f"the batch service at {self.url!r} does not answer: {error}"
            raise UnreachableError(message, fix="check BERTH_BATCH_URL") from error
