"""The process that forks trials: `python -m executors.training.trials.host OBJECTIVE`.

It loads the objective once, with its libraries and data, and forks itself for every visit, so that
a trial is a process of its own that starts in milliseconds. Orders come as JSON lines on standard
input; what happens goes out as JSON lines on standard output. A module may define `prepare()`,
which is called once before the first fork, to load data that all trials share.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from executors.training.trials.trial import Trial

_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
_LINE_BYTES_MAX = 1 << 16
Objective = Callable[[Trial], object]


class LoadError(Exception):
    """The objective cannot be loaded; the message says why."""


def load(name: str) -> tuple[Objective, Callable[[], object] | None]:
    """Return an objective by `MODULE:FUNCTION` or `FILE.py:FUNCTION`, and `prepare` if there.

    Raises:
        LoadError: when there is none of that name.
    """
    home, _, attribute = name.rpartition(":")
    try:
        if home.endswith(".py"):
            path = Path(home).resolve()
            sys.path.insert(0, str(path.parent))
            spec = importlib.util.spec_from_file_location(path.stem, path)
            if spec is None or spec.loader is None:
                raise LoadError(f"{home!r} is no Python file")
            module = importlib.util.module_from_spec(spec)
            sys.modules[path.stem] = module
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(home)
        return getattr(module, attribute), getattr(module, "prepare", None)
    except (ImportError, OSError, AttributeError, SyntaxError, ValueError) as error:
        message = f"no objective {name!r}: {error}; expected MODULE:FUNCTION or FILE.py:FUNCTION"
        raise LoadError(message) from error


class _Host:
    """Forks trials and tells of their ends."""

    def __init__(self, objective: Objective, out: int) -> None:
        self._objective = objective
        self._out = out
        self._children: dict[int, tuple[int, Mapping[str, Any]]] = {}
        self._buffer = b""

    def serve(self) -> None:
        """Take orders until standard input ends; then end all trials."""
        while True:
            ready, _, _ = select.select([0, *self._children], [], [])
            for descriptor in ready:
                if descriptor:
                    self._reap(descriptor)
                elif not self._take_orders():
                    self._end_all()
                    return

    def tell(self, event: Mapping[str, Any]) -> None:
        """Write an event in one piece, so that those of several processes do not mix."""
        os.write(self._out, json.dumps(event).encode() + b"\n")

    def _take_orders(self) -> bool:
        data = os.read(0, _LINE_BYTES_MAX)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "kill" in order:
                self._kill(order["kill"])
            else:
                self._fork(order)
        return bool(data)

    def _fork(self, order: Mapping[str, Any]) -> None:
        host = os.getpid()
        pid = os.fork()
        if not pid:
            _visit(self._objective, order, host, self.tell)
        self._children[os.pidfd_open(pid)] = (pid, order)
        self.tell({"event": "started", "pid": pid, **_name(order)})

    def _kill(self, number: int) -> None:
        for pid, order in self._children.values():
            if order["trial"] == number:
                os.kill(pid, signal.SIGKILL)

    def _reap(self, descriptor: int) -> None:
        pid, order = self._children.pop(descriptor)
        os.close(descriptor)
        _, status, usage = os.wait4(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        self.tell({"event": "ended", "code": code, "cpu_seconds": cpu, **_name(order)})

    def _end_all(self) -> None:
        for pid, _ in self._children.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _name(order: Mapping[str, Any]) -> dict[str, Any]:
    return {"trial": order["trial"], "attempt": order["attempt"]}


def _visit(
    objective: Objective, order: Mapping[str, Any], host: int, tell: Callable[[Any], None]
) -> NoReturn:
    """Be the trial: run the objective, then end this process without the host's clean-up."""
    # A trial whose host is gone has nobody to report to.
    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != host:
        os._exit(1)
    folder = Path(order["folder"])
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    limit = int(order["file_bytes_max"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    started = time.process_time()

    def report(epoch: int, values: Mapping[str, float]) -> None:
        cpu = time.process_time() - started
        tell({"event": "epoch", "epoch": epoch, "values": values, "cpu": cpu, **_name(order)})

    fields = {name: order[name] for name in ("parameters", "seed", "goal")}
    trial = Trial(number=order["trial"], folder=folder, tell=report, **fields)
    code = 0
    try:
        objective(trial)
    except BaseException as error:  # whatever a user's code does is this trial's end
        code = 1
        with contextlib.suppress(OSError):
            traceback.print_exc()
            sys.stderr.flush()
        reason = f"{type(error).__name__}: {error}"[:500]
        tell({"event": "failed", "reason": reason, **_name(order)})
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Serve until standard input ends; return 2 with the reason when there is no objective."""
    out = os.dup(1)
    os.dup2(2, 1)  # what the objective's module prints must not look like an event
    try:
        objective, prepare = load(arguments[0])
        if prepare is not None:
            prepare()
    except LoadError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    host = _Host(objective, out)
    host.tell({"event": "ready"})
    host.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
