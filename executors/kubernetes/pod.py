"""The runner in every pod: `python -m executors.kubernetes.pod`.

It fetches the inputs, runs the task's command under the same contract and limits as a local one
(`executors.local.shim`), leaves the outputs at the engine's artefact endpoint, and writes how it
ended into the container's termination message, which the cluster keeps. The engine may be away all
the while, but for the transfers, which are tried for long. Standard library and psutil only.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import socket
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from executors.kubernetes import unpacking
from executors.local import files, results, together
from executors.local.shim import Command

T = TypeVar("T")
ORDER = "BERTH_ORDER"
MEMORY = "BERTH_MEMORY_BYTES"
"""What the container may use, where the cluster says so: its size may change between two runs."""
OVERHEAD_MIB = 96
"""Memory of the runner beside the task."""
MESSAGE_BYTES_MAX = 4_096
"""What a cluster keeps of a termination message."""
_TRANSFER_SECONDS = 3_600.0
_TRANSFER_TIMEOUT_SECONDS = 300.0
_LONGEST_PAUSE_SECONDS = 30.0
_WORDS_MAX = 1_000
_EXIT_NOT_TRANSFERRED = 75
_REFUSED = 400, 403, 404
_SIGNALS_BYTES = 1 << 20
_SIGNAL_PAUSES = 0.5, 2.0, 0.0


class TransferError(Exception):
    """An artefact could not be brought in or out."""


def main(environment: Mapping[str, str]) -> int:
    """Run the attempt that the environment describes; return its exit code."""
    order = cast("dict[str, Any]", json.loads(environment[ORDER]))
    root = Path(environment.get("BERTH_ROOT", "/berth"))
    told = Path(environment.get("BERTH_TERMINATION", "/dev/termination-log"))
    folder = root / "attempt"
    started_at = time.time()
    try:
        order = _met(order, environment)
        _prepare(folder, order, environment)
    except TransferError as error:
        result = _not_run(started_at, f"its inputs could not be fetched: {error}")
        code = _tell(told, result, _EXIT_NOT_TRANSFERRED)
        return _report(order, told, code)
    launch = files.read_launch(folder)
    assert launch is not None  # noqa: S101 - written just before
    os.chdir(folder)
    os.environ.update(_variables(order, folder))
    ended = Command(folder, launch).run()
    _show(folder / files.LOG)
    _tell_signals(folder / files.SIGNALS, order.get("signals", ""))
    return _report(order, told, _leave(folder, order, ended, told))


def _met(order: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return an order with the number of this node and where all of them meet.

    The first tells it by way of the engine, so that nodes need no names; the others wait for that.
    """
    if order.get("nodes", 1) == 1:
        return order
    number, address = int(environment["JOB_COMPLETION_INDEX"]), order["meeting"]
    if number:
        met = patiently(functools.partial(_asked, address))
    else:
        met = _free_address(address)
        patiently(functools.partial(_put, address, met.encode()))
    return {**order, "node": number, "met": met}


def _free_address(reached: str) -> str:
    """Return HOST:PORT here that is free, of the address from which an URL is reached."""
    there = urlsplit(reached)
    host = there.hostname or ""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((host, there.port or 80))  # sends nothing
        own = str(probe.getsockname()[0])
    with socket.socket(family) as free:
        free.bind((own, 0))
        port = free.getsockname()[1]
    return f"[{own}]:{port}" if family is socket.AF_INET6 else f"{own}:{port}"


def _asked(address: str) -> str:
    with urllib.request.urlopen(address, timeout=_TRANSFER_TIMEOUT_SECONDS) as answer:  # noqa: S310
        return str(answer.read().decode())


