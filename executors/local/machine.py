"""Port `SignalSource`: the machine itself on which local clusters run: disk, network, GPUs.

What it is in trouble with is decided as a kubelet decides the conditions of its node (Kubernetes,
"Node-pressure eviction": the default thresholds), except that a disk with much room left is none.
GPUs are looked at where `nvidia-smi` is; without it nothing is said of them.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.model.signals import Layer, Shape, Signal
from engine.ports import Clock

_LOG = logging.getLogger(__name__)
MEMORY_LEAST_BYTES = 100 << 20
DISK_SHARE_LEAST = 0.10
INODES_SHARE_LEAST = 0.05
DISK_ROOM_BYTES = 5 << 30
"""A disk with so much room is under no pressure, however large it is."""
GPU_SECONDS = 10.0
"""Least time between two looks at GPUs: asking takes a part of a second."""
_GPU_TIMEOUT_SECONDS = 5.0
_GPU_FIELDS = {
    "utilization.gpu": ("gpu_used_share", "", 100.0),
    "memory.used": ("gpu_memory_gib_used", "GiB", 2.0**10),
    "temperature.gpu": ("gpu_temperature_celsius", "°C", 1.0),
    "power.draw": ("gpu_power_watts", "W", 1.0),
    "ecc.errors.uncorrected.volatile.total": ("gpu_memory_errors", "errors", 1.0),
}
"""What is asked of a GPU: the signal, its unit, and how many of what it tells make one."""

Run = Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What a machine has counted since it started."""

    disk_read_bytes: float = 0.0
    disk_written_bytes: float = 0.0
    network_received_bytes: float = 0.0
    network_sent_bytes: float = 0.0
    network_faults: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What a machine has left: of memory, and of the disk that holds the engine's files."""

    memory_bytes: float
    disk_bytes: float
    disk_bytes_total: float
    inodes: float = 1.0
    inodes_total: float = 1.0

    @property
    def has_memory_pressure(self) -> bool:
        """Whether a kubelet would evict for want of memory."""
        return self.memory_bytes < MEMORY_LEAST_BYTES

    @property
    def has_disk_pressure(self) -> bool:
        """Whether a kubelet would evict for want of disk, and there is little in all."""
        is_full = self.disk_bytes < DISK_SHARE_LEAST * self.disk_bytes_total
        if is_full and self.disk_bytes < DISK_ROOM_BYTES:
            return True
        # File systems without a table of files (btrfs) say that they have none at all.
        return self.inodes_total > 0 and self.inodes < INODES_SHARE_LEAST * self.inodes_total


