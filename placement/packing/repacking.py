"""Moves a few placed pods so that a pod fits that otherwise would not.

Stands on `packer`. The moves are bounded by a share of the pods placed, at every moment: a move
is spent only on what it gains most, so the worth asked for rises as the allowance runs out.
"""

from dataclasses import dataclass
from fractions import Fraction

from engine.model.errors import Fault, InvalidInputError
from placement.packing.nodes import Binding, PodShape
from placement.packing.packer import Packer
from placement.packing.policies import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class RepackingSettings:
    """When a move is made.

    Attributes:
        share: Moves at most for each pod placed so far.
        worth_milli: GPU that one move must gain at least.
        refuses: Whether a pod that fits is refused where the room that it would take is worth
            more than the pod: dearer by `refusal_milli` at least.
        refusal_milli: See `refuses`.
    """

    share: Fraction = Fraction(2, 100)
    worth_milli: float = 200.0
    refuses: bool = False
    refusal_milli: float = 50.0


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

    @property
    def allowed_moves(self) -> int:
        """Moves that may still be made."""
        return int(self.settings.share * self._pods) - self.packer.moves

    def place(self, pod: str, shape: PodShape) -> Binding | None:
        """Places a pod, if need be after one move; returns None where that does not help.

        Raises:
            ConflictError, InvalidInputError, PodNeverFitsError: As `Packer.place`.
        """
        if self.settings.refuses:
            worth = self.packer.worth_milli(shape)
            if worth is not None and shape.gpus and worth < -self.settings.refusal_milli:
                self.refused += 1
                return None
        binding = self.packer.place(pod, shape)
        if binding is None and self.allowed_moves > 0:
            move = self.packer.room_making_move(shape)
            if move is not None and move.worth_milli >= self.settings.worth_milli:
                self.packer.move(move.pod, move.node)
                binding = self.packer.place(pod, shape)
        self._pods += binding is not None
        return binding
