"""Checks a packing from its definition, slowly and without the packer's arrays."""

import collections
from collections.abc import Iterable, Mapping

from placement.packing.nodes import Binding, Node, PodShape

WHOLE_MILLI = 1000


def violations(
    nodes: Iterable[Node], pods: Mapping[str, PodShape], bindings: Mapping[str, Binding]
) -> list[str]:
    """Returns every limit that is broken, in words.

    Args:
        nodes: The nodes.
        pods: Shape of each pod by its name.
        bindings: Where the placed pods stand.
    """
    found = []
    by_name = {node.name: node for node in nodes}
    on_node: dict[str, list[str]] = collections.defaultdict(list)
    for pod, binding in bindings.items():
        if pod not in pods:
            found.append(f"{pod} stands on {binding.node} but never came")
        elif binding.node not in by_name:
            found.append(f"{pod} stands on {binding.node}, which is no node")
        else:
            on_node[binding.node].append(pod)
            found += _of_pod(pod, pods[pod], binding, by_name[binding.node])
    for name, standing in on_node.items():
        found += _of_node(by_name[name], [(pods[pod], bindings[pod]) for pod in standing])
    return found


def _of_pod(pod: str, shape: PodShape, binding: Binding, node: Node) -> list[str]:
    found = []
    if len(set(binding.devices)) != shape.gpus or len(binding.devices) != shape.gpus:
        found.append(f"{pod} asks for {shape.gpus} GPUs and has {binding.devices}")
    if any(not 0 <= device < node.gpus for device in binding.devices):
        found.append(f"{pod} has devices {binding.devices} of {node.name}, which has {node.gpus}")
    if shape.gpus and shape.models and node.model not in shape.models:
        found.append(f"{pod} asks for {shape.models} and stands on {node.model}")
    return found


def _of_node(node: Node, standing: list[tuple[PodShape, Binding]]) -> list[str]:
    devices = collections.Counter[int]()
    for shape, binding in standing:
        for device in binding.devices:
            devices[device] += shape.gpu_milli
    sums = {
        "CPU": (sum(shape.cpu_milli for shape, _ in standing), node.cpu_milli),
        "memory": (sum(shape.memory_mib for shape, _ in standing), node.memory_mib),
        "pods": (len(standing), node.pods_max),
        **{f"GPU {device}": (milli, WHOLE_MILLI) for device, milli in devices.items()},
    }
    return [
        f"{node.name}: {name} {used} of {most}"
        for name, (used, most) in sums.items()
        if used > most
    ]