class MachineSignals:
    """One look at this machine per window. window_seconds: time between two looks."""

    name = "machine"

    def __init__(
        self,
        home: Path,
        clock: Clock,
        *,
        window_seconds: float = 1.0,
        counters: Callable[[], Counters] | None = None,
        room: Callable[[Path], Room] | None = None,
        gpus: Callable[[], Sequence[Mapping[str, str]]] | None = None,
    ) -> None:
        self._home = home
        self._clock = clock
        self._window_seconds = window_seconds
        self._counters = counters or read_counters
        self._room = room or read_room
        self._gpus = gpus or read_gpus
        self._host = socket.gethostname()
        self._before: tuple[Counters, float] | None = None
        self._gpus_at = -math.inf

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return a look at the machine when a window has passed; see the port."""
        now = self._clock.now()
        if position and now - float(position) < self._window_seconds:
            return (), position
        return [*self._rates(now), *self._left(now), *self._of_gpus(now)], repr(now)

    def _rates(self, now: float) -> Iterator[Signal]:
        """Yield what passed since the last look, by what the machine counted.

        Seconds are those of a clock that nobody can set; counters that fell began anew.
        """
        after, elapsed_at = self._counters(), self._clock.monotonic()
        before, self._before = self._before, (after, elapsed_at)
        if before is None or elapsed_at <= before[1]:
            return
        seconds = elapsed_at - before[1]
        for name, (field, unit, factor) in _RATES.items():
            passed = getattr(after, field) - getattr(before[0], field)
            if passed >= 0:
                yield self._signal(name, passed * factor / seconds, now, unit)
        faults = after.network_faults - before[0].network_faults
        if faults >= 0:
            yield self._signal("network_faults", faults, now, "packets", shape=Shape.COUNT)

    def _left(self, now: float) -> Iterator[Signal]:
        """Yield what is left, and whether that is too little."""
        room = self._room(self._home)
        yield self._signal("memory_gib_free", room.memory_bytes / 2**30, now, "GiB")
        yield self._signal("disk_gib_free", room.disk_bytes / 2**30, now, "GiB")
        yield self._signal("node_memory_pressure", float(room.has_memory_pressure), now)
        yield self._signal("node_disk_pressure", float(room.has_disk_pressure), now)

    def _of_gpus(self, now: float) -> Iterator[Signal]:
        """Yield what each GPU says of itself; what it cannot measure is left out."""
        elapsed_at = self._clock.monotonic()
        if elapsed_at - self._gpus_at < GPU_SECONDS:
            return
        self._gpus_at = elapsed_at
        for gpu in self._gpus():
            labels = {"gpu": gpu["name"]}
            for field, (name, unit, divisor) in _GPU_FIELDS.items():
                try:
                    value = float(gpu[field]) / divisor
                except ValueError:
                    continue
                subject = f"gpu:{self._host}/{gpu['index']}"
                yield self._signal(name, value, now, unit, subject=subject, labels=labels)

    def _signal(
        self,
        name: str,
        value: float,
        now: float,
        unit: str = "",
        *,
        shape: Shape = Shape.GAUGE,
        subject: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Signal:
        return Signal(
            name=name,
            layer=Layer.MACHINE,
            subject=subject or f"machine:{self._host}",
            at=now,
            value=value,
            unit=unit,
            shape=shape,
            labels={"machine": self._host, **(labels or {})},
        )


_RATES = {
    "disk_read_mib_per_second": ("disk_read_bytes", "MiB/s", 2.0**-20),
    "disk_written_mib_per_second": ("disk_written_bytes", "MiB/s", 2.0**-20),
    "network_received_mbps": ("network_received_bytes", "Mbit/s", 8e-6),
    "network_sent_mbps": ("network_sent_bytes", "Mbit/s", 8e-6),
}


def read_counters() -> Counters:
    """Return what this machine counted; noughts for what it does not count."""
    disk = psutil.disk_io_counters()
    cards = psutil.net_io_counters(pernic=True)
    # What goes through the loopback goes nowhere.
    networks = [card for name, card in cards.items() if not name.startswith("lo")]
    found: dict[str, float] = {}
    if disk is not None:
        found |= {"disk_read_bytes": disk.read_bytes, "disk_written_bytes": disk.write_bytes}
    found["network_received_bytes"] = sum(card.bytes_recv for card in networks)
    found["network_sent_bytes"] = sum(card.bytes_sent for card in networks)
    found["network_faults"] = sum(
        card.errin + card.errout + card.dropin + card.dropout for card in networks
    )
    return Counters(**found)


def read_room(home: Path) -> Room:
    """Return what is left of memory, and of the disk that holds a folder, to unprivileged users."""
    existing = next(path for path in (home, *home.parents) if path.exists())
    disk = os.statvfs(existing)
    used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
    free = disk.f_bavail * disk.f_frsize
    return Room(
        memory_bytes=psutil.virtual_memory().available,
        disk_bytes=free,
        disk_bytes_total=used + free,
        inodes=disk.f_favail,
        inodes_total=disk.f_files,
    )


def read_gpus(run: Run | None = None) -> list[dict[str, str]]:
    """Return what each GPU says, by field; nothing where there are none or they do not answer."""
    if run is None:
        if shutil.which("nvidia-smi") is None:
            return []
        run = _output
    fields = ["index", "name", *_GPU_FIELDS]
    command = ["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    try:
        text = run(command)
    except (OSError, subprocess.SubprocessError) as error:
        _LOG.warning("GPUs do not answer: %s", error)
        return []
    rows = csv.reader(text.splitlines(), skipinitialspace=True)
    return [dict(zip(fields, row, strict=True)) for row in rows if len(row) == len(fields)]


def _output(command: Sequence[str]) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=_GPU_TIMEOUT_SECONDS
    )
    return ended.stdout
