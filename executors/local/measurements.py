"""Port `SignalSource`: what tasks measured of themselves, and what their clusters are using."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, cast

from engine.clocks import SystemClock
from engine.model import documents, sizing
from engine.model.dispatches import AttemptOrder
from engine.model.errors import DamagedError
from engine.model.fleet import Cluster
from engine.model.signals import Layer, Signal
from engine.model.specs import TaskKind
from engine.ports import Clock, FleetSource
from executors.local import files, processes
from executors.local.switch import HERE

_LOG = logging.getLogger(__name__)
_READ_BYTES_MAX = 4 << 20
"""Most that is read of one attempt's signals at once; the rest comes with the next call."""


class _Position(TypedDict):
    """How far it was read: bytes by attempt, and when the machine was last looked at."""

    offsets: dict[str, int]
    looked_at: float


@dataclass(frozen=True, slots=True)
class _Load:
    """What an attempt uses; CPU is the total so far."""

    cpu_seconds: float
    memory_gib: float


class LocalSignals:
    """Signals of local clusters: the files of tasks, and one look at each cluster per window.

    window_seconds: time between two looks at the machine layer.
    """

    name = "local"

    def __init__(
        self,
        home: Path,
        source: FleetSource,
        clock: Clock | None = None,
        *,
        window_seconds: float = 1.0,
    ) -> None:
        self._attempts = home.absolute() / "attempts"
        self._source = source
        self._clock = clock or SystemClock()
        self._window_seconds = window_seconds
        self._orders: dict[str, AttemptOrder] = {}
        self._cpu: dict[int, float] = {}
        self._cpu_at: float | None = None

    def read(self, position: str) -> tuple[Sequence[Signal], str]:
        """Return signals after `position`, in order of time, and where to go on."""
        start = _parse(position)
        clusters: dict[str, Cluster] = {c.name: c for c in self._source.fleet().clusters}
        signals: list[Signal] = []
        offsets: dict[str, int] = {}
        for folder in self._folders():
            offset = start["offsets"].get(folder.name, 0)
            found, offsets[folder.name] = _read_lines(folder / files.SIGNALS, offset)
            signals += [self._labelled(signal, folder, clusters) for signal in found]
        looked_at = start["looked_at"]
        now = self._clock.now()
        if now - looked_at >= self._window_seconds:
            signals += self._machine(clusters.values(), now)
            looked_at = now
        signals.sort(key=lambda signal: signal.at)
        return signals, json.dumps({"offsets": offsets, "looked_at": looked_at}, sort_keys=True)

    def _folders(self) -> list[Path]:
        if not self._attempts.exists():
            return []
        return sorted(path for path in self._attempts.iterdir() if self._is_known(path))

    def _is_known(self, folder: Path) -> bool:
        """Whether it is told what an attempt is; that is read once, as tasks may write over it."""
        if folder.name.startswith(".") or not os.path.lexists(folder / files.ORDER):
            return False
        if folder.name not in self._orders:
            try:
                with files.open_plain(folder / files.ORDER) as file:
                    text = file.read(files.BYTES_MAX)
                self._orders[folder.name] = documents.decode(AttemptOrder, text)
            except (FileNotFoundError, files.NotPlainError, DamagedError):
                return False
        return True

    def _labelled(self, signal: Signal, folder: Path, clusters: Mapping[str, Cluster]) -> Signal:
        """Add what the executor knows to what the task said; the task's own labels win."""
        order = self._orders[folder.name]
        known: dict[str, str] = {
            "pipeline": order.pipeline,
            "task": order.task,
            "cluster": order.cluster,
            "pool": order.pool,
        }
        cluster = clusters.get(order.cluster)
        if cluster is not None:
            known |= {"provider": cluster.provider.value, "region": cluster.region}
        if signal.layer is Layer.TRAINING:
            known["run"] = order.run_id
        return replace(signal, labels={**known, **signal.labels})

    def _machine(self, clusters: Iterable[Cluster], now: float) -> list[Signal]:
        """Look at each local cluster once."""
        local = [cluster for cluster in clusters if cluster.executor in HERE]
        living = self._living()
        pids = {name: [pid for pid, _ in found] for name, found in living.items()}
        elapsed = now - self._cpu_at if self._cpu_at is not None else 0.0
        loads = {pid: _load(pid) for found in pids.values() for pid in found}
        signals: list[Signal] = []
        for cluster in local:
            mine = pids.get(cluster.name, [])
            used = sum(max(0.0, loads[pid].cpu_seconds - self._cpu.get(pid, 0.0)) for pid in mine)
            values = {
                "reachable": float(cluster.reachable),
                "cpu_cores_used": used / elapsed if elapsed > 0 else 0.0,
                "memory_gib_used": sum(loads[pid].memory_gib for pid in mine),
                "processes": float(len(mine)),
            }
            signals += [_cluster_signal(cluster, name, values[name], now) for name in values]
            signals += self._services(living.get(cluster.name, []), loads, now, elapsed)
        self._cpu, self._cpu_at = {pid: load.cpu_seconds for pid, load in loads.items()}, now
        return signals

    def _services(
        self,
        found: Iterable[tuple[int, AttemptOrder]],
        loads: Mapping[int, _Load],
        now: float,
        elapsed: float,
    ) -> list[Signal]:
        """Return what each server of a cluster used since the last look."""
        signals: list[Signal] = []
        for pid, order in found:
            if order.kind is TaskKind.SERVE:
                load = loads[pid]
                seconds = max(0.0, load.cpu_seconds - self._cpu.get(pid, load.cpu_seconds))
                cores = seconds / elapsed if elapsed > 0 else math.nan
                signals += _service_signals(order, now, cores, load.memory_gib)
        return signals

    def _living(self) -> dict[str, list[tuple[int, AttemptOrder]]]:
        """Return the shims that run, with what each was asked to run, by cluster."""
        found: dict[str, list[tuple[int, AttemptOrder]]] = {}
        for folder in self._folders():
            claim = None if (folder / files.EXIT).exists() else files.read_claim(folder)
            if claim is not None and processes.is_alive(claim["pid"], claim["identity"]):
                order = self._orders[folder.name]
                found.setdefault(order.cluster, []).append((claim["pid"], order))
        return found