def _prepare(folder: Path, order: Mapping[str, Any], environment: Mapping[str, str]) -> None:
    """Lay out what the contract promises to a task."""
    for left in folder.iterdir() if folder.exists() else ():  # the folder may be a mounted volume
        files.remove(left)
    for name in (files.INPUTS, files.OUTPUTS, files.WORK, "folder"):
        (folder / name).mkdir(parents=True)
    (folder / files.PARAMETERS).write_bytes(files.dump(order["parameters"]))
    wanted = {folder / files.INPUTS / task: where for task, where in order["inputs"].items()}
    wanted |= {folder / "folder" / place: where for place, where in order["files"].items()}
    for target, address in wanted.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        patiently(functools.partial(fetch, address, target))
    variables = _variables(order, folder)
    command = [Template(word).safe_substitute(variables) for word in order["command"]]
    launch = files.Launch(
        attempt_id=order["attempt_id"],
        command=command or [sys.executable, "-m", "executors.tasks", order["kind"]],
        folder=str(folder / files.WORK),
        memory_bytes=_memory_bytes(order, environment),
        cpus=[],
        time_limit_seconds=order["time_limit_seconds"],
        grace_seconds=order["grace_seconds"],
        down=str(folder / "down"),
        started_log=environment.get("BERTH_STARTED_LOG", str(folder / "started.log")),
        inputs=order.get("digests", {}),
        commit=order.get("commit", ""),
    )
    (folder / files.LAUNCH).write_bytes(files.dump({**launch}))


def _memory_bytes(order: Mapping[str, Any], environment: Mapping[str, str]) -> int:
    """Return what the task may use: the container's limit without the runner's part."""
    limit = int(environment.get(MEMORY) or 0)
    return limit - (OVERHEAD_MIB << 20) if limit else int(order["memory_bytes"])


