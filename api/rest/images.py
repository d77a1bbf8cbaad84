"""Routes about packaged models: bill, scan, and whether the policy lets them be deployed."""

from __future__ import annotations

import os
from typing import Any

from starlette.responses import Response

from api.rest import answering
from api.wiring import Application
from api.wiring.image_desk import ImageDesk
from engine.model.scans import ScanReport
from executors.packaging.security.policies.policy import Verdict

router = answering.router("images")


@router.get("/v1/images/{name}/verdict", response_model=Verdict)
def verdict(application: answering.Served, name: str) -> Response:
    """Return whether `NAME`, `NAME:TAG` or `NAME@DIGEST` may be deployed, and why not."""
    desk = _desk(application)
    return answering.value(desk.verdict(desk.target(name, stored_only=True), desk.policy()))


@router.get("/v1/images/{name}/findings", response_model=ScanReport)
def findings(application: answering.Served, name: str) -> Response:
    """Return what a scan finds, made now in a process with limits and without network."""
    desk = _desk(application)
    return answering.value(desk.scan(desk.target(name, stored_only=True)))


@router.get("/v1/images/{name}/sbom")
def bill(application: answering.Served, name: str) -> dict[str, Any]:
    """Return the bill of materials as CycloneDX 1.6."""
    desk = _desk(application)
    return desk.bill(desk.target(name, stored_only=True))


def _desk(application: Application) -> ImageDesk:
    return ImageDesk(application.parts.settings.home, os.environ)
