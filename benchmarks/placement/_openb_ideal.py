"""What a packer places that moves pods at no price and refuses none that some packing has room for.

Only GPUs count: no CPU, no memory, no models, no nodes that devices belong to. Pods of several GPUs
take whole ones. Pods that share a device are packed by the linear programme over all fillings of
one device (Gilmore and Gomory 1961), which needs no more devices than any packing. Whatever it
refuses no rearrangement has room for; a policy that ends with more has refused pods that fitted
after moves, or kept its fleet in pieces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ortools.math_opt.python import mathopt

from placement.packing.nodes import WHOLE_MILLI, PodShape

FILLINGS_MAX = 20_000
TOLERANCE = 1e-6


def allocated_percent(shapes: Sequence[PodShape], devices: int) -> float | None:
    """Return the GPU allocated when all have come; None where devices have too many fillings."""
    asked = [shape for shape in shapes if shape.gpus]
    sizes = {shape.gpu_milli for shape in asked if _shares(shape)}
    fillings = _fillings(sorted(sizes, reverse=True))
    if fillings is None:
        return None
    packing = _Packing(fillings)
    count = _most_at_first(asked, devices, packing)
    placed = Counter(asked[:count])
    full: set[PodShape] = set()
    for shape in asked[count:]:
        # Room never grows, so that what once had none has none later.
        if shape in full:
            continue
        placed[shape] += 1
        if packing.devices(placed) > devices + TOLERANCE:
            placed[shape] -= 1
            full.add(shape)
    used = sum(shape.total_gpu_milli * many for shape, many in placed.items())
    return 100.0 * used / (WHOLE_MILLI * devices)


def _shares(shape: PodShape) -> bool:
    return shape.gpus == 1 and shape.gpu_milli < WHOLE_MILLI


def _most_at_first(asked: Sequence[PodShape], devices: int, packing: _Packing) -> int:
    """Return how many of the first pods have room together, by bisection."""
    low, high = 0, len(asked)
    while low < high:
        middle = (low + high + 1) // 2
        if packing.devices(Counter(asked[:middle])) <= devices + TOLERANCE:
            low = middle
        else:
            high = middle - 1
    return low


def _fillings(sizes: Sequence[int]) -> list[dict[int, int]] | None:
    """Return the ways to fill one device to which nothing can be added; None for too many."""
    found = []
    for filling in _ways(sizes, WHOLE_MILLI):
        found.append(filling)
        if len(found) > FILLINGS_MAX:
            return None
    return found


def _ways(sizes: Sequence[int], left: int) -> Iterator[dict[int, int]]:
    if not sizes:
        yield {}
        return
    size, rest = sizes[0], sizes[1:]
    for many in range(left // size, -1, -1):
        remains = left - many * size
        # Sizes fall, so that only the least of them shows whether something can be added.
        if not rest and remains >= size:
            return
        for way in _ways(rest, remains):
            yield {**way, size: many} if many else way


class _Packing:
    """The programme, made once; `devices` changes how many pods of each size there are."""

    def __init__(self, fillings: Sequence[Mapping[int, int]]) -> None:
        self._model = mathopt.Model()
        used = [self._model.add_variable(lb=0.0) for _ in fillings]
        self._rows = {}
        for size in sorted({size for filling in fillings for size in filling}):
            held = mathopt.fast_sum(
                filling[size] * variable
                for filling, variable in zip(fillings, used, strict=True)
                if size in filling
            )
            self._rows[size] = self._model.add_linear_constraint(held >= 0.0)
        self._model.minimize(mathopt.fast_sum(used))
        self._solver = mathopt.IncrementalSolver(self._model, mathopt.SolverType.GLOP)

    def devices(self, pods: Mapping[PodShape, int]) -> float:
        """Return the fewest devices, in part full ones too, that hold the pods."""
        whole = 0
        shared: Counter[int] = Counter()
        for shape, many in pods.items():
            if _shares(shape):
                shared[shape.gpu_milli] += many
            else:
                whole += shape.gpus * many
        for size, row in self._rows.items():
            row.lower_bound = float(shared[size])
        return whole + float(self._solver.solve().objective_value())
