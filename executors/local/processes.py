"""Processes of this machine, named so that a reused process id is never taken for the old one.

Linux: `/proc` and process file descriptors (kernel 5.3). Standard library and psutil only, for the
shim.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import psutil

_PROC = Path("/proc")
_START_TICKS = 19
"""Place of the start time after the command name in `/proc/PID/stat` (field 22)."""
_CHILD_SUBREAPER = 36
"""`PR_SET_CHILD_SUBREAPER` of prctl(2)."""
_OFFERED = "500"
"""As if it held half of the memory more than it does (proc(5), `oom_score_adj`)."""
_ROUNDS = 200
"""Looks for survivors, 10 ms apart: two seconds, in which the kernel ends any killed process."""


@functools.cache
def _boot() -> str:
    """Return the id of this boot; start times count from it."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identity(pid: int) -> str | None:
    """Return what tells this process from any other that ever has its id; None when it is gone.

    A zombie is gone: it runs nothing any more.
    """
    try:
        # Bytes: the name in it is cut after 15, be that in the middle of a character.
        said = (_PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = said.rpartition(b")")[2].decode().split()
    return None if fields[0] in {"Z", "X"} else f"{_boot()}:{fields[_START_TICKS]}"


def is_alive(pid: int, wanted: str) -> bool:
    """Whether the process with this id and identity still runs."""
    return pid > 0 and identity(pid) == wanted


def send(pid: int, wanted: str, number: signal.Signals) -> bool:
    """Signal a process if it is still the one meant; whether it was.

    The descriptor pins the process: once its identity is checked, the id cannot be reused.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if identity(pid) != wanted:
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def having(variables: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    """Yield id and identity of every process started with these environment variables.

    Children inherit them, also those that left the process group or the session.
    """
    marks = {f"{name}={value}".encode() for name, value in variables.items()}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        pid = int(entry.name)
        found = identity(pid)
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # gone meanwhile, or somebody else's
            continue
        if found is not None and marks.issubset(environment):
            yield pid, found


def kill_having(variables: Mapping[str, str]) -> int:
    """Kill every process with these variables; return how many were still there at the end."""
    return _kill(lambda: having(variables))


def kill_below(but: Collection[int] = ()) -> int:
    """Kill all that this process started and `adopt` kept below it, as `kill_having`.

    Finds also what changed its environment. but: children that are left alone, with all of theirs.
    """
    return _kill(lambda: _known(below(os.getpid(), but)))


def _kill(look: Callable[[], Iterable[tuple[int, str]]]) -> int:
    """Kill what is found until nothing is, since a process may start another meanwhile."""
    for _ in range(_ROUNDS):
        found = 0
        for pid, wanted in look():
            found += 1
            send(pid, wanted, signal.SIGKILL)
        if not found:
            return 0
        time.sleep(0.01)
    return sum(1 for _ in look())


def _known(processes: Iterable[psutil.Process]) -> Iterator[tuple[int, str]]:
    for process in processes:
        found = identity(process.pid)
        if found is not None:
            yield process.pid, found


def adopt() -> None:
    """Become the parent of whatever below this process loses its own, so that it stays there.

    A kernel that refuses leaves it as it is.
    """
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap(but: int) -> None:
    """Take note of children that ended, so that none stays as a zombie: all until `but` is one."""
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == but:
                return
            os.waitpid(ended.si_pid, 0)


def memory_kills(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processes the kernel killed for the memory of this container.

    root: where control groups are mounted, which in a container shows its own. Version 2 counts
    them in `memory.events`, version 1 in `memory.oom_control`. 0 for who is in no container: the
    first process of a process namespace is number 1.
    """
    if os.getpid() != 1:
        return 0
    for path in (root / "memory.events", root / "memory" / "memory.oom_control"):
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
        return int(counts[0]) if counts else 0
    return 0


def offer(pid: int) -> None:
    """Have the kernel end a process, and what it starts, before this one when memory is short."""
    with contextlib.suppress(OSError):  # it has ended, or this machine does not let us
        (_PROC / str(pid) / "oom_score_adj").write_text(_OFFERED)


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants that still run."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def below(pid: int, but: Collection[int] = ()) -> list[psutil.Process]:
    """Return the descendants of a process that still run, without some children and theirs."""
    try:
        children = psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
    return [each for child in children if child.pid not in but for each in tree(child.pid)]


def kill_tree(pid: int) -> None:
    """Kill a process of one's own and all its descendants, whatever their environment."""
    for each in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()


def memory_bytes(found: Sequence[psutil.Process], *, limit: int = 0) -> int:
    """Return the memory of processes.

    The sum of resident sizes counts shared pages once for each process. When that sum alone
    would break `limit`, the slower proportional sizes decide.
    """
    resident = sum(_resident(process) for process in found)
    if limit and resident > limit and len(found) > 1:
        return sum(_proportional(process) for process in found)
    return resident


def cpu_seconds(found: Iterable[psutil.Process]) -> float:
    """Return user and system seconds of processes so far, their ended children included."""
    return sum(_cpu(process) for process in found)


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
