"""What an allocator that caches takes from a GPU, asked and given back tensor by tensor.

The rules are PyTorch's (c10/cuda/CUDACachingAllocator, default settings): sizes are whole 512
bytes; up to 1 MiB come from segments of 2 MiB, up to 10 MiB from segments of 20 MiB, larger ones
have segments of their own in whole 2 MiB. The smallest free block that is large enough is taken and
what is left of it stays free; neighbours that are free become one. Segments are never returned, so
what is taken from the GPU is what was needed at the worst moment, with its gaps.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass, field

MIB = 2**20
_GRAIN = 512
_SMALL = MIB
_LARGE = 10 * MIB
_SMALL_SEGMENT = 2 * MIB
_SEGMENT = 20 * MIB


@dataclass(slots=True, eq=False)
class Block:
    """A stretch of a segment; before, after: its neighbours there. Sizes in bytes."""

    size: int
    small: bool
    place: tuple[int, int]
    free: bool = False
    before: Block | None = None
    after: Block | None = None


@dataclass(slots=True)
class CachingAllocator:
    """Hands out blocks. taken: bytes of all segments, which is what the GPU shows as used."""

    taken: int = 0
    _segments: int = 0
    _free: dict[bool, list[tuple[int, tuple[int, int], Block]]] = field(
        default_factory=lambda: {True: [], False: []}
    )

    def take(self, size: int) -> Block:
        """Return a block of at least so many bytes, from a new segment when none is free."""
        size = max(_whole(size, _GRAIN), _GRAIN)
        small = size <= _SMALL
        free = self._free[small]
        place = bisect.bisect_left(free, (size, (-1, 0)))
        block = free.pop(place)[2] if place < len(free) else self._segment(size, small=small)
        block.free = False
        left = block.size - size
        if left > _SMALL or (small and left > 0):
            self._split(block, size)
        return block

    def give_back(self, block: Block) -> None:
        """Make a block free again, together with free neighbours."""
        block.free = True
        if block.before is not None and block.before.free:
            block = self._join(block.before, block)
        if block.after is not None and block.after.free:
            self._forget(block.after)
            block = self._merged(block, block.after)
        bisect.insort(self._free[block.small], (block.size, block.place, block))

    def _segment(self, size: int, *, small: bool) -> Block:
        """Return a new segment as one block."""
        if small:
            size = _SMALL_SEGMENT
        else:
            size = _SEGMENT if size < _LARGE else _whole(size, _SMALL_SEGMENT)
        self._segments += 1
        self.taken += size
        return Block(size=size, small=small, place=(self._segments, 0))

    def _split(self, block: Block, size: int) -> None:
        """Cut what is not needed from the end of a block and keep it as free."""
        rest = Block(
            size=block.size - size,
            small=block.small,
            place=(block.place[0], block.place[1] + size),
            free=True,
            before=block,
            after=block.after,
        )
        if block.after is not None:
            block.after.before = rest
        block.after = rest
        block.size = size
        bisect.insort(self._free[rest.small], (rest.size, rest.place, rest))

    def _join(self, before: Block, block: Block) -> Block:
        """Return a free block with the one after it."""
        self._forget(before)
        return self._merged(before, block)

    def _merged(self, block: Block, after: Block) -> Block:
        """Return a block that takes in the one after it."""
        block.size += after.size
        block.after = after.after
        if after.after is not None:
            after.after.before = block
        return block

    def _forget(self, block: Block) -> None:
        """Take a block out of those that are free."""
        free = self._free[block.small]
        free.pop(bisect.bisect_left(free, (block.size, block.place)))


def _whole(size: int, unit: int) -> int:
    """Return a size in whole units."""
    return -(-size // unit) * unit
