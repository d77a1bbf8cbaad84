"""The compiled inner loop: room on nodes, what fits, and which node scores best.

All policies share this state and these feasibility rules; they differ only in `_score`. `packer`
owns the arrays and is the only caller besides `repacking`. A score depends on one node's room and
one shape only, so it is kept (`Scores`) until that node changes: a pod costs one comparison for
each node and one evaluation for each node that changed since a pod of its shape came last.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

from placement.packing.policies import Policy

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., object])

NOWHERE = -1
_FRAGMENTATION = int(Policy.FRAGMENTATION)
_BEST_FIT = int(Policy.BEST_FIT)
# Best fit divides by the largest machine of its paper's cluster: 128 CPUs and 8 GPUs.
_LARGEST_CPU_MILLI = 128_000.0
_LARGEST_GPU_MILLI = 8_000.0


def compiled(function: Function) -> Function:
    """Compiles a function and keeps its code on disk; numba itself is untyped.

    All compiled functions stand in this file: the code kept for a function is renewed when its
    own file changes, not when the file of a function that it calls does.
    """
    return cast("Function", numba.njit(cache=True)(function))


class Room(NamedTuple):
    """What is left on each node; `version` counts a node's changes, `model` is fixed."""

    cpu_milli: Integers
    memory_mib: Integers
    pods: Integers
    devices_milli: Integers
    model: Integers
    version: Integers


class Shapes(NamedTuple):
    """Shapes of pods, one a row; `models[shape, model]` says whether it may run there."""

    cpu_milli: Integers
    memory_mib: Integers
    devices: Integers
    milli: Integers
    models: NDArray[np.bool_]


class Scores(NamedTuple):
    """Kept scores by shape and node, with the version they hold for and the devices taken."""

    version: Integers
    score: Floats
    mask: Integers


class Typical(NamedTuple):
    """Typical pods with their frequencies, which sum to 1."""

    shapes: Shapes
    frequency: Floats


class Fill(NamedTuple):
    """Streams of shapes (one a row) that a node is filled with, and values kept by hash."""

    streams: Integers
    shapes: Shapes
    keys: NDArray[np.uint64]
    values: Floats


class Judge(NamedTuple):
    """What ranks nodes: the policy with what it knows of pods to come."""

    policy: int
    typical: Typical
    fill: Fill


@compiled
def fits(room: Room, shapes: Shapes, shape: int, node: int) -> bool:
    """Returns whether one pod of a shape fits onto a node now."""
    if room.pods[node] < 1 or room.cpu_milli[node] < shapes.cpu_milli[shape]:
        return False
    if room.memory_mib[node] < shapes.memory_mib[shape]:
        return False
    wanted = shapes.devices[shape]
    if wanted == 0:
        return True
    if not shapes.models[shape, room.model[node]]:
        return False
    for left in room.devices_milli[node]:
        if left >= shapes.milli[shape]:
            wanted -= 1
    return bool(wanted <= 0)


@compiled
def take_tightest(devices: Integers, wanted: int, milli: int) -> int:
    """Takes room on the tightest devices that suffice; returns their bit mask, or -1.

    Of devices equally tight the first is taken. Nothing is taken when too few suffice.
    """
    mask = 0
    for _ in range(wanted):
        tightest = -1
        for device in range(devices.shape[0]):
            left = devices[device]
            free = (mask >> device) & 1 == 0
            if free and left >= milli and (tightest < 0 or left < devices[tightest]):
                tightest = device
        if tightest < 0:
            return NOWHERE
        mask |= 1 << tightest
    for device in range(devices.shape[0]):
        if (mask >> device) & 1:
            devices[device] -= milli
    return mask


@compiled
def fragment_milli(cpu_milli: int, devices: Integers, model: int, typical: Typical) -> float:
    """Returns the idle GPU that a typical pod is expected not to be able to use (FGD, ATC '23).

    Sums are kept by reason and added last, in the order of the published simulator: its integer
    scores turn on the last bit.
    """
    shapes = typical.shapes
    idle = 0
    for left in devices:
        idle += left
    sums = np.zeros(6)
    for kind in range(shapes.milli.shape[0]):
        share = typical.frequency[kind]
        has_cpu = cpu_milli >= shapes.cpu_milli[kind]
        if shapes.devices[kind] == 0:
            sums[3 if has_cpu else 4] += share * idle
        elif not shapes.models[kind, model]:
            sums[5] += share * idle
        else:
            suffice, small = 0, 0
            for left in devices:
                if left >= shapes.milli[kind]:
                    suffice += 1
                else:
                    small += left
            if suffice < shapes.devices[kind]:
                sums[1 if has_cpu else 0] += share * idle
            elif has_cpu:
                sums[1] += share * small
            else:
                sums[2] += share * idle
    return float(sums.sum())


