"""Finds the running engine: `BERTH_URL`, or what the engine wrote into its data folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.model.errors import UnreachableError

NOT_RUNNING = "engine is not running"
FIX = "start it with `berth start`"


def find_engine(home: Path, environment: Mapping[str, str]) -> str | None:
    """Return the base URL of the engine, or None when none runs on the data folder.

    An engine that was killed leaves its file behind, so its process is looked for too. Of
    several replicas any will do.
    """
    if environment.get("BERTH_URL"):
        return environment["BERTH_URL"]
    for path in (home / "engine.json", *sorted(home.glob("engine-*.json"))):
        url = _read(path)
        if url is not None:
            return url
    return None


def _read(path: Path) -> str | None:
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        pid, url = int(content["pid"]), str(content["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if _is_alive(pid) else None


def _is_alive(pid: int) -> bool:
    """Return whether a process exists; one of another user counts."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def not_running(detail: str = "") -> UnreachableError:
    """Return the error for an engine that does not answer."""
    message = f"{NOT_RUNNING} ({detail})" if detail else NOT_RUNNING
    return UnreachableError(message, fix=FIX)
