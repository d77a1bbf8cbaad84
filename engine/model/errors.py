"""The whole error tree. Retryable and final errors are different classes.

    BerthError
    ├── RetryableError          the same call may succeed later
    │   ├── UnreachableError    a peer (engine, cluster, model server) did not answer
    │   └── ConflictError       somebody else changed the record first
    └── FinalError              the same call fails again
        ├── InvalidInputError   faults of a document, all of them at once
        ├── NotFoundError       nothing has that name
        ├── InfeasibleError     wishes that cannot hold together
        ├── WorldChangedError   the plan was made for another state of the world
        ├── RefusedError        a rule or a guard forbids it
        └── DamagedError        stored data is not what it says it is

Foreign errors are wrapped at the edge with their cause kept. Every message names the value
at fault; `fix` names the next step; `code` finds the page printed by `berth help CODE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MACHINE_WISH = "a machine for "
"""How the wish of a task begins that fits no machine: all such wishes have to change."""


class BerthError(Exception):
    """Anything Berth raises on purpose."""

    default_code = "B000"
    exit_code = 1

    def __init__(self, message: str, *, fix: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.code = code or self.default_code


class RetryableError(BerthError):
    """The same call may succeed later."""

    default_code = "R000"
    exit_code = 5


class UnreachableError(RetryableError):
    """A peer did not answer."""

    default_code = "R001"


class ConflictError(RetryableError):
    """A compare-and-set lost: the record changed since it was read."""

    default_code = "R002"


class FinalError(BerthError):
    """The same call fails again."""


class NotFoundError(FinalError):
    """Nothing has that name."""

    default_code = "N001"
    exit_code = 2


class InfeasibleError(FinalError):
    """Wishes that cannot hold together; `clashes` holds the smallest set of them."""

    default_code = "S020"
    exit_code = 4

    def __init__(
        self, message: str, *, clashes: Sequence[Clash] = (), fix: str = "", code: str = ""
    ) -> None:
        super().__init__(message, fix=fix, code=code)
        self.clashes = tuple(clashes)


class WorldChangedError(FinalError):
    """The plan was made for another state of the world; `changes` says what differs."""

    default_code = "W001"
    exit_code = 3

    def __init__(
        self, message: str, *, changes: Sequence[str] = (), fix: str = "", code: str = ""
    ) -> None:
        super().__init__(message, fix=fix, code=code)
        self.changes = tuple(changes)


class RefusedError(FinalError):
    """A rule or a guard forbids it."""

    default_code = "G001"


class DamagedError(FinalError):
    """Stored data or an artefact is not what it says it is."""

    default_code = "D001"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clash:
    """One wish of a smallest clashing set, with the cheapest relaxation that ends the clash."""

    wish: str
    relaxation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault of a document, placed so that a person can see it.

    `line` and `column` count from 1 and are 0 when the fault has no place; `length` is the
    number of characters the caret underlines.
    """

    code: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    length: int = 1
    source_line: str = ""
    candidates: tuple[str, ...] = field(default=())
    fix: str = ""


class InvalidInputError(FinalError):
    """A document has faults; all of them are reported at once."""

    default_code = "S001"
    exit_code = 2

    def __init__(self, document: str, faults: Sequence[Fault]) -> None:
        self.document = document
        self.faults = tuple(faults)
        first = self.faults[0].message if self.faults else "no fault was named"
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        code = self.faults[0].code if self.faults else self.default_code
        super().__init__(f"{document!r}: {first}{more}", code=code)