@compiled
def _filled_milli(
    cpu_milli: int, memory_mib: int, devices: Integers, model: int, fill: Fill
) -> float:
    """Returns the GPU-milli that a stream fills, on average over the streams.

    Each pod of a stream is placed if it fits, on the tightest devices, else skipped.
    """
    shapes = fill.shapes
    total = 0
    left = np.empty_like(devices)
    for stream in range(fill.streams.shape[0]):
        left[:] = devices
        idle = left.sum()
        cpu, memory = cpu_milli, memory_mib
        for step in range(fill.streams.shape[1]):
            kind = int(fill.streams[stream, step])
            if cpu < shapes.cpu_milli[kind] or memory < shapes.memory_mib[kind]:
                continue
            wanted = shapes.devices[kind]
            if wanted > 0:
                if not shapes.models[kind, model] or idle < shapes.milli[kind]:
                    continue
                if take_tightest(left, wanted, shapes.milli[kind]) == NOWHERE:
                    continue
            cpu -= shapes.cpu_milli[kind]
            memory -= shapes.memory_mib[kind]
            idle -= wanted * shapes.milli[kind]
            total += wanted * shapes.milli[kind]
            if idle == 0:
                break
    return float(total / fill.streams.shape[0])


@compiled
def fill_value(cpu_milli: int, memory_mib: int, devices: Integers, model: int, fill: Fill) -> float:
    """Returns `_filled_milli`, kept by a hash of the room so that equal rooms are valued once."""
    ordered = devices.copy()
    for device in range(1, ordered.shape[0]):
        # Insertion; `np.sort` takes seconds to compile.
        place, left = device, ordered[device]
        while place > 0 and ordered[place - 1] > left:
            ordered[place] = ordered[place - 1]
            place -= 1
        ordered[place] = left
    if ordered[-1] == 0:
        return 0.0
    prime = np.uint64(0x9E3779B97F4A7C15)
    key = (np.uint64(cpu_milli) * prime) ^ np.uint64(memory_mib)
    key = key * prime + np.uint64(model) + np.uint64(1)
    for left in ordered:
        key = (key ^ (key >> np.uint64(29))) * prime + np.uint64(left)
    key ^= key >> np.uint64(32)
    slot = np.int64(key & np.uint64(fill.keys.shape[0] - 1))
    if fill.keys[slot] != key:
        fill.values[slot] = _filled_milli(cpu_milli, memory_mib, ordered, model, fill)
        fill.keys[slot] = key
    return float(fill.values[slot])


@compiled
def _loss(room: Room, node: int, cpu: int, memory: int, devices: Integers, judge: Judge) -> float:
    """Returns what this room lacks, in GPU-milli: its fragment, or less the more it would fill."""
    model = room.model[node]
    if judge.policy == _FRAGMENTATION:
        return fragment_milli(cpu, devices, model, judge.typical)
    return -fill_value(cpu, memory, devices, model, judge.fill)


@compiled
def _occurs_before(devices: Integers, device: int) -> bool:
    """Returns whether an earlier device is equally idle, and so alike."""
    alike = 0
    for earlier in range(device):
        alike += devices[earlier] == devices[device]
    return alike > 0


@compiled
def evaluate(room: Room, shapes: Shapes, shape: int, node: int, judge: Judge) -> tuple[float, int]:
    """Returns the score of a node on which a pod fits, and the devices that it would take."""
    devices = room.devices_milli[node].copy()
    milli = shapes.milli[shape]
    cpu = room.cpu_milli[node] - shapes.cpu_milli[shape]
    memory = room.memory_mib[node] - shapes.memory_mib[shape]
    if judge.policy == _BEST_FIT:
        mask = take_tightest(devices, shapes.devices[shape], milli)
        left = cpu / _LARGEST_CPU_MILLI * 0.5 + devices.sum() / _LARGEST_GPU_MILLI * 0.5
        return float(int((1.0 - left) * 100.0)), mask
    before = _loss(room, node, room.cpu_milli[node], room.memory_mib[node], devices, judge)
    best, chosen = -np.inf, NOWHERE
    single = shapes.devices[shape] == 1
    for device in range(devices.shape[0] if single else 1):
        idle = devices[device]
        if single:
            if idle < milli or _occurs_before(devices, device):
                continue
            devices[device] = idle - milli
            mask = 1 << device
        else:
            mask = take_tightest(devices, shapes.devices[shape], milli)
        score = before - _loss(room, node, cpu, memory, devices, judge)
        devices[device] = idle
        if judge.policy == _FRAGMENTATION:
            score = float(int(100.0 / (1.0 + np.exp(-score / 1000.0))))
        if score > best:
            best, chosen = score, mask
    return best, chosen


