"""Which node a pod gets: the closed set of policies, and the settings of our own."""

import enum
from dataclasses import dataclass


class Policy(enum.IntEnum):
    """How nodes that fit are ranked; the number is what the compiled loop compares.

    FRAGMENTATION: least growth of the expected fragment, as integer score ("Beware of
        Fragmentation", Weng et al., USENIX ATC 2023).
    BEST_FIT: least room left, CPU and GPU weighted equally, as integer score.
    FILL: least loss of the GPU that a random stream of typical pods would still fill.
    """

    FRAGMENTATION = 0
    BEST_FIT = 1
    FILL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FillSettings:
    """How the value of a node's room is estimated.

    Attributes:
        streams: Random streams of typical pods that are offered to a node.
        length: Pods in a stream.
        seed: Seed of the draw.
    """

    streams: int = 16
    length: int = 80
    seed: int = 1
