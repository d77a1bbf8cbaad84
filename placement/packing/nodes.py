"""What packing is told: nodes with GPUs, shapes of pods, and where a pod stands.

Frozen values without behaviour beyond checks; `packer` turns them into arrays.
"""

import collections
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.model.errors import Fault, InfeasibleError, InvalidInputError

WHOLE_MILLI = 1000
"""Thousandths of one whole GPU."""
GPUS_MAX = 32
"""GPUs of one node at most; devices taken are kept as a bit mask."""
AMOUNT_MAX = 2**50
"""Largest amount of CPU or memory; sums over a million nodes stay within 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as it is when empty.

    Attributes:
        name: Its name, unique among the nodes.
        cpu_milli: Thousandths of a CPU that pods may have.
        memory_mib: Memory that pods may have.
        gpus: GPUs, each of which can be shared in thousandths.
        model: What its GPUs are, such as "T4"; empty where it has none.
        pods_max: Pods that may run there at once.
    """

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int
    model: str = ""
    pods_max: int = 110


@dataclass(frozen=True, slots=True, kw_only=True)
class PodShape:
    """What a pod asks for.

    Attributes:
        cpu_milli: Thousandths of a CPU.
        memory_mib: Memory.
        gpus: Devices, all of one node; 0 for a pod without GPU.
        gpu_milli: Thousandths of each device: under 1000 shares it, 1000 has it alone.
        models: GPU models that will do, as asked for; empty where any will.
    """

    cpu_milli: int
    memory_mib: int
    gpus: int
    gpu_milli: int = 0
    models: tuple[str, ...] = ()

    @property
    def total_gpu_milli(self) -> int:
        """Thousandths of GPUs over all devices."""
        return self.gpus * self.gpu_milli


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """Where a pod stands: the node's name and the indices of its devices."""

    node: str
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One placed pod that could go to another node, so that a pod that waits fits.

    `worth_milli` is the GPU that the waiting pod would use, less what the room of both nodes
    loses in value.
    """

    pod: str
    node: str
    worth_milli: float


class PodNeverFitsError(InfeasibleError):
    """A pod fits on no node even when all are empty."""

    default_code = "S021"

    def __init__(self, pod: str, shape: PodShape) -> None:
        super().__init__(
            f"pod {pod!r} fits on no node, not even an empty one: it asks for "
            f"{shape.cpu_milli} milli-CPU, {shape.memory_mib} MiB and {shape.gpus} GPU at "
            f"{shape.gpu_milli} milli of {'|'.join(shape.models) or 'any model'}",
            fix="ask for less, or add a node that is large enough",
        )
        self.shape = shape


def check_nodes(nodes: Sequence[Node]) -> None:
    """Checks all nodes at once.

    Raises:
        InvalidInputError: No node, a name given twice, an amount out of range.
    """
    faults = [] if nodes else [_fault("there is no node", "give at least one")]
    names = collections.Counter(node.name for node in nodes)
    faults += [
        _fault(f"node {name!r} is given {count} times", "give each node a name of its own")
        for name, count in names.items()
        if count > 1
    ]
    for node in nodes:
        amounts = {
            "cpu_milli": (node.cpu_milli, AMOUNT_MAX),
            "memory_mib": (node.memory_mib, AMOUNT_MAX),
            "gpus": (node.gpus, GPUS_MAX),
            "pods_max": (node.pods_max, AMOUNT_MAX),
        }
        faults += _out_of_range(f"node {node.name!r}", amounts)
    if faults:
        raise InvalidInputError("nodes", faults)


def check_shape(pod: str, shape: PodShape) -> None:
    """Checks one shape.

    Raises:
        InvalidInputError: An amount is out of range, or GPUs are asked for at 0 milli.
    """
    amounts = {
        "cpu_milli": (shape.cpu_milli, AMOUNT_MAX),
        "memory_mib": (shape.memory_mib, AMOUNT_MAX),
        "gpus": (shape.gpus, GPUS_MAX),
        "gpu_milli": (shape.gpu_milli, WHOLE_MILLI),
    }
    faults = _out_of_range(f"pod {pod!r}", amounts)
    if (shape.gpus == 0) != (shape.gpu_milli == 0):
        asked = f"pod {pod!r} asks for {shape.gpus} GPUs at {shape.gpu_milli} milli each"
        faults.append(_fault(asked, "give both, or neither"))
    if faults:
        raise InvalidInputError(pod, faults)


def _out_of_range(owner: str, amounts: dict[str, tuple[int, int]]) -> list[Fault]:
    return [
        _fault(f"{owner}: {name} is {value!r}", f"give a whole number from 0 to {most}")
        for name, (value, most) in amounts.items()
        if not 0 <= value <= most
    ]


def _fault(message: str, fix: str) -> Fault:
    return Fault(code="S001", message=message, fix=fix)


def model_numbers(nodes: Iterable[Node]) -> dict[str, int]:
    """Returns a number for each GPU model, in the order of their names."""
    return {model: number for number, model in enumerate(sorted({n.model for n in nodes}))}
