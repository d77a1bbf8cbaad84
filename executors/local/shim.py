"""The small process beside every task: `python -m executors.local.shim FOLDER`.

It has a session of its own and outlives the engine. It claims the attempt (so that no second
shim can run it), runs the command, holds it to its limits, measures it, and leaves `exit.json`.
Standard library and psutil only: it starts in 0.1 s and stays small.
"""

from __future__ import annotations

import contextlib
import math
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from executors.local import files, logs, processes, recording

_LOOK_SECONDS = 0.1
"""How often memory is looked at; a shorter time costs more than it finds."""
_RESERVE_BYTES = 65_536
"""Disk kept for `exit.json`, so that a full disk cannot swallow how the task ended."""
_TAIL_BYTES = 8_192
_READ_BYTES = 65_536
_READS_MAX = 16
"""Of errors between two looks at limits: 1 MiB, the most that a pipe holds (pipe(7))."""
_MESSAGE_CHARACTERS = 2_000
_LINES = 20
_LINE_CHARACTERS = 300
"""Of the end of a failed command's log; causes are read from it."""
_NOT_FOUND = 127


def main(arguments: Sequence[str]) -> int:
    """Run the attempt in a folder unless somebody else does; 0 also in that case."""
    folder = Path(arguments[0])
    os.chdir(folder)  # so that it keeps nobody else's folder in use
    launch = files.read_launch(folder)
    if launch is None:
        sys.stderr.write(f"no launch document in {str(folder)!r}\n")
        return 2
    claim = files.Claim(
        pid=os.getpid(), identity=processes.identity(os.getpid()) or "", at=time.time()
    )
    if not files.write_once(folder / files.CLAIM, files.dump({**claim})):
        return 0
    processes.adopt()
    reserve = _reserve(folder)
    ended = Command(folder, launch).run()
    if folder.exists():
        _write_exit(folder, reserve, ended)
    return 0


def _reserve(folder: Path) -> Path:
    """Set disk space aside for the exit document."""
    path = folder / ".exit.reserve"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        with contextlib.suppress(OSError):  # not every file system can; then it is written plainly
            os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
    finally:
        os.close(descriptor)
    return path


def _write_exit(folder: Path, reserve: Path, document: files.Exit) -> None:
    """Write how it ended into the space set aside, then give it its name."""
    data = files.dump({**document})
    try:
        with reserve.open("r+b") as file:
            file.write(data)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        reserve.replace(folder / files.EXIT)
    except FileNotFoundError:  # the task cleared its folder
        files.write_durably(folder / files.EXIT, data)
    files.sync_folder(folder)


