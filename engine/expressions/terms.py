"""The shape of a CEL expression as far as guards need it: and, or, not, choice, and leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from engine.expressions.tokens import Sort, Token

_MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CONSTANTS = frozenset({"true", "false", "null", "in"})

Output = tuple[str, str]
"""A task's variable and the output read of it; the output is "" for the task as a whole."""


class Operator(Enum):
    """How the parts of a term are joined."""

    AND = auto()
    OR = auto()
    NOT = auto()
    CHOICE = auto()
    """`condition ? then : otherwise`."""
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
    """One node. `reads` of a leaf are outside its brackets; `tests` are those of `has(...)`."""

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
        """The sign so many tokens ahead, "" for words, strings, numbers and the end."""
        index = self._next + ahead
        if index >= len(self._tokens) or self._tokens[index].sort is not Sort.SIGN:
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
        """Read up to the next sign that joins or closes; a lone group or `!` keeps its shape."""
        start = self._next
        inverted = 0
        while self._take("!"):
            inverted += 1
        leaf = self._leaf(bound, lone=self._next)
        if isinstance(leaf, Term):
            return Term(Operator.NOT, (leaf,)) if inverted % 2 else leaf
        parts, reads, tests = leaf
        del start
        return Term(Operator.LEAF, tuple(parts), tuple(reads), tuple(tests))

    def _leaf(
        self, bound: frozenset[str], lone: int
    ) -> Term | tuple[list[Term], list[Place], list[Place]]:
        parts: list[Term] = []
        reads: list[Place] = []
        tests: list[Place] = []
        macro = False
        while self._next < len(self._tokens) and self._sign() not in {
            "&&", "||", "?", ":", ",", ")", "]", "}",
        }:  # fmt: skip
            token = self._tokens[self._next]
            first = self._next == lone
            if token.sort is Sort.SIGN and token.value in _CLOSING:
                inner = self._group(token.value, bound, macro=macro)
                parts.extend(inner)
                macro = False
                if first and token.value == "(" and self._ends():
                    return inner[0]
            elif token.sort is Sort.WORD:
                after_dot = self._next > 0 and self._sign(-1) == "."
                macro = after_dot and token.value in _MACROS
                if not after_dot and token.value == "has" and self._sign(1) == "(":
                    tests.append(self._tested())
                    if first and self._ends():
                        return Term(Operator.LEAF, tests=tuple(tests))
                elif after_dot or token.value in _CONSTANTS | bound or self._sign(1) == "(":
                    self._next += 1
                else:
                    reads.append(self._read())
            else:
                self._next += 1
        return parts, reads, tests

    def _ends(self) -> bool:
        """Whether the relation ends here, so that what was read is all of it."""
        return self._next >= len(self._tokens) or self._sign() in {
            "&&", "||", "?", ":", ",", ")", "]", "}",
        }  # fmt: skip

    def _group(self, opening: str, bound: frozenset[str], *, macro: bool) -> list[Term]:
        """Read a bracketed group; the first argument of a macro is a variable of its own."""
        self._next += 1
        if macro and self._tokens[self._next].sort is Sort.WORD and self._sign(1) == ",":
            bound = bound | {self._tokens[self._next].value}
        parts: list[Term] = []
        while not self._take(_CLOSING[opening]) and self._next < len(self._tokens):
            if not (self._take(",") or self._take(":")):
                parts.append(self.choice(bound))
        return parts

    def _tested(self) -> Place:
        """Read `has(task.output)`."""
        self._next += 2
        place = self._read()
        while not self._take(")") and self._next < len(self._tokens):
            self._next += 1
        return place

    def _read(self) -> Place:
        """Read `task`, `task.output` or `task["output"]`."""
        task = self._tokens[self._next]
        self._next += 1
        following = self._tokens[self._next : self._next + 3]
        name = ""
        end = task.offset + task.length
        if self._sign() == "." and len(following) > 1 and self._sign(2) != "(":
            name, end = following[1].value, following[1].offset + following[1].length
            self._next += 2
        elif self._sign() == "[" and len(following) > 2 and following[1].sort is Sort.STRING:
            name, end = following[1].value, following[2].offset + 1
            self._next += 3
        return Place((task.value, name), task.offset, end - task.offset)
