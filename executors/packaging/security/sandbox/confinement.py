"""How a process confines itself, for good: limits, namespaces, Landlock, seccomp.

Each measure is tried by itself; what the kernel or the rights do not allow is told, so that
whoever asked can decide. One thing is not left to them: where neither an empty network nor the
filter can be had, nothing untrusted is opened at all (`Applied.require`), and nothing that holds a
listening socket without the filter. Only system calls by
ctypes are used, so nothing needs to be installed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.model.errors import RefusedError
from executors.packaging.security.sandbox import filters

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_DUMPABLE, _MODE_FILTER = 38, 22, 4, 2
_NEW_USER, _NEW_NET, _NEW_IPC = 0x10000000, 0x40000000, 0x08000000
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute (to map libraries), read files, read folders
_FILES_ONLY = (1 << 0) | (1 << 1) | (1 << 2) | (1 << 14)
_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1}
_RIGHTS_NEWEST = (1 << 15) - 1  # with `truncate`, from the third version on
_OPEN = os.O_PATH | os.O_CLOEXEC


NO_NETWORK, NO_CALLS = "no network", "system calls"
"""Names of the two measures of which each keeps a process from the network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a confined process may use.

    memory_bytes: of address space. cpu_seconds, file_bytes, open_files: as setrlimit(2).
    """

    memory_bytes: int = 4 << 30
    cpu_seconds: int = 120
    file_bytes: int = 1 << 30
    open_files: int = 64


@dataclass(slots=True)
class Applied:
    """What was applied, and what was not and why."""

    applied: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def require(self, *, holds_socket: bool = False) -> None:
        """Refuse to go on with the network within reach.

        holds_socket: whether a socket was handed down that listened. It is of the network in which
        it was made, and could be connected there from an empty one: only the filter prevents that.

        Raises:
            RefusedError: when no measure that is enough could be applied.
        """
        if holds_socket and NO_CALLS not in self.applied:
            message = f"this machine keeps no program from connecting its socket: {self.missing}"
            fix = "allow seccomp here, or do it on an x86_64 or aarch64 machine that does"
            raise RefusedError(message, fix=fix)
        if not {NO_NETWORK, NO_CALLS} & set(self.applied):
            message = f"this machine cuts no process off from the network: {self.missing}"
            fix = "allow user namespaces or seccomp here, or do it on a machine that does"
            raise RefusedError(message, fix=fix)


def confine(
    bounds: Bounds,
    *,
    reads: Sequence[Path],
    writes: Sequence[Path],
    calls: frozenset[str] = frozenset(),
) -> Applied:
    """Confine this process; it cannot be undone.

    reads, writes: folders and files that stay open to it, where Landlock is. calls: those of the
    filter that it may make all the same.
    """
    told = Applied()
    # Namespaces first: seccomp refuses them. Landlock and seccomp need "no new privileges".
    steps: list[tuple[str, Callable[[], None]]] = [
        (NO_NETWORK, _leave_network),
        ("limits of memory, time and files", lambda: _limit(bounds)),
        ("no new privileges", _no_new_privileges),
        ("files", lambda: _landlock(reads, writes)),
        (NO_CALLS, lambda: _filter(calls)),
    ]
    for name, step in steps:
        try:
            step()
        except (OSError, ValueError, NotImplementedError) as error:
            told.missing.append(f"{name}: {error}")
        else:
            told.applied.append(name)
    return told


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def _leave_network() -> None:
    """Move to an empty network; one who is not root needs a user namespace for that."""
    if _LIBC.unshare(_NEW_NET | _NEW_IPC) < 0:
        _checked(_LIBC.unshare(_NEW_USER | _NEW_NET | _NEW_IPC))


def _limit(bounds: Bounds) -> None:
    wanted = {
        resource.RLIMIT_AS: bounds.memory_bytes,
        resource.RLIMIT_CPU: bounds.cpu_seconds,
        resource.RLIMIT_FSIZE: bounds.file_bytes,
        resource.RLIMIT_NOFILE: bounds.open_files,
        resource.RLIMIT_CORE: 0,
    }
    for which, value in wanted.items():
        hard = resource.getrlimit(which)[1]
        least = value if hard == resource.RLIM_INFINITY else min(value, hard)
        # At the first limit of time it is told, at the second it is killed without a reason.
        more = least + 1 if which == resource.RLIMIT_CPU and least != hard else least
        resource.setrlimit(which, (least, more))


def _no_new_privileges() -> None:
    _checked(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0))


class _PathRule(ctypes.Structure):
    """`struct landlock_path_beneath_attr`."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("rights", ctypes.c_uint64), ("descriptor", ctypes.c_int32))


def _landlock(reads: Sequence[Path], writes: Sequence[Path]) -> None:
    """Allow no file but those named."""
    version = _checked(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))
    rights = _RIGHTS.get(version, _RIGHTS_NEWEST)
    handled = ctypes.c_uint64(rights)
    size = ctypes.c_size_t(ctypes.sizeof(handled))
    rules = _checked(_LIBC.syscall(_CREATE_RULESET, ctypes.byref(handled), size, 0))
    allowed = [*((path, rights & _READ) for path in reads), *((path, rights) for path in writes)]
    for path, wanted in allowed:
        if not path.exists():
            continue
        descriptor = os.open(path, _OPEN)
        usable = wanted if path.is_dir() else wanted & _FILES_ONLY
        rule = _PathRule(usable, descriptor)
        kind, none = ctypes.c_int(_PATH_BENEATH), ctypes.c_uint32(0)
        _checked(_LIBC.syscall(_ADD_RULE, rules, kind, ctypes.byref(rule), none))
        os.close(descriptor)
    _checked(_LIBC.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def _filter(allowed: frozenset[str]) -> None:
    machine = platform.machine()
    if machine not in filters.TABLES:
        raise NotImplementedError(f"no filter is known for {machine!r}")
    steps = filters.program(filters.TABLES[machine], os.getpid(), allowed)
    held = ctypes.create_string_buffer(steps, len(steps))
    program = _Program(len(steps) // 8, ctypes.cast(held, ctypes.c_void_p))
    _checked(_LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0))
