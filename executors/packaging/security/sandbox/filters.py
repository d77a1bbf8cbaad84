"""A seccomp filter: no sockets, no new programs, no new processes, nothing of the kernel's own.

A program that is started confined may do two of these: become that program, and answer over a
socket that was handed to it; it can make none. Written as instructions of classic BPF (seccomp(2));
threads may still be started, since libraries of numbers do. Only for the machines in `TABLES`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCHITECTURE, _AT_FIRST_ARGUMENT = 0, 4, 16
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
    "pidfd_send_signal 424 io_uring_setup 425 pidfd_open 434"
)
_AARCH64 = (
    "umount2 39 mount 40 pivot_root 41 chroot 51 init_module 105 delete_module 106 kexec_load 104 "
    "ptrace 117 kill 129 socket 198 socketpair 199 bind 200 listen 201 accept 202 connect 203 "
    "sendto 206 sendmsg 211 add_key 217 request_key 218 keyctl 219 execve 221 unshare 97 "
    "perf_event_open 241 open_by_handle_at 265 setns 268 process_vm_readv 270 "
    "process_vm_writev 271 finit_module 273 bpf 280 execveat 281 userfaultfd 282 "
    "pidfd_send_signal 424 io_uring_setup 425 pidfd_open 434"
)


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers of one machine: its architecture, its `clone` and `clone3`, what is refused."""

    architecture: int
    clone: int
    clone3: int
    refused: Mapping[str, int]


def _numbers(text: str) -> dict[str, int]:
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


TABLES: Mapping[str, Table] = {
    "x86_64": Table(0xC000003E, 56, 435, _numbers(_X86_64)),
    "aarch64": Table(0xC00000B7, 220, 435, _numbers(_AARCH64)),
}


OF_PROGRAMS = frozenset({"execve", "sendto"})
"""Calls that a program needs which is started confined: to begin, and to answer."""


def program(table: Table, allowed: frozenset[str] = frozenset()) -> bytes:
    """Return the filter as an array of `struct sock_filter`; calls `allowed` are let through."""
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
    steps += [
        _step(_JUMP_EQUAL, table.clone, yes=1),
        _step(_RETURN, _ALLOW),
        _step(_LOAD, _AT_FIRST_ARGUMENT),
        _step(_JUMP_SET, _CLONE_THREAD, no=1),
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERROR | _EPERM),
    ]
    return b"".join(steps)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)
