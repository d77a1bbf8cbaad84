"""Places pods one at a time, as a scheduler would ask: place, release, move.

The packer owns the arrays of `kernel` and the names; `repacking` and `windows` stand on it.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from engine.model.errors import ConflictError, NotFoundError
from placement.packing import histogram as histograms
from placement.packing import kernel
from placement.packing.histogram import Histogram
from placement.packing.nodes import (
    WHOLE_MILLI,
    Binding,
    Move,
    Node,
    PodNeverFitsError,
    PodShape,
    check_nodes,
    check_shape,
    model_numbers,
)
from placement.packing.policies import FillSettings, Policy

DEFAULT_SETTINGS = FillSettings()
_FIRST_SHAPES = 64


class Packer:
    """Packs pods onto nodes. Not safe for use from several threads at once.

    Args:
        nodes: The nodes, empty. Of two that score alike the earlier takes the pod.
        histogram: Counts of the pods to be expected. Without it the packer learns from the pods
            that it is asked to place, anew each time their number has doubled.
        policy: How nodes are ranked.
        settings: How the value of room is estimated (policy `FILL`).

    Raises:
        InvalidInputError: No node, a name given twice, an amount out of range.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        histogram: Histogram | None = None,
        *,
        policy: Policy = Policy.FILL,
        settings: FillSettings = DEFAULT_SETTINGS,
    ) -> None:
        check_nodes(nodes)
        self.nodes = tuple(nodes)
        self.policy = policy
        self.settings = settings
        self.room = _empty_room(nodes)
        self.moves = 0
        """Pods moved so far."""
        self._numbers = {node.name: number for number, node in enumerate(nodes)}
        self._models = model_numbers(nodes)
        self._rows: dict[PodShape, int] = {}
        self._fitting: set[PodShape] = set()
        self._seen: dict[PodShape, int] = {}
        self._learns = histogram is None
        self._seen_pods = 0
        self._learn_at = 1
        self._bindings: dict[str, tuple[int, int, int]] = {}
        self._shapes = histograms.shape_table([], self._models)
        self._scores = _no_scores(0, len(nodes))
        self._judge = self._judge_by(histogram or Histogram(counts={}))

    @property
    def bindings(self) -> Mapping[str, Binding]:
        """Where each placed pod stands, by its name."""
        return MappingProxyType(
            {pod: self._binding(node, mask) for pod, (_, node, mask) in self._bindings.items()}
        )

    @property
    def placed(self) -> int:
        """Pods that stand somewhere."""
        return len(self._bindings)

    @property
    def used_gpu_milli(self) -> int:
        """Thousandths of GPUs that placed pods have."""
        total = sum(node.gpus for node in self.nodes) * WHOLE_MILLI
        return total - int(self.room.devices_milli.sum())

    def place(self, pod: str, shape: PodShape) -> Binding | None:
        """Places a pod on the best node; returns None where none has room now.

        Raises:
            ConflictError: A pod of this name is placed already.
            InvalidInputError: The shape cannot be.
            PodNeverFitsError: No node would have room even if all were empty.
        """
        self.check(pod, shape)
        if self._learns:
            self._learn(shape)
        row = self._row(shape)
        found = self._choose(row)
        if found is None:
            return None
        kernel.change(self.room, self._shapes, row, *found, -1)
        self._bindings[pod] = (row, *found)
        return self._binding(*found)

    def check(self, pod: str, shape: PodShape) -> None:
        """Refuses a pod that `place` refuses, whatever room there is.

        Raises:
            ConflictError, InvalidInputError, PodNeverFitsError: As `place`.
        """
        if pod in self._bindings:
            raise ConflictError(
                f"pod {pod!r} is placed already", fix="release it first, or give another name"
            )
        if shape in self._fitting:
            return
        check_shape(pod, shape)
        table = histograms.shape_table([shape], self._models)
        empty = _empty_room(self.nodes)
        if not any(kernel.fits(empty, table, 0, node) for node in range(len(self.nodes))):
            raise PodNeverFitsError(pod, shape)
        self._fitting.add(shape)

    def release(self, pod: str) -> PodShape:
        """Gives back the room of a pod that ended; returns its shape.

        Raises:
            NotFoundError: No pod of this name is placed.
        """
        row, node, mask = self._standing(pod)
        kernel.change(self.room, self._shapes, row, node, mask, 1)
        del self._bindings[pod]
        return list(self._rows)[row]

    def move(self, pod: str, node: str | None = None) -> Binding:
        """Moves a pod to a node, or to where it would be placed best now; it stays if none fits.

        Counts as a move only where its node or a device changes.

        Raises:
            NotFoundError: No pod or no node of this name.
        """
        row, old, mask = self._standing(pod)
        if node is not None and node not in self._numbers:
            raise NotFoundError(f"there is no node {node!r}", fix="name a node of this packer")
        kernel.change(self.room, self._shapes, row, old, mask, 1)
        found = self._choose(row) if node is None else self._onto(row, self._numbers[node])
        found = found or (old, mask)
        kernel.change(self.room, self._shapes, row, *found, -1)
        self._bindings[pod] = (row, *found)
        self.moves += found != (old, mask)
        return self._binding(*found)

    def worth_milli(self, shape: PodShape) -> float | None:
        """Returns the GPU a pod would use less the value of the room it would take (`FILL`).

        None where no node has room now.
        """
        row = self._row(shape)
        found = self._choose(row)
        if found is None:
            return None
        return shape.total_gpu_milli + float(self._scores.score[row, found[0]])

    def room_making_move(self, shape: PodShape) -> Move | None:
        """Returns the best move of one placed pod after which a pod of this shape would fit."""
        row = self._row(shape)
        pods = list(self._bindings)
        standing = np.array(list(self._bindings.values()), dtype=np.int64).reshape(-1, 3)
        number, node, score = kernel.best_move(
            self.room, self._shapes, row, standing, self._scores, self._judge
        )
        if number == kernel.NOWHERE:
            return None
        worth = shape.total_gpu_milli + score
        return Move(pod=pods[number], node=self.nodes[node].name, worth_milli=worth)

    def _row(self, shape: PodShape) -> int:
        if shape not in self._rows:
            self._rows[shape] = len(self._rows)
            self._grow()
        return self._rows[shape]

    def _choose(self, row: int) -> tuple[int, int] | None:
        node, mask = kernel.choose(
            self.room, self._shapes, row, kernel.NOWHERE, self._scores, self._judge
        )
        return None if node == kernel.NOWHERE else (int(node), int(mask))

    def _onto(self, row: int, node: int) -> tuple[int, int] | None:
        if not kernel.fits(self.room, self._shapes, row, node):
            return None
        return node, int(kernel.evaluate(self.room, self._shapes, row, node, self._judge)[1])

    def _standing(self, pod: str) -> tuple[int, int, int]:
        if pod not in self._bindings:
            raise NotFoundError(f"no pod {pod!r} is placed", fix="name a pod that `place` placed")
        return self._bindings[pod]

    def _binding(self, node: int, mask: int) -> Binding:
        devices = tuple(device for device in range(mask.bit_length()) if mask >> device & 1)
        return Binding(node=self.nodes[node].name, devices=devices)

    def _learn(self, shape: PodShape) -> None:
        self._seen[shape] = self._seen.get(shape, 0) + 1
        self._seen_pods += 1
        if self._seen_pods == self._learn_at:
            self._learn_at *= 2
            self._judge = self._judge_by(Histogram(counts=dict(self._seen)))
            self._scores.version.fill(kernel.NOWHERE)

    def _judge_by(self, histogram: Histogram) -> kernel.Judge:
        return kernel.Judge(
            int(self.policy),
            histograms.typical_pods(histogram, self._models),
            histograms.fill_streams(histogram, self._models, self.settings),
        )

    def _grow(self) -> None:
        """Makes room for as many shapes again when the kept scores are full."""
        self._shapes = histograms.shape_table(self._rows, self._models)
        kept = len(self._scores.version)
        if len(self._rows) > kept:
            self._scores = _no_scores(max(_FIRST_SHAPES, 2 * kept), len(self.nodes))


def _no_scores(shapes: int, nodes: int) -> kernel.Scores:
    size = (shapes, nodes)
    return kernel.Scores(
        np.full(size, kernel.NOWHERE, dtype=np.int64),
        np.zeros(size, dtype=np.float64),
        np.zeros(size, dtype=np.int64),
    )


def _empty_room(nodes: Sequence[Node]) -> kernel.Room:
    models = model_numbers(nodes)
    devices = np.zeros((len(nodes), max(1, *(n.gpus for n in nodes))), dtype=np.int64)
    for number, node in enumerate(nodes):
        devices[number, : node.gpus] = WHOLE_MILLI
    return kernel.Room(
        np.array([node.cpu_milli for node in nodes], dtype=np.int64),
        np.array([node.memory_mib for node in nodes], dtype=np.int64),
        np.array([node.pods_max for node in nodes], dtype=np.int64),
        devices,
        np.array([models[node.model] for node in nodes], dtype=np.int64),
        np.zeros(len(nodes), dtype=np.int64),
    )
