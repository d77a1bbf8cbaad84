"""Moves a few placed pods so that a pod fits that otherwise would not.

Stands on `packer`. The moves are bounded by a share of the pods placed, at every moment, and a
move is made only where the GPU that it gains is worth it.
"""

from dataclasses import dataclass
from fractions import Fraction

from engine.model.errors import Fault, InvalidInputError
from placement.packing.nodes import WHOLE_MILLI, Binding, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackingSettings:
    """When a move is made.

    Attributes:
        share: Moves at most for each pod placed so far.
        pod_milli: GPU that a pod must ask for before a move is looked for. Moves are few; they go
            to the pods that gain most by one.
        worth_milli: GPU that a move must gain at least, the value of the room it takes deducted.
        pause: Pods placed, moved or released before a shape that no move helped is tried again.
        refuses: Whether a pod that fits may be refused where the room that it would take is worth
            more than the pod, by `refusal_milli` at least.
        refusal_milli: See `refuses`.
        busy_share: Share of all GPUs in use below which nothing is refused.
    """

    share: Fraction = Fraction(2, 100)
    pod_milli: int = 1000
    worth_milli: float = 0.0
    pause: int = 16
    refuses: bool = False
    refusal_milli: float = 50.0
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
        self.refused = 0
        """Pods refused although they fitted."""
        self._pods = 0
        self._try_again: dict[PodShape, int] = {}
        self._gpu_milli = sum(node.gpus for node in packer.nodes) * WHOLE_MILLI

    @property
    def allowed_moves(self) -> int:
        """Moves that may still be made."""
        return int(self.settings.share * self._pods) - self.packer.moves

    def place(self, pod: str, shape: PodShape) -> Binding | None:
        """Places a pod, if need be after one move; returns None where that does not help.

        Raises:
            ConflictError, InvalidInputError, PodNeverFitsError: As `Packer.place`.
        """
        if self.settings.refuses and self._is_dear(shape):
            self.refused += 1
            return None
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
        return worth is not None and worth < -self.settings.refusal_milli

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
