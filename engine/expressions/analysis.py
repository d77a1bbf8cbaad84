"""What a condition reads, and whether each reading is guarded by `has(...)`.

A guard counts wherever CEL's own rules make it one: `&&` and `||` absorb an error on either
side when the other side decides, so `has(a.b) && a.b > 1` and `a.b > 1 && has(a.b)` are both
safe, as are `!has(a.b) || a.b > 1` and `has(a.b) ? a.b > 1 : false`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.expressions import terms, tokens
from engine.expressions.library import cel
from engine.expressions.terms import Operator, Output, Place, Term

STATE = "state"
"""What reads as an output of every upstream task: how it ended (`a.state == "skipped"`)."""
_RESERVED = re.compile(r"reserved identifier: (\w+)")
_POSITION = re.compile(r"<input>:(\d+):(\d+): (.*)")
_SAYINGS = (
    (re.compile(r"(?:mismatched|extraneous) input '<EOF>'"), "it ends where more is expected"),
    (re.compile(r"Incomplete `ExprContext`"), "a part of it is missing"),
    (re.compile(r"missing '(.+)' at "), "`{}` is missing"),
    (
        re.compile(r"(?:mismatched|extraneous|no viable alternative at) input '(.+)'"),
        "`{}` is not expected here",
    ),
    (re.compile(r"token recognition error at: '(.+)'"), "`{}` is not understood"),
)
"""What the parser complains of, in words of people; its first group is what it complains about."""
_WRITTEN = {"and": "&&", "or": "||", "=": "=="}
"""How CEL writes what other languages write in this way."""


class SyntaxFaultError(ValueError):
    """An expression cannot be parsed; `offset` counts characters from 0 to where."""

    def __init__(self, message: str, offset: int, fix: str = "") -> None:
        super().__init__(message)
        self.offset = offset
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Read:
    """One output that is read, where, and whether a guard makes the reading safe.

    `output` is "" when the task is read as a whole; of a parameter it is `parameters.NAME`.
    """

    task: str
    output: str
    offset: int
    length: int
    guarded: bool

    @property
    def parameter(self) -> str | None:
        """The parameter that is read, "" for all of a task, None when none is."""
        first, _, name = self.output.partition(".")
        return name if first == terms.PARAMETERS else None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What an expression reads, in the order written; tests by `has(...)` count as guarded."""

    reads: tuple[Read, ...]


def variable(task: str) -> str:
    """Return the name by which conditions know a task: dashes are underscores."""
    return task.replace("-", "_")


def check_syntax(expression: str) -> cel.Program:
    """Return the compiled expression.

    Raises:
        SyntaxFaultError: when it cannot be parsed.
    """
    try:
        return cel.compile(expression)
    except ValueError as error:
        raise _fault(expression, str(error)) from error


def _fault(expression: str, message: str) -> SyntaxFaultError:
    """Return the library's complaint in one line, with the place it names."""
    match = _POSITION.search(message)
    line, column, said = (int(match[1]), int(match[2]), match[3]) if match else (1, 1, message)
    lines = expression.splitlines(keepends=True)
    offset = sum(len(part) for part in lines[: line - 1]) + column - 1
    if reserved := _RESERVED.search(said):
        word = reserved[1]
        said = f"`{word}` is a reserved word of CEL"
        return SyntaxFaultError(said, offset, f"give task `{word}` another name")
    said = said.partition(" expecting ")[0].removeprefix("Syntax error: ").splitlines()[0]
    written = ""
    for pattern, words in _SAYINGS:
        if found := pattern.search(said):
            about = "".join(found.groups()).strip()
            said, written = words.format(about), _WRITTEN.get(about, "")
            break
    fix = f"write `{written}`" if written else ""
    return SyntaxFaultError(said, min(offset, max(0, len(expression) - 1)), fix)


def analyse(expression: str) -> Analysis:
    """Return what an expression reads.

    Raises:
        SyntaxFaultError: when it cannot be parsed.
    """
    check_syntax(expression)
    term = terms.parse(list(tokens.tokens(expression)))
    found: list[Read] = []
    _collect(term, frozenset(), found)
    return Analysis(tuple(sorted(found, key=lambda read: read.offset)))


def references(expression: str) -> frozenset[Output]:
    """Return every (task variable, output) that an expression reads or tests.

    Raises:
        SyntaxFaultError: when it cannot be parsed.
    """
    return frozenset((read.task, read.output) for read in analyse(expression).reads)


def _collect(term: Term, known: frozenset[Output], found: list[Read]) -> None:
    """Add the reads of a term; `known` are outputs that exist wherever it is evaluated."""
    found.extend(_as_read(place, guarded=True) for place in term.tests)
    found.extend(_as_read(place, guarded=place.output in known) for place in term.reads)
    match term.operator:
        case Operator.AND | Operator.OR:
            decides = term.operator is Operator.AND
            proofs = [_proves(part, truth=decides) for part in term.parts]
            firm = _firm(term.parts, proofs, known)
            for index, part in enumerate(term.parts):
                others = [proofs[number] for number in firm if number != index]
                _collect(part, known.union(*others), found)
        case Operator.CHOICE:
            condition, then, otherwise = term.parts
            _collect(condition, known, found)
            _collect(then, known | _proves(condition, truth=True), found)
            _collect(otherwise, known | _proves(condition, truth=False), found)
        case _:
            for part in term.parts:
                _collect(part, known, found)


def _firm(
    parts: Sequence[Term], proofs: Sequence[frozenset[Output]], known: frozenset[Output]
) -> list[int]:
    """Return the parts that fail only where one before them in the list has decided.

    Others guard nothing: two parts that vouch for each other would both fail.
    """
    firm: list[int] = []
    open_outputs = [_open(part) for part in parts]
    while True:
        sure = known.union(*(proofs[number] for number in firm))
        more = [n for n in range(len(parts)) if n not in firm and open_outputs[n] <= sure]
        if not more:
            return firm
        firm += more


@functools.lru_cache(maxsize=4_096)
def _open(term: Term) -> frozenset[Output]:
    """Return the outputs that a term reads somewhere without a guard of its own."""
    found: list[Read] = []
    _collect(term, frozenset(), found)
    return frozenset((read.task, read.output) for read in found if not read.guarded)


def _as_read(place: Place, *, guarded: bool) -> Read:
    return Read(place.output[0], place.output[1], place.offset, place.length, guarded)


def _proves(term: Term, *, truth: bool) -> frozenset[Output]:
    """Return outputs that must exist when a term comes out as `truth`."""
    match term.operator:
        case Operator.LEAF:
            return frozenset()
        case Operator.TEST:
            return frozenset(place.output for place in term.tests if truth)
        case Operator.NOT:
            return _proves(term.parts[0], truth=not truth)
        case Operator.CHOICE:
            condition, then, otherwise = term.parts
            yes = _proves(condition, truth=True) | _proves(then, truth=truth)
            no = _proves(condition, truth=False) | _proves(otherwise, truth=truth)
            return yes & no
        case _:
            proven = [_proves(part, truth=truth) for part in term.parts]
            every = (term.operator is Operator.AND) is truth
            return frozenset.union(*proven) if every else frozenset.intersection(*proven)
