"""From how a command ended to what is observed of its attempt."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from engine.model.dispatches import AttemptOrder, AttemptState, Observation, Reason, Usage
from engine.model.errors import DamagedError
from engine.model.identifiers import Digest
from engine.model.specs import Scalar, is_scalar
from executors.local import files

EXIT_BAD_INPUT = 65
EXIT_GATE = 66
_OUTPUTS_FILE = "outputs.json"
_OUTPUTS_BYTES_MAX = 1 << 20
_SHOWN_CHARACTERS = 100


def reason_of(ending: files.Ending, code: int | None) -> Reason:
    """Return the machine-readable reason of an ending."""
    by_ending = {
        "memory": Reason.OUT_OF_MEMORY,
        "timeout": Reason.TIMED_OUT,
        "stopped": Reason.CANCELLED,
        "signalled": Reason.KILLED,
        "refused": Reason.CLUSTER_DOWN,
    }
    by_code = {0: Reason.COMPLETED, EXIT_BAD_INPUT: Reason.BAD_INPUT, EXIT_GATE: Reason.GATE}
    if ending == "exited":
        return by_code.get(code if code is not None else -1, Reason.EXIT_CODE)
    return by_ending[ending]


def state_of(reason: Reason) -> AttemptState:
    """Return the terminal state that goes with a reason."""
    by_reason = {
        Reason.COMPLETED: AttemptState.SUCCEEDED,
        Reason.CANCELLED: AttemptState.STOPPED,
        Reason.CLUSTER_DOWN: AttemptState.LOST,
    }
    return by_reason.get(reason, AttemptState.FAILED)


def read_outputs(folder: Path) -> Mapping[str, Scalar]:
    """Return the small values a task wrote.

    Raises:
        DamagedError: when `outputs.json` is missing, no JSON object, too large, or holds
            anything but text, finite numbers and booleans.
    """
    try:
        with files.open_plain(folder / _OUTPUTS_FILE) as file:
            data = file.read(_OUTPUTS_BYTES_MAX + 1)
        if len(data) > _OUTPUTS_BYTES_MAX:
            raise DamagedError(f"{_OUTPUTS_FILE} has over {_OUTPUTS_BYTES_MAX} bytes")
        value = files.parse(data)
    except FileNotFoundError as error:
        fix = f"write a JSON object to $BERTH_OUTPUTS/{_OUTPUTS_FILE}"
        raise DamagedError(f"{_OUTPUTS_FILE} is missing", fix=fix) from error
    except files.NotPlainError as error:
        raise DamagedError(f"{_OUTPUTS_FILE} is no plain file", fix="write one") from error
    except ValueError as error:
        raise DamagedError(f"{_OUTPUTS_FILE} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{_OUTPUTS_FILE} holds {type(value).__name__}, not an object")
    for name, found in cast("dict[str, object]", value).items():
        if not (is_scalar(name) and is_scalar(found)):
            shown = repr(found)[:_SHOWN_CHARACTERS]
            raise DamagedError(f"{_OUTPUTS_FILE}: {name!r} is {shown}, not a small value")
    return cast("dict[str, Scalar]", value)


def ended(
    order: AttemptOrder,
    document: files.Exit,
    *,
    outputs: Mapping[str, Scalar],
    artifact: Digest | None,
    disk_bytes: int,
) -> Observation:
    """Return the final observation of an attempt whose shim wrote how it ended."""
    reason = reason_of(document["ending"], document["code"])
    return Observation(
        attempt_id=order.attempt_id,
        state=state_of(reason),
        handle=order.attempt_id,
        started_at=document["started_at"],
        ended_at=document["ended_at"],
        exit_code=document["code"],
        reason=reason,
        message=document["message"],
        outputs=outputs,
        artifact=artifact,
        usage=Usage(
            duration_seconds=document["ended_at"] - document["started_at"],
            cpu_seconds=document["cpu_seconds"],
            memory_gib_peak=document["memory_bytes_peak"] / 2**30,
            disk_gib=disk_bytes / 2**30,
        ),
        last_lines=tuple(document.get("last_lines", ())),
    )


def bad_output(order: AttemptOrder, document: files.Exit, why: str) -> Observation:
    """Return the final observation of a command that succeeded but left no good outputs."""
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.FAILED,
        handle=order.attempt_id,
        started_at=document["started_at"],
        ended_at=document["ended_at"],
        exit_code=document["code"],
        reason=Reason.BAD_OUTPUT,
        message=why,
    )


def gone(
    order: AttemptOrder, claim: files.Claim | None, *, down: bool, now: float, why: str
) -> Observation:
    """Return the final observation of an attempt whose shim left nothing behind."""
    return Observation(
        attempt_id=order.attempt_id,
        state=AttemptState.LOST if down else AttemptState.FAILED,
        handle=order.attempt_id,
        started_at=claim["at"] if claim else None,
        ended_at=now,
        reason=Reason.CLUSTER_DOWN if down else Reason.KILLED,
        message=f"cluster {order.cluster!r} is down" if down else why,
    )


def size_bytes(folder: Path) -> int:
    """Return the size of all files below a folder that can be read; nothing of a link."""
    size = 0
    with contextlib.suppress(OSError):  # what a task left may be no folder, or shut
        for _, entry in () if folder.is_symlink() else files.walk(folder):
            if entry.is_file(follow_symlinks=False):
                size += entry.stat(follow_symlinks=False).st_size
    return size
