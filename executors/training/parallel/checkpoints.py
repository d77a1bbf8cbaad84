"""Checkpoints of training, the same whatever the number of workers.

One file, replaced in one step: a kill leaves the old one or the new one. It holds weights, the
optimiser's state and the number of steps taken; which samples come next follows from that number
alone, so that training goes on with more or fewer workers.
"""

from __future__ import annotations

import importlib
import os
import pickle
from pathlib import Path
from typing import Any

from engine.model.errors import DamagedError, RetryableError

torch: Any = importlib.import_module("torch")
NAME = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Keep a checkpoint in place of the last one.

    Raises:
        RetryableError: when the disk is full; the last one is still there.
    """
    partial = folder / f".{NAME}.{os.getpid()}"
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / NAME)
    except (OSError, RuntimeError) as error:
        partial.unlink(missing_ok=True)
        message = f"cannot keep a checkpoint in {str(folder)!r}: {error}"
        raise RetryableError(message, fix="free disk space, then run the same again") from error


def load(folder: Path) -> dict[str, Any] | None:
    """Return the last checkpoint, None when there is none. Nothing but tensors and numbers is read.

    Raises:
        DamagedError: when the file is not what `save` wrote.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, LookupError, ValueError, pickle.PickleError) as error:
        message = f"the checkpoint {str(path)!r} is damaged: {error}"
        raise DamagedError(message, fix="remove it to begin again") from error
    return state