class Command:
    """The command of one attempt: started once, watched until it and its children are gone."""

    def __init__(self, folder: Path, launch: files.Launch) -> None:
        self._folder = folder
        self._launch = launch
        self._started_at = time.time()
        self._began = time.monotonic()
        self._looked_at = -math.inf
        self._others = frozenset(each.pid for each in processes.below(os.getpid()))
        self._ending: files.Ending | None = None
        self._why = ""
        self._kill_at: float | None = None
        self._peak = 0
        self._tail = b""
        self._woken = self._wake_on_signals()

    @staticmethod
    def _wake_on_signals() -> int:
        """Return a descriptor on which signals arrive as bytes, so that none falls between."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return reading

    def run(self) -> files.Exit:
        """Run the command to its end and say how that was."""
        if Path(self._launch["down"]).exists():
            return self._exit("refused", None, "its cluster is down")
        files.append_durably(
            Path(self._launch["started_log"]),
            f"{self._launch['attempt_id']} {os.getpid()} {self._started_at!r}",
        )
        if self._launch["cpus"]:
            os.sched_setaffinity(0, self._launch["cpus"])
        with (self._folder / files.LOG).open("a+b", buffering=0) as log:
            try:
                process = self._start(log.fileno())
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                message = f"cannot run {self._launch['command'][0]!r}: {why}"
                log.write(f"{message}\n".encode())
                return self._exit("exited", _NOT_FOUND, message)
            self._watch(process, log.fileno())
        processes.kill_below(self._others)
        processes.kill_having({"BERTH_ATTEMPT": str(self._folder)})  # where `adopt` was refused
        if not process.returncode and self._ending is None:
            recording.record(self._folder, self._launch, os.environ)
        return self._ended(process.returncode)

    def _start(self, log: int) -> subprocess.Popen[bytes]:
        """Start the command in a process group of its own; its errors pass through this shim."""
        process = subprocess.Popen(
            self._launch["command"],
            cwd=self._launch["folder"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.PIPE,
            process_group=0,
        )
        processes.offer(process.pid)
        return process

    def _watch(self, process: subprocess.Popen[bytes], log: int) -> None:
        """Return when the command has ended."""
        assert process.stderr is not None  # noqa: S101 - it was asked for
        errors = process.stderr.fileno()
        os.set_blocking(errors, False)
        with selectors.DefaultSelector() as selector, process.stderr:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(errors, selectors.EVENT_READ)
            while process.poll() is None:
                ready = {key.fd for key, _ in selector.select(_LOOK_SECONDS)}
                if errors in ready and not self._copy_errors(errors, log):
                    selector.unregister(errors)
                if self._woken in ready:
                    processes.reap(but=process.pid)
                    if self._asked_to_stop():
                        self._end(process, "stopped", "stopped on request")
                if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
                    self._hold_to_limits(process)
                    logs.hold(log)
                    self._looked_at = time.monotonic()
            self._copy_errors(errors, log)
            logs.hold(log)

    def _copy_errors(self, errors: int, log: int) -> bool:
        """Copy what the command said into the log and remember its end; false when closed.

        Of a command that never falls silent only so much that its limits are not forgotten.
        """
        with contextlib.suppress(BlockingIOError):
            for _ in range(_READS_MAX):
                data = os.read(errors, _READ_BYTES)
                if not data:
                    return False
                self._tail = (self._tail + data)[-_TAIL_BYTES:]
                with contextlib.suppress(OSError):  # a full disk must not end the task
                    os.write(log, data)
        return True

    def _asked_to_stop(self) -> bool:
        """Whether a signal that asks for the end is among those that arrived."""
        arrived = os.read(self._woken, 4_096)
        return signal.SIGTERM in arrived or signal.SIGINT in arrived

    def _hold_to_limits(self, process: subprocess.Popen[bytes]) -> None:
        """Look at memory and time once, the latter by a clock that nobody can set."""
        limit = self._launch["memory_bytes"]
        memory = processes.memory_bytes(processes.below(os.getpid(), self._others), limit=limit)
        self._peak = max(self._peak, memory)
        now = time.monotonic()
        if not self._folder.exists():  # the data folder was removed: nobody will ever look
            self._end(process, "stopped", "its folder is gone")
        seconds = self._launch["time_limit_seconds"]
        if limit and memory > limit:
            why = f"used {memory / 2**20:.0f} MiB of {limit / 2**20:.0f} MiB"
            self._end(process, "memory", why)
            self._kill_at = now
        elif seconds is not None and now - self._began > seconds:
            self._end(process, "timeout", f"ran past its limit of {seconds:g} s")
        if self._kill_at is not None and now >= self._kill_at:
            self._signal(process, signal.SIGKILL)

    def _end(self, process: subprocess.Popen[bytes], ending: files.Ending, why: str) -> None:
        """Ask the command to end, once; it is killed after the grace period."""
        if self._ending is None:
            self._ending, self._why = ending, why
            self._kill_at = time.monotonic() + self._launch["grace_seconds"]
            self._signal(process, signal.SIGTERM)

    @staticmethod
    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        """Signal the command's group; its id cannot be reused before this shim reaped it."""
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)

    def _ended(self, code: int) -> files.Exit:
        """Say how the command ended from its exit code and from what was done to it."""
        if self._ending is not None:
            return self._exit(self._ending, code, self._why)
        if code and processes.memory_kills():
            return self._exit("memory", code, "used up the memory of its container")
        if code < 0:
            return self._exit("signalled", code, f"ended by {signal.Signals(-code).name}")
        return self._exit("exited", code, self._last_words() if code else "")

    def _last_words(self) -> str:
        """Return the last line the command wrote to its standard error."""
        said = self._last_lines()
        return said[-1][:_MESSAGE_CHARACTERS] if said else ""

    def _last_lines(self) -> list[str]:
        """Return the last lines of its standard error that say something, cut to a width."""
        lines = self._tail.decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return said[-_LINES:]

    def _exit(self, ending: files.Ending, code: int | None, message: str) -> files.Exit:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return files.Exit(
            ending=ending,
            code=code,
            message=message,
            started_at=self._started_at,
            ended_at=self._started_at + time.monotonic() - self._began,
            cpu_seconds=used.ru_utime + used.ru_stime,
            memory_bytes_peak=max(self._peak, used.ru_maxrss * 1024),
            last_lines=[line[:_LINE_CHARACTERS] for line in self._last_lines()] if code else [],
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
