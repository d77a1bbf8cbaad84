"""Replays one trace with one policy and measures what the published protocol measures."""

import dataclasses
import enum
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.placement._openb import Arrivals, Trace, in_bucket
from benchmarks.placement._packing_check import violations
from placement.packing import kernel
from placement.packing.histogram import Histogram, typical_pods
from placement.packing.nodes import Binding, Node, PodNeverFitsError, PodShape, model_numbers
from placement.packing.packer import DEFAULT_SETTINGS, Packer
from placement.packing.policies import FillSettings, Policy
from placement.packing.repacking import Repacker, RepackingSettings
from placement.packing.windows import Place, place_together

WARM_PODS = 200
PIECE_MILLI = 200


class Knowledge(enum.Enum):
    """What a policy knows of pods to come: the trace's histogram, or only what it has seen."""

    HISTOGRAM = "histogram"
    SEEN = "seen"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a replay places pods.

    Attributes:
        policy: How nodes are ranked.
        knowledge: What is known of pods to come.
        settings: How room is valued.
        repacking: Moves, or None.
        window: Pods that are placed together.
    """

    policy: Policy
    knowledge: Knowledge = Knowledge.HISTOGRAM
    settings: FillSettings = DEFAULT_SETTINGS
    repacking: RepackingSettings | None = None
    window: int = 1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one replay gave.

    Attributes:
        allocated_percent: GPU allocated at each percentage asked for, by percentage.
        fragment_percent: Fragment at the end of arrivals.
        pieces_percent: GPU idle at the end on devices of which less than `PIECE_MILLI` is idle.
        arrived: Pods that came.
        placed: Pods placed.
        moves: Pods moved.
        waited: Pods that waited although they fitted, until all had come.
        late: Those of them that were placed then.
        broken: Limits broken, by the independent check.
        seconds: Wall time of the replay.
        cpu_seconds: CPU time of the replay.
    """

    allocated_percent: dict[int, float]
    fragment_percent: float
    pieces_percent: float
    arrived: int
    placed: int
    moves: int
    waited: int
    late: int
    broken: tuple[str, ...]
    seconds: float
    cpu_seconds: float


def replay(trace: Trace, arrivals: Arrivals, way: Way, percents: Sequence[int]) -> Outcome:
    """Replays the arrivals. The last of `percents` is where the fragment is measured."""
    histogram = Histogram.of(trace.shapes)
    asked = {f"{number}": trace.shapes[pod] for number, pod in enumerate(arrivals.pods)}
    started, cpu_started = time.perf_counter(), time.process_time()
    packer, repacker = _packers(arrivals.nodes, histogram, way)
    place = _tolerant((repacker or packer).place)
    curve = _Curve(packer, histogram, percents[-1])
    pods = list(asked.items())
    for first in range(0, len(pods), way.window):
        together = pods[first : first + way.window]
        for (_, shape), binding in zip(together, place_together(place, together), strict=True):
            curve.add(shape, is_placed=binding is not None)
    waited = len(repacker.waiting) if repacker else 0
    # Not in the curve, which ends with the last arrival.
    late = len(repacker.place_waiting()) if repacker else 0
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return Outcome(
        allocated_percent={percent: curve.allocated_percent(percent) for percent in percents},
        fragment_percent=curve.fragment_percent(percents[-1]),
        pieces_percent=curve.pieces_percent(),
        arrived=len(asked),
        placed=packer.placed,
        moves=packer.moves,
        waited=waited,
        late=late,
        broken=tuple(violations(arrivals.nodes, asked, packer.bindings)),
        seconds=seconds,
        cpu_seconds=cpu_seconds,
    )


def warm(trace: Trace, nodes: Sequence[Node], way: Way) -> None:
    """Fills two nodes, so that compiling and loading are not counted in a replay."""
    packer, repacker = _packers(nodes[:2], Histogram.of(trace.shapes), way)
    place = _tolerant((repacker or packer).place)
    for number, shape in enumerate(trace.shapes[:WARM_PODS]):
        place(f"{number}", shape)


def _packers(
    nodes: Sequence[Node], histogram: Histogram, way: Way
) -> tuple[Packer, Repacker | None]:
    known = histogram if way.knowledge is Knowledge.HISTOGRAM else None
    packer = Packer(nodes, known, policy=way.policy, settings=way.settings)
    return packer, Repacker(packer, way.repacking) if way.repacking else None


def _tolerant(place: Place) -> Place:
    """Returns a way to place in which a pod that never fits is one that does not fit."""

    def place_or_not(pod: str, shape: PodShape) -> Binding | None:
        try:
            return place(pod, shape)
        except PodNeverFitsError:
            return None

    return place_or_not


class _Curve:
    """GPU asked for and allocated after each event; the fragment near the end of arrivals."""

    def __init__(self, packer: Packer, histogram: Histogram, last_percent: int) -> None:
        self._room = packer.room
        self._typical = typical_pods(histogram, model_numbers(packer.nodes))
        self._last_percent = last_percent
        self._gpus = sum(node.gpus for node in packer.nodes)
        self._asked_milli = 0
        self._used_milli = 0
        self._asked: list[float] = []
        self._allocated: list[float] = []
        self._fragments_milli: list[float] = []

    def add(self, shape: PodShape, *, is_placed: bool) -> None:
        """Adds one event."""
        self._asked_milli += shape.total_gpu_milli
        self._used_milli += shape.total_gpu_milli if is_placed else 0
        self._asked.append(self._asked_milli / self._gpus / 10)
        self._allocated.append(round(self._used_milli / self._gpus / 10, 2))
        near = self._asked[-1] >= self._last_percent - 1.5
        self._fragments_milli.append(self._fragment_milli() if near else 0.0)

    def _fragment_milli(self) -> float:
        room = self._room
        return sum(
            kernel.fragment_milli(cpu, devices, model, self._typical)
            for cpu, devices, model in zip(
                room.cpu_milli, room.devices_milli, room.model, strict=True
            )
        )

    def allocated_percent(self, percent: int) -> float:
        """Returns the mean allocation while this percentage was asked for."""
        return round(float(np.mean(in_bucket(self._allocated, self._asked, percent))), 2)

    def pieces_percent(self) -> float:
        """Returns what is idle now in pieces of devices, in percent of all GPUs."""
        devices = self._room.devices_milli
        return float(devices[devices < PIECE_MILLI].sum()) / self._gpus / 10

    def fragment_percent(self, percent: int) -> float:
        """Returns the mean fragment in percent of all GPUs."""
        bucket = in_bucket(self._fragments_milli, self._asked, percent)
        return float(np.mean(bucket)) / self._gpus / 10