def _variables(order: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Return the variables that the process contract promises to a task."""
    nodes = order.get("nodes", 1)
    workers = order.get("workers") or [0] * nodes
    told = together.variables(workers, order.get("node", 0), order.get("met", ""))
    return {
        **(told if nodes > 1 or any(workers) else {}),
        "BERTH_HOME": str(folder.parent),
        "BERTH_ATTEMPT": str(folder),
        "BERTH_CLUSTER": order["cluster"],
        "BERTH_RUN": order["run_id"],
        "BERTH_PIPELINE": order["pipeline"],
        "BERTH_TASK": order["task"],
        "BERTH_INPUTS": str(folder / files.INPUTS),
        "BERTH_OUTPUTS": str(folder / files.OUTPUTS),
        "BERTH_PARAMETERS": str(folder / files.PARAMETERS),
        "BERTH_SIGNALS": str(folder / files.SIGNALS),
        "BERTH_ENDPOINT": str(folder / files.ENDPOINT),
        "BERTH_MODELS": str(folder / "models"),
        "BERTH_FOLDER": str(folder / "folder"),
    }


def _leave(folder: Path, order: Mapping[str, Any], ended: files.Exit, told: Path) -> int:
    """Bring the outputs of a command that succeeded to the engine, then say how it ended.

    Of several nodes only the first has outputs.
    """
    result: dict[str, object] = {**ended, "disk_bytes": results.size_bytes(folder / files.OUTPUTS)}
    code = ended["code"] if ended["code"] is not None else 1
    if order.get("node"):
        return _tell(told, result, code if code >= 0 else 128 - code)
    if ended["ending"] != "exited" or code:
        result |= _left(folder / files.OUTPUTS, order)
    else:
        try:
            outputs = results.read_outputs(folder / files.OUTPUTS)
            send = functools.partial(_send, folder / files.OUTPUTS, order["outputs"])
            result["artifact"] = patiently(send)
        except TransferError as error:
            return _tell(told, _not_run(ended["started_at"], str(error)), _EXIT_NOT_TRANSFERRED)
        except Exception as error:
            result["fault"] = str(error)[:_WORDS_MAX]
            return _tell(told, result, 1)
        result["outputs"] = dict(outputs)
    return _tell(told, result, code if code >= 0 else 128 - code)


def _left(outputs: Path, order: Mapping[str, Any]) -> dict[str, object]:
    """Bring what a training had written to the engine, for the next attempt to go on from.

    There is one try for it: a pod that is asked to end has seconds.
    """
    if not any(order.get("workers") or ()):
        return {}
    try:
        return {"artifact": _send(outputs, order["outputs"])} if any(outputs.iterdir()) else {}
    except OSError as error:
        sys.stderr.write(f"what it had written could not be left: {error}\n")
        return {}


def _tell(told: Path, result: Mapping[str, object], code: int) -> int:
    """Write the termination message.

    Outputs that do not fit are read from the artefact; of the last lines the oldest go first.
    """
    document = dict(result)
    document["message"] = str(document.get("message", ""))[:_WORDS_MAX]
    content = files.dump(document)
    if len(content) > MESSAGE_BYTES_MAX:
        document.pop("outputs", None)
        content = files.dump(document)
    lines = list(cast("list[str]", document.get("last_lines", [])))
    while lines and len(content) > MESSAGE_BYTES_MAX:
        document["last_lines"] = lines = lines[1:]
        content = files.dump(document)
    told.write_bytes(content)
    return code


def _report(order: Mapping[str, Any], told: Path, code: int) -> int:
    """Bring the termination message to the engine as well, where the pod will not be kept."""
    if order.get("result") and (code or not order.get("node")):
        try:
            patiently(functools.partial(_put, order["result"], told.read_bytes()))
        except TransferError as error:
            sys.stderr.write(f"the result could not be left: {error}\n")
    return code


def _put(address: str, content: bytes) -> None:
    request = urllib.request.Request(address, data=content, method="PUT")  # noqa: S310
    with urllib.request.urlopen(request, timeout=_TRANSFER_TIMEOUT_SECONDS):  # noqa: S310
        return


def _tell_signals(path: Path, address: str) -> None:
    """Leave what the task measured at the engine; nothing depends on it, so it is tried briefly."""
    if not address or not path.exists():
        return
    waiting = list(_parts(path.read_bytes()))
    for pause in _SIGNAL_PAUSES:
        try:
            while waiting:
                _put(address, waiting[0])
                del waiting[0]
        except urllib.error.HTTPError as error:
            why = error.read(_WORDS_MAX).decode("utf-8", "replace")
            sys.stderr.write(f"the engine refused what was measured: {why}\n")
            if error.code in _REFUSED:
                return
        except OSError as error:
            sys.stderr.write(f"what was measured could not be left: {error}\n")
        if not waiting:
            return
        time.sleep(pause)


def _parts(content: bytes) -> Iterator[bytes]:
    """Yield whole lines, as many at once as the engine takes."""
    while content:
        end = content.rfind(b"\n", 0, _SIGNALS_BYTES) + 1
        if not end:
            return  # a line that was not ended, or of a length that nobody takes
        yield content[:end]
        content = content[end:]


def _not_run(started_at: float, why: str) -> dict[str, object]:
    """Return what is told of an attempt that a transfer ended."""
    ended = files.Exit(
        ending="refused",
        code=None,
        message=why,
        started_at=started_at,
        ended_at=time.time(),
        cpu_seconds=0.0,
        memory_bytes_peak=0,
    )
    return dict(ended)


def _show(log: Path) -> None:
    """Show what the command wrote, so that the cluster keeps it as the pod's log."""
    if log.exists():
        with log.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()


# -------------------------------------------------------------------- transfers


def patiently(transfer: Callable[[], T]) -> T:
    """Repeat a transfer until it succeeds, is refused, or has been tried for long.

    Raises:
        TransferError: when it did not succeed.
    """
    end = time.monotonic() + _TRANSFER_SECONDS
    pause = 0.5
    while True:
        try:
            return transfer()
        except urllib.error.HTTPError as error:
            why = f"{error.code}: {error.read(_WORDS_MAX).decode('utf-8', 'replace')}"
            if error.code in _REFUSED:
                raise TransferError(why) from error
        except (OSError, tarfile.TarError) as error:
            why = str(error)
        if time.monotonic() >= end:
            raise TransferError(why)
        time.sleep(pause)
        pause = min(2.0 * pause, _LONGEST_PAUSE_SECONDS)


def fetch(address: str, target: Path) -> None:
    """Lay an artefact out at a place that does not exist."""
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with (
        urllib.request.urlopen(address, timeout=_TRANSFER_TIMEOUT_SECONDS) as answer,  # noqa: S310
        tarfile.open(fileobj=answer, mode="r|") as packed,
    ):
        for member in packed:
            unpacking.extract(packed, member, partial)
    (partial / "content").rename(target)
    shutil.rmtree(partial)


def _send(folder: Path, address: str) -> str:
    """Leave a folder at an address; return the digest that it was given."""
    archive = folder.with_name("outputs.tar")
    with tarfile.open(archive, "w") as packed:
        packed.add(folder, arcname="content")
    with archive.open("rb") as file:
        request = urllib.request.Request(address, data=file, method="PUT")  # noqa: S310
        request.add_header("Content-Length", str(archive.stat().st_size))
        with urllib.request.urlopen(request, timeout=_TRANSFER_TIMEOUT_SECONDS) as answer:  # noqa: S310
            return str(answer.read().decode())


if __name__ == "__main__":
    sys.exit(main(os.environ))
