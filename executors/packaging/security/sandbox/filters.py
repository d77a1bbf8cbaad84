"""A seccomp filter: no sockets, no new programs, no new processes, nothing of the kernel's own.

A program that is started confined may do two of these: become that program, and answer over a
socket that was handed to it; it can make none, and connect none. Processes of the same user stand
beside it, so it can neither signal them nor change their limits and their share of the processor.
Written as instructions of classic BPF (seccomp(2)); threads may still be started, since libraries
of numbers do. Only for the machines in `TABLES`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
_ARGUMENT_BYTES, _HALF_BYTES = 8, 4
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS = 1, 38
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000

_X86_64 = (
    "socket 41 connect 42 accept 43 sendto 44 sendmsg 46 bind 49 listen 50 socketpair 53 fork 57 "
    "vfork 58 execve 59 kill 62 ptrace 101 pivot_root 155 chroot 161 mount 165 umount2 166 "
    "init_module 175 delete_module 176 kexec_load 246 add_key 248 request_key 249 keyctl 250 "
    "unshare 272 perf_event_open 298 open_by_handle_at 304 setns 308 process_vm_readv 310 "
    "process_vm_writev 311 finit_module 313 bpf 321 execveat 322 userfaultfd 323 "
    "pidfd_send_signal 424 io_uring_setup 425 pidfd_open 434 sendmmsg 307 tkill 200 "
    "rt_sigqueueinfo 129 rt_tgsigqueueinfo 297 setpriority 141 sched_setscheduler 144 "
    "sched_setparam 142 sched_setattr 314 ioprio_set 251 migrate_pages 256 move_pages 279"
)
_AARCH64 = (
    "umount2 39 mount 40 pivot_root 41 chroot 51 init_module 105 delete_module 106 kexec_load 104 "
    "ptrace 117 kill 129 socket 198 socketpair 199 bind 200 listen 201 accept 202 connect 203 "
    "sendto 206 sendmsg 211 add_key 217 request_key 218 keyctl 219 execve 221 unshare 97 "
    "perf_event_open 241 open_by_handle_at 265 setns 268 process_vm_readv 270 "
    "process_vm_writev 271 finit_module 273 bpf 280 execveat 281 userfaultfd 282 "
    "pidfd_send_signal 424 io_uring_setup 425 pidfd_open 434 sendmmsg 269 tkill 130 "
    "rt_sigqueueinfo 138 rt_tgsigqueueinfo 240 setpriority 140 sched_setscheduler 119 "
    "sched_setparam 118 sched_setattr 274 ioprio_set 30 migrate_pages 238 move_pages 239"
)
_X86_64_BOUND = "sendto 44 tgkill 234 prlimit64 302 sched_setaffinity 203 fcntl 72 ioctl 16"
_AARCH64_BOUND = "sendto 206 tgkill 131 prlimit64 261 sched_setaffinity 122 fcntl 25 ioctl 29"
_SET_OWNER = (8, 15)
"""`F_SETOWN` and `F_SETOWN_EX`: who is signalled about a file, which can be any process."""
_SET_OWNER_OLD = (0x8901, 0x8902)
"""`FIOSETOWN` and `SIOCSPGRP`, which do the same."""


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers of one machine: its architecture, its `clone` and `clone3`, what is refused.

    bound: calls that depend on an argument.
    """

    architecture: int
    clone: int
    clone3: int
    refused: Mapping[str, int]
    bound: Mapping[str, int]


def _numbers(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


TABLES: Mapping[str, Table] = {
    "x86_64": Table(0xC000003E, 56, 435, _numbers(_X86_64), _numbers(_X86_64_BOUND)),
    "aarch64": Table(0xC00000B7, 220, 435, _numbers(_AARCH64), _numbers(_AARCH64_BOUND)),
}


OF_PROGRAMS = frozenset({"execve", "sendto"})
"""Calls that a program needs which is started confined: to begin, and to answer."""


def program(table: Table, process: int, allowed: frozenset[str] = frozenset()) -> bytes:
    """Return the filter as an array of `struct sock_filter`; calls `allowed` are let through.

    process: the number of the process that is confined.
    """
    steps = [
        _step(_LOAD, _AT_ARCHITECTURE),
        _step(_JUMP_EQUAL, table.architecture, yes=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _AT_NUMBER),
        # Numbers of another way to call the same kernel would pass every comparison below.
        _step(_JUMP_AT_LEAST, _X32, no=1),
        _step(_RETURN, _KILL),
        # glibc falls back to `clone`, whose flags can be read here.
        _step(_JUMP_EQUAL, table.clone3, no=1),
        _step(_RETURN, _ERROR | _ENOSYS),
    ]
    refused = [number for name, number in table.refused.items() if name not in allowed]
    for number in refused:
        steps += [_step(_JUMP_EQUAL, number, no=1), _step(_RETURN, _ERROR | _EPERM)]
    bodies = {
        # With an address, `MSG_FASTOPEN` connects a listening socket that was shut down before.
        "sendto": _only(4, 0, is_wide=True),
        "tgkill": _only(0, process),
        "prlimit64": _only(0, 0),
        "sched_setaffinity": _only(0, 0),
        "fcntl": _none_of(1, _SET_OWNER),
        "ioctl": _none_of(1, _SET_OWNER_OLD),
    }
    for name, body in bodies.items():
        steps += [_step(_JUMP_EQUAL, table.bound[name], no=len(body)), *body]
    steps += [
        _step(_JUMP_EQUAL, table.clone, yes=1),
        _step(_RETURN, _ALLOW),
        _step(_LOAD, _AT_FIRST_ARGUMENT),
        _step(_JUMP_SET, _CLONE_THREAD, no=1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERROR | _EPERM),
    ]
    return b"".join(steps)


def _only(position: int, value: int, *, is_wide: bool = False) -> list[bytes]:
    """Return steps that let a call through with one value of an argument.

    is_wide: an address, not a number of 32 bits, of which the kernel looks at no more.
    """
    at = _AT_FIRST_ARGUMENT + position * _ARGUMENT_BYTES
    halves = [(at, value), *([(at + _HALF_BYTES, value >> 32)] if is_wide else [])]
    steps: list[bytes] = []
    for offset, half in halves:
        steps += [_step(_LOAD, offset), _step(_JUMP_EQUAL, half & 0xFFFFFFFF, yes=1)]
        steps.append(_step(_RETURN, _ERROR | _EPERM))
    return [*steps, _step(_RETURN, _ALLOW)]


def _none_of(position: int, values: Sequence[int]) -> list[bytes]:
    """Return steps that let a call through but with these values of an argument of 32 bits."""
    steps = [_step(_LOAD, _AT_FIRST_ARGUMENT + position * _ARGUMENT_BYTES)]
    for value in values:
        steps += [_step(_JUMP_EQUAL, value, no=1), _step(_RETURN, _ERROR | _EPERM)]
    return [*steps, _step(_RETURN, _ALLOW)]


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