def _load(pid: int) -> _Load:
    """Look at a tree of processes once: to find those of a tree, all of the machine are read."""
    found = processes.tree(pid)
    return _Load(processes.cpu_seconds(found), processes.memory_bytes(found) / 2**30)


_UNITS = {"reachable": "", "cpu_cores_used": "cores", "memory_gib_used": "GiB", "processes": ""}


def _cluster_signal(cluster: Cluster, name: str, value: float, now: float) -> Signal:
    return Signal(
        name=name,
        layer=Layer.MACHINE,
        subject=f"cluster:{cluster.name}",
        at=now,
        value=value,
        unit=_UNITS[name],
        labels={
            "cluster": cluster.name,
            "provider": cluster.provider.value,
            "region": cluster.region,
        },
    )


def _service_signals(order: AttemptOrder, now: float, cores: float, gib: float) -> list[Signal]:
    """Return what a service uses, for its size; cores that are not known yet are left out."""
    values = {"service_cpu_cores": cores, "service_memory_gib": gib}
    return [
        Signal(
            name=name,
            layer=Layer.MACHINE,
            subject=sizing.use_subject(order.pipeline, order.task),
            at=now,
            value=value,
            unit=sizing.USE_SIGNALS[name].unit,
            labels={
                "pipeline": order.pipeline,
                "task": order.task,
                "cluster": order.cluster,
                "pool": order.pool,
            },
        )
        for name, value in values.items()
        if math.isfinite(value)
    ]


def _parse(position: str) -> _Position:
    """Read a position; one that is damaged starts anew, since signals are written by key."""
    try:
        value = cast("_Position", json.loads(position or "{}"))
        return _Position(
            offsets={str(name): int(at) for name, at in value.get("offsets", {}).items()},
            looked_at=float(value.get("looked_at", 0.0)),
        )
    except (ValueError, AttributeError, TypeError):
        _LOG.warning("the position of the local signals is damaged; reading from the start")
        return _Position(offsets={}, looked_at=0.0)


def _read_lines(path: Path, offset: int) -> tuple[list[Signal], int]:
    """Return the signals in whole lines after `offset`, and the offset behind them."""
    try:
        with files.open_plain(path) as file:
            file.seek(offset)
            data = file.read(_READ_BYTES_MAX)
    except (FileNotFoundError, files.NotPlainError):
        return [], offset
    whole = data[: data.rfind(b"\n") + 1]
    if not whole and len(data) == _READ_BYTES_MAX:
        whole = data  # no signal is so long: what is behind is not kept back for it
    signals: list[Signal] = []
    for line in whole.splitlines():
        try:
            signals.append(documents.decode(Signal, line))
        except DamagedError as error:
            _LOG.warning("%s has a line that is no signal: %s", path, error.message)
    return signals, offset + len(whole)
