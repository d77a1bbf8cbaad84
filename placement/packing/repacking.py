"""Moves a few placed pods so that a pod fits that otherwise would not, and lets some pods wait.

Stands on `packer`. The moves are bounded by a share of the pods placed, at every moment, and a
move is made only where the GPU that it gains is worth it. Whether a pod that waits ever runs
depends on what comes and goes: `place_waiting` places those that have room when it is called.
"""

from dataclasses import dataclass
from fractions import Fraction

from engine.model.errors import ConflictError, Fault, InvalidInputError
from placement.packing.nodes import WHOLE_MILLI, Binding, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import Policy
from placement.packing.windows import place_together


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackingSettings:
    """When a move is made.

    Attributes:
        share: Moves at most for each pod placed so far.
        pod_milli: GPU that a pod must ask for before a move is looked for. Moves are few; they go
            to the pods that gain most by one.
        worth_milli: GPU that a move must gain at least, the value of the room it takes deducted.
        pause: Pods placed, moved or released before a shape that no move helped is tried again.
        waits: Whether a pod that fits waits where the room that it would take is worth more to
            pods to come than the pod, by `waiting_milli` at least.
        waiting_milli: See `waits`.
        busy_share: Share of all GPUs in use below which no pod waits.
    """

    share: Fraction = Fraction(2, 100)
    pod_milli: int = 1000
    worth_milli: float = 0.0
    pause: int = 16
    waits: bool = False
    waiting_milli: float = 50.0
    busy_share: float = 0.5


class Repacker:
    """Places pods as a packer does, and moves one placed pod where none has room.

    Args:
        packer: Ranks nodes by `FILL`, whose scores are amounts of GPU.
        settings: When a move is made.

    Raises:
        InvalidInputError: Another policy, or a negative share.
    """

    def __init__(self, packer: Packer, settings: RepackingSettings) -> None:
        faults = []
        if packer.policy is not Policy.FILL:
            message = f"policy {packer.policy.name} has no worth in GPU"
            faults.append(Fault(code="S001", message=message, fix="use policy FILL"))
        if settings.share < 0:
            message = f"share of moves is {settings.share}"
            faults.append(Fault(code="S001", message=message, fix="give 0 or more"))
        if faults:
            raise InvalidInputError("repacking", faults)
        self.packer = packer
        self.settings = settings
        self.waiting: dict[str, PodShape] = {}
        """Pods that fitted when they came and wait, in the order in which they came."""
        self._pods = 0
        self._try_again: dict[PodShape, int] = {}
        self._gpu_milli = sum(node.gpus for node in packer.nodes) * WHOLE_MILLI

    @property
    def allowed_moves(self) -> int:
        """Moves that may still be made."""
        return int(self.settings.share * self._pods) - self.packer.moves

    def place(self, pod: str, shape: PodShape) -> Binding | None:
        """Places a pod, if need be after one move; returns None where that does not help.

        Also returns None for a pod that waits, which is in `waiting` then.

        Raises:
            ConflictError, InvalidInputError, PodNeverFitsError: As `Packer.place`; also for a name
                that waits already.
        """
        if pod in self.waiting:
            message = f"pod {pod!r} waits already"
            raise ConflictError(message, fix="take it out of `waiting`, or give another name")
        self.packer.check(pod, shape)
        if self.settings.waits and self._is_dear(shape):
            self.waiting[pod] = shape
            return None
        return self._place(pod, shape)

    def place_waiting(self) -> dict[str, Binding]:
        """Places all who wait and have room, most GPU first; whoever has none waits on.

        To be called when nobody else is about to come, or when pods have gone.
        """
        waiting = list(self.waiting.items())
        found = place_together(self._place, waiting)
        placed = {pod: at for (pod, _), at in zip(waiting, found, strict=True) if at is not None}
        for pod in placed:
            del self.waiting[pod]
        return placed

    def _place(self, pod: str, shape: PodShape) -> Binding | None:
        binding = self.packer.place(pod, shape)
        if binding is None and self._makes_room(shape):
            binding = self.packer.place(pod, shape)
        self._pods += binding is not None
        return binding

    def _is_dear(self, shape: PodShape) -> bool:
        busy = self.packer.used_gpu_milli >= self.settings.busy_share * self._gpu_milli
        if not busy or shape.gpus == 0:
            return False
        worth = self.packer.worth_milli(shape)
        return worth is not None and worth < -self.settings.waiting_milli

    def _makes_room(self, shape: PodShape) -> bool:
        changes = int(self.packer.room.version.sum())
        too_small = shape.total_gpu_milli < self.settings.pod_milli
        if too_small or self.allowed_moves < 1 or changes < self._try_again.get(shape, 0):
            return False
        move = self.packer.room_making_move(shape)
        if move is None or move.worth_milli < self.settings.worth_milli:
            self._try_again[shape] = changes + self.settings.pause
            return False
        self.packer.move(move.pod, move.node)
        return True
