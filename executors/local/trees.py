"""What a tree of processes uses. Needs psutil only, for the shim."""

from __future__ import annotations

import psutil


def members(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants that still run."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory_bytes(pid: int, *, limit: int = 0) -> int:
    """Return the memory of a tree.

    The sum of resident sizes counts shared pages once for each process. When that sum alone
    would break `limit`, the slower proportional sizes decide.
    """
    tree = members(pid)
    resident = sum(_resident(process) for process in tree)
    if limit and resident > limit and len(tree) > 1:
        return sum(_proportional(process) for process in tree)
    return resident


def cpu_seconds(pid: int) -> float:
    """Return user and system seconds of a tree so far, ended children included."""
    return sum(_cpu(process) for process in members(pid))


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
