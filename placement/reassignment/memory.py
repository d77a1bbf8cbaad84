"""What a chain of the search remembers: its random numbers and its best assignment, compiled."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from placement.reassignment.state import COST, Integers, State

# Places in `Memory.marks`: the cost of the best assignment, and how many moves the journal holds.
BEST_COST, JOURNAL_LENGTH = 0, 1

Random = npt.NDArray[np.uint64]

compiled = numba.njit(cache=True, nogil=True)
inlined = numba.njit(cache=True, nogil=True, forceinline=True)


class Memory(NamedTuple):
    """Random numbers, the best assignment and what has changed since.

    The best assignment is brought up to date lazily: moves are noted in a journal, which is
    played into it when a better assignment is found. So a new best costs as much as the moves
    that led to it, and not as much as the number of processes.

    Attributes:
        random: State of the generator.
        best: (P,), machine of each process in the best assignment.
        journal: (length, 2), processes and where they went, oldest first.
        marks: See the constants of this module.
    """

    random: Random
    best: Integers
    journal: Integers
    marks: Integers


def memory(state: State, seed: int) -> Memory:
    """Returns the memory of a chain that starts at an assignment."""
    # The generator would stay at 0 for ever, hence the 1.
    random = np.array([int(np.random.SeedSequence(seed).generate_state(1)[0]) | 1], dtype=np.uint64)
    return Memory(
        random=random,
        best=state.assignment.copy(),
        journal=np.zeros((max(64, len(state.assignment)), 2), dtype=np.int64),
        marks=np.array([state.totals[COST], 0]),
    )


def forget_way(memory: Memory) -> None:
    """Says that the state was replaced, so that the journal does not lead to it."""
    memory.marks[JOURNAL_LENGTH] = len(memory.journal) + 1


@inlined
def draw(random: Random) -> np.uint64:
    """Returns the next 64 random bits (xorshift64*, Vigna 2016)."""
    bits: np.uint64 = random[0]
    bits ^= bits >> np.uint64(12)
    bits ^= bits << np.uint64(25)
    bits ^= bits >> np.uint64(27)
    random[0] = bits
    return np.uint64(bits * np.uint64(2685821657736338717))


@inlined
def below(random: Random, limit: int) -> int:
    """Returns a random number from 0 to limit - 1; the limit is at most 2^31."""
    # Whole numbers with and without sign must not meet: numba would make them floats.
    return int(np.int64(((draw(random) >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32)))


@inlined
def uniform(random: Random) -> float:
    """Returns a random number above 0 and below 1."""
    return (np.float64(draw(random) >> np.uint64(11)) + 0.5) * 2.0**-53


@compiled
def note(state: State, memory: Memory, process: int) -> None:
    """Notes that a process has been moved."""
    length = memory.marks[JOURNAL_LENGTH]
    if length < memory.journal.shape[0]:
        memory.journal[length, 0] = process
        memory.journal[length, 1] = state.assignment[process]
    memory.marks[JOURNAL_LENGTH] = length + 1


@compiled
def remember(state: State, memory: Memory) -> None:
    """Makes the present assignment the best one."""
    length = memory.marks[JOURNAL_LENGTH]
    if length <= memory.journal.shape[0]:
        for k in range(length):
            memory.best[memory.journal[k, 0]] = memory.journal[k, 1]
    else:
        memory.best[:] = state.assignment
    memory.marks[JOURNAL_LENGTH] = 0
    memory.marks[BEST_COST] = state.totals[COST]
