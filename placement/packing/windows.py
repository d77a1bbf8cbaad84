"""Places the pods of one window together: a scheduler that wakes every so often.

Waiting lets large pods go first. What a window gains or loses is measured by the benchmark.
"""

from collections.abc import Callable, Sequence

from placement.packing.nodes import Binding, PodShape

Place = Callable[[str, PodShape], Binding | None]


def place_together(place: Place, pods: Sequence[tuple[str, PodShape]]) -> list[Binding | None]:
    """Places pods with their names and shapes, most GPU first, then most CPU.

    Pods that ask for the same keep their order. Returns the bindings in the order given.
    """
    found: list[Binding | None] = [None] * len(pods)
    sizes = [(shape.total_gpu_milli, shape.cpu_milli) for _, shape in pods]
    for number in sorted(range(len(pods)), key=sizes.__getitem__, reverse=True):
        found[number] = place(*pods[number])
    return found
