"""What KServe shows of a modelcar to the server in a pod, and how the server is told of it.

KServe shows the image that the variable `STORAGE_URI` names at `/mnt/models`; another variable says
what package that is.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.model.errors import DamagedError, RetryableError
from engine.model.identifiers import Digest
from executors.packaging import images

STORAGE = "STORAGE_URI"
"""Where KServe looks for the model of a container that is none of its runtimes."""
MODELCAR = "BERTH_MODELCAR"
"""What the package in the modelcar is, as JSON."""
SHOWN = Path("/mnt/models")
"""Where KServe shows a model to a server."""
_SECONDS_MAX = 120.0
_LOOK_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Modelcar:
    """A package in a registry. image: by digest; package, labels: of its manifest."""

    image: str
    package: Digest
    labels: Mapping[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """What its pods are told."""
        told = {"package": self.package, "labels": dict(self.labels)}
        return {STORAGE: f"oci://{self.image}", MODELCAR: images.canonical(told).decode()}


def lay_out(
    told: str, target: Path, shown: Path = SHOWN, wait: Callable[[float], None] = time.sleep
) -> None:
    """Lay the package that a modelcar shows out as a layout; the digest says whether it is that.

    The link to it comes when the container of the modelcar runs, which may be later than this one.

    Raises:
        RetryableError: when nothing is shown. DamagedError: when it is another package.
    """
    described = cast("dict[str, Any]", json.loads(told))
    try:
        _wait_for(shown, wait)
        files = {
            path.relative_to(shown).as_posix(): path.read_bytes()
            for path in sorted(shown.rglob("*"))
            if path.is_file()
        }
    except OSError as error:
        message = f"{str(shown)!r} cannot be read: {error.strerror}"
        fix = "let KServe run both containers as one user (`uidModelcar`)"
        raise RetryableError(message, fix=fix) from error
    # A container that is started again takes what lies at the target as it is.
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    labels = described["labels"]
    found = images.write_package(partial, images.pack(files), labels=labels, durable=False)
    if found != described["package"]:
        message = f"{str(shown)!r} holds {found}, not {described['package']}"
        raise DamagedError(message, fix="see which image the modelcar runs")
    partial.rename(target)


def _wait_for(shown: Path, wait: Callable[[float], None]) -> None:
    left = _SECONDS_MAX
    while not shown.is_dir():
        if left <= 0:
            message = f"nothing is shown at {str(shown)!r} after {_SECONDS_MAX:g} s"
            fix = "let KServe's `storageInitializer` say `enableModelcar: true`"
            raise RetryableError(message, fix=fix)
        wait(_LOOK_SECONDS)
        left -= _LOOK_SECONDS