@compiled
def choose(
    room: Room, shapes: Shapes, shape: int, barred: int, scores: Scores, judge: Judge
) -> tuple[int, int]:
    """Returns the best node for a pod and its devices, or `NOWHERE` and 0 where none fits.

    Of nodes that score alike the first is taken. The node `barred` is left out.
    """
    versions, kept, masks = scores.version[shape], scores.score[shape], scores.mask[shape]
    best = NOWHERE
    for node in range(versions.shape[0]):
        if versions[node] != room.version[node]:
            versions[node] = room.version[node]
            masks[node] = NOWHERE
            if fits(room, shapes, shape, node):
                kept[node], masks[node] = evaluate(room, shapes, shape, node, judge)
        if masks[node] == NOWHERE or node == barred:
            continue
        if best == NOWHERE or kept[node] > kept[best]:
            best = node
    return best, 0 if best == NOWHERE else masks[best]


@compiled
def shift(room: Room, shapes: Shapes, shape: int, node: int, mask: int, sign: int) -> None:
    """Takes (`sign` -1) or gives back (+1) the room of one pod, on trial: scores stay kept."""
    room.cpu_milli[node] += sign * shapes.cpu_milli[shape]
    room.memory_mib[node] += sign * shapes.memory_mib[shape]
    room.pods[node] += sign
    for device in range(room.devices_milli.shape[1]):
        if (mask >> device) & 1:
            room.devices_milli[node, device] += sign * shapes.milli[shape]


@compiled
def change(room: Room, shapes: Shapes, shape: int, node: int, mask: int, sign: int) -> None:
    """Takes (`sign` -1) or gives back (+1) the room of one pod, for good."""
    shift(room, shapes, shape, node, mask, sign)
    room.version[node] += 1


@compiled
def best_move(
    room: Room, shapes: Shapes, shape: int, standing: Integers, scores: Scores, judge: Judge
) -> tuple[int, int, float]:
    """Returns the move of one placed pod that lets a pod fit at the least loss of room.

    Args:
        room: What is left.
        shapes: Shapes of all pods.
        shape: The shape that fits nowhere.
        standing: Shape, node and devices of each placed pod, one a row.
        scores: Kept scores.
        judge: What ranks nodes.

    Returns:
        The row in `standing` (`NOWHERE` if no single move helps), the node to move it to, and the
        sum of the scores: GPU-milli of value gained, the pod's own not counted.
    """
    unknown = NOWHERE - 1
    targets = np.full(shapes.milli.shape[0], unknown)
    found, goal, best = NOWHERE, NOWHERE, -np.inf
    for number in range(standing.shape[0]):
        row, node = int(standing[number, 0]), int(standing[number, 1])
        mask = int(standing[number, 2])
        if targets[row] == unknown:
            targets[row], _ = choose(room, shapes, row, NOWHERE, scores, judge)
        target = int(targets[row])
        if target == node:
            target, _ = choose(room, shapes, row, node, scores, judge)
        if target == NOWHERE:
            continue
        cpu, memory = int(room.cpu_milli[node]), int(room.memory_mib[node])
        before = _loss(room, node, cpu, memory, room.devices_milli[node], judge)
        shift(room, shapes, row, node, mask, 1)
        score = -np.inf
        if fits(room, shapes, shape, node):
            score, _ = evaluate(room, shapes, shape, node, judge)
            cpu, memory = int(room.cpu_milli[node]), int(room.memory_mib[node])
            between = _loss(room, node, cpu, memory, room.devices_milli[node], judge)
            score += before - between + scores.score[row, target]
        shift(room, shapes, row, node, mask, -1)
        if score > best:
            found, goal, best = number, target, score
    return found, goal, best
