"""The shape of a CEL expression as far as guards need it: and, or, not, choice, and leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from engine.expressions.tokens import Sort, Token

_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_ENDS = frozenset({"&&", "||", "?", ":", ",", ")", "]", "}"})
_CONSTANTS = frozenset({"true", "false", "null", "in"})

PARAMETERS = "parameters"
"""What stands in the place of an output when parameters are read: `task.parameters.name`."""

Output = tuple[str, str]
"""A task's variable and the output read of it; the output is "" for the task as a whole.

Parameters read so: `parameters.NAME` is one, `parameters` all of them.
"""


class Operator(Enum):
    """How the parts of a term are joined."""

    AND = auto()
    OR = auto()
    NOT = auto()
    CHOICE = auto()
    """`condition ? then : otherwise`."""
    TEST = auto()
    """`has(task.output)` alone."""
    LEAF = auto()
    """Anything else; the parts are its bracketed parts."""


@dataclass(frozen=True, slots=True)
class Place:
    """An output and where it is read."""

    output: Output
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Term:
    """One node. `reads` of a leaf are those outside its brackets, `tests` are in `has(...)`."""

    operator: Operator
    parts: tuple[Term, ...] = ()
    reads: tuple[Place, ...] = ()
    tests: tuple[Place, ...] = ()


def parse(tokens: Sequence[Token]) -> Term:
    """Return the shape of an expression that the library's parser accepted."""
    return _Parser(tokens).choice(frozenset())


class _Parser:
    """Recursive descent over tokens. `bound` holds the variables of macros in scope."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._next = 0

    def _sign(self, ahead: int = 0) -> str:
        """The sign so many tokens ahead, "" for words, strings, numbers and beyond the ends."""
        index = self._next + ahead
        if not 0 <= index < len(self._tokens) or self._tokens[index].sort is not Sort.SIGN:
            return ""
        return self._tokens[index].value

    def _take(self, sign: str) -> bool:
        found = self._sign() == sign
        self._next += found
        return found

    def choice(self, bound: frozenset[str]) -> Term:
        condition = self._joined("||", Operator.OR, bound)
        if not self._take("?"):
            return condition
        then = self.choice(bound)
        self._take(":")
        return Term(Operator.CHOICE, (condition, then, self.choice(bound)))

    def _joined(self, sign: str, operator: Operator, bound: frozenset[str]) -> Term:
        parts = [self._part(sign, bound)]
        while self._take(sign):
            parts.append(self._part(sign, bound))
        return parts[0] if len(parts) == 1 else Term(operator, tuple(parts))

    def _part(self, sign: str, bound: frozenset[str]) -> Term:
        return self._joined("&&", Operator.AND, bound) if sign == "||" else self._relation(bound)

    def _relation(self, bound: frozenset[str]) -> Term:
        inverted = False
        while self._take("!"):
            inverted = not inverted
        term = self._pieces(bound)
        return Term(Operator.NOT, (term,)) if inverted else term

    def _pieces(self, bound: frozenset[str]) -> Term:
        """Read up to the next sign that joins or closes; a lone group is what stands in it."""
        first = self._next
        last = first
        parts: list[Term] = []
        reads: list[Place] = []
        tests: list[Place] = []
        while not self._ends():
            last = self._next
            token = self._tokens[last]
            if token.value in _CLOSING and token.sort is Sort.SIGN:
                parts.extend(self._group(token.value, bound))
            elif self._is_test():
                tests.append(self._test())
            elif self._is_task(bound):
                reads.append(self._read())
            else:
                self._next += 1
        if last == first and self._tokens[first].value == "(":
            return parts[0]
        lone = last == first and bool(tests)
        operator = Operator.TEST if lone else Operator.LEAF
        return Term(operator, tuple(parts), tuple(reads), tuple(tests))

    def _ends(self) -> bool:
        """Whether a relation ends here."""
        return self._next >= len(self._tokens) or self._sign() in _ENDS

    def _is_test(self) -> bool:
        token = self._tokens[self._next]
        return token.sort is Sort.WORD and token.value == "has" and self._sign(1) == "("

    def _is_task(self, bound: frozenset[str]) -> bool:
        """Whether a word names a task: no field, function, constant or variable of a macro."""
        token = self._tokens[self._next]
        if token.sort is not Sort.WORD or token.value in _CONSTANTS | bound:
            return False
        return self._sign(-1) != "." and self._sign(1) != "("

    def _group(self, opening: str, bound: frozenset[str]) -> list[Term]:
        """Read a bracketed group; the first argument of a macro is a variable of its own."""
        macro = self._sign(-2) == "." and self._tokens[self._next - 1].value in _MACROS
        self._next += 1
        if macro and self._sign(1) == ",":
            bound |= {self._tokens[self._next].value}
        parts: list[Term] = []
        while not self._take(_CLOSING[opening]):
            if not (self._take(",") or self._take(":")):
                parts.append(self.choice(bound))
        return parts

    def _test(self) -> Place:
        """Read `has(task.output)`."""
        self._next += 2
        place = self._read()
        while not self._take(")"):
            self._next += 1
        return place

    def _read(self) -> Place:
        """Read `task`, `task.output` or `task["output"]`, or a parameter, which has one more."""
        task = self._tokens[self._next]
        name = self._field()
        if name == PARAMETERS and (parameter := self._field()):
            name = f"{PARAMETERS}.{parameter}"
        last = self._tokens[self._next]
        self._next += 1
        return Place((task.value, name), task.offset, last.offset + last.length - task.offset)

    def _field(self) -> str:
        """Go on to the end of `.name` or `["name"]` behind the next token; "" without one."""
        if self._sign(1) == "." and self._sign(3) != "(":
            self._next += 2
            return self._tokens[self._next].value
        if self._sign(1) == "[" and self._sign(3) == "]" and self._is_string(2):
            self._next += 3
            return self._tokens[self._next - 1].value
        return ""

    def _is_string(self, ahead: int) -> bool:
        return self._tokens[self._next + ahead].sort is Sort.STRING
