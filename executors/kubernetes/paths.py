"""Where the data folder keeps what belongs to Kubernetes. Standard library only."""

from __future__ import annotations

import uuid
from pathlib import Path

from executors.local import files


def log_path(home: Path, attempt: str) -> Path:
    """Return where the last lines of an ended attempt are kept."""
    return home / "kubernetes" / "logs" / f"{attempt}.txt"


def signals_folder(home: Path) -> Path:
    """Return where signals are kept until the watch has read them."""
    return home / "kubernetes" / "signals"


def installation_of(home: Path) -> str:
    """Return the id of a data folder, made once: it tells its Jobs from those of others."""
    path = home / "kubernetes" / "installation"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_once(path, uuid.uuid4().hex[:12].encode())
    return path.read_text(encoding="utf-8").strip()
