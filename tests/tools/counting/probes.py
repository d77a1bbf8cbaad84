"""Puts probes into a module's source that note which of its lines and branches run.

On Python 3.11 a tracer is asked before every single instruction of the whole process, libraries
included, which takes more time than the tests themselves. A probe is one assignment into memory.

What is a line, a branch or excluded is asked of coverage.py, and its report is made by coverage.py
as well: here is only noted what ran. A straight run of simple statements has one probe, before its
last statement: all of them count as soon as that one begins. Where a run always ends early by an
exception (or is a generator that nobody ends), its lines do not count, which is stricter than a
tracer. An `except` clause counts when its body begins or that of a later one. Sources have one
statement a line, as their formatter leaves them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from coverage.parser import PythonParser

Arc = tuple[int, int]
Fact = tuple[tuple[int, ...], tuple[Arc, ...]]
"""What a probe that was passed tells: lines that ran, and branches (from, to) that were taken."""

_Loop = ast.For | ast.AsyncFor | ast.While
_Try = ast.Try | ast.TryStar
_With = ast.With | ast.AsyncWith
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Compound = (ast.If, *_Loop.__args__, *_Try.__args__, *_With.__args__, ast.Match)
_Nodes = TypeVar("_Nodes", bound=ast.AST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A module with probes.

    tree: its statements, to be compiled; facts: by the number of a probe, what it tells.
    """

    tree: ast.Module
    facts: tuple[Fact, ...]


def probed(text: str, *, memory: str, exclude: str) -> Probed:
    """Return a module with probes that write ones into the memory of a name.

    Args:
        text: the module's source.
        memory: the global name of bytes, one for each probe, that probes write to.
        exclude: regular expression of lines that are not counted, as of `coverage`.
    """
    tree = ast.parse(text)
    if not tree.body:
        return Probed(tree=tree, facts=())
    prober = _Prober(text, memory, exclude)
    tree.body = prober.block(tree.body)
    return Probed(tree=tree, facts=tuple(prober.facts))


class _Prober:
    """Walks the blocks of one module."""

    def __init__(self, text: str, memory: str, exclude: str) -> None:
        self._parser = PythonParser(text=text, exclude=exclude)
        self._parser.parse_source()
        self._memory = memory
        self._exits: dict[int, set[int]] = {}
        for start, end in self._parser.arcs():
            self._exits.setdefault(start, set()).add(end)
        self.facts: list[Fact] = []

    def block(
        self, statements: Sequence[ast.stmt], *, lines: Iterable[int] = (), arcs: Iterable[Arc] = ()
    ) -> list[ast.stmt]:
        """Return a block with probes.

        Args:
            statements: the block.
            lines: lines that ran when the block begins.
            arcs: branches that were taken when it begins.
        """
        made: list[ast.stmt] = []
        ran, taken = set(lines), set(arcs)
        for position, statement in enumerate(statements):
            if self._excluded(statement):
                if ran or taken:
                    made.append(self._probe(statement, ran, taken))
                    ran, taken = set(), set()
                made.append(statement)
                continue
            ran |= self._lines_of(statement)
            last = position == len(statements) - 1 or isinstance(statement, _Compound)
            if last and (ran or taken) and not _must_be_first(statement):
                made.append(self._probe(statement, ran, taken))
                ran, taken = set(), set()
            made.append(self._inside(statement))
        if ran or taken:
            made.append(self._probe(statements[-1], ran, taken))
        return made

    def _excluded(self, statement: ast.stmt) -> bool:
        return self._parser.first_line(statement.lineno) in self._parser.excluded

    def _lines_of(self, statement: ast.stmt) -> set[int]:
        """Return the lines that run when a statement itself begins."""
        nodes = [statement, *getattr(statement, "decorator_list", ())]
        return self._counted(node.lineno for node in nodes)

    def _counted(self, lines: Iterable[int]) -> set[int]:
        return {self._parser.first_line(line) for line in lines} & self._parser.statements

    def _probe(self, where: ast.stmt | ast.AST, lines: set[int], arcs: set[Arc]) -> ast.stmt:
        """Return the statement that notes something, at the place of another."""
        number = len(self.facts)
        self.facts.append((tuple(sorted(lines)), tuple(sorted(arcs))))
        target = ast.Subscript(
            value=ast.Name(id=self._memory, ctx=ast.Load()),
            slice=ast.Constant(value=number),
            ctx=ast.Store(),
        )
        probe = ast.Assign(targets=[target], value=ast.Constant(value=1))
        return _placed(probe, where)

    def _inside(self, statement: ast.stmt) -> ast.stmt:
        """Put probes into the blocks of a statement."""
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                statement.body = self.block(statement.body)
            case ast.If() | ast.For() | ast.AsyncFor() | ast.While():
                self._fork(statement)
            case ast.Try() | ast.TryStar():
                self._try(statement)
            case ast.With() | ast.AsyncWith():
                statement.body = self.block(statement.body)
            case ast.Match():
                self._match(statement)
            case _:
                pass
        return statement

    def _fork(self, statement: ast.If | _Loop) -> None:
        """Note both ways: into the block, and past it or to what stands behind `else`."""
        head = statement.iter if isinstance(statement, ast.For | ast.AsyncFor) else statement.test
        line = self._parser.first_line(head.lineno)
        into, past = self._ways(line, statement.body)
        statement.body = self.block(statement.body, arcs=into)
        if statement.orelse:
            statement.orelse = self.block(statement.orelse, arcs=past)
        elif past:
            statement.orelse = [self._probe(statement, set(), past)]

    def _ways(self, line: int, body: Sequence[ast.stmt]) -> tuple[set[Arc], set[Arc]]:
        """Return the branches from a line that lead into a block, and those that do not."""
        exits = self._exits.get(line, set())
        if len(exits) < 2:
            return set(), set()
        first = min([body[0].lineno, *(d.lineno for d in getattr(body[0], "decorator_list", ()))])
        inside = {end for end in exits if first <= end <= (body[-1].end_lineno or first)}
        return {(line, end) for end in inside}, {(line, end) for end in exits - inside}

    def _try(self, statement: _Try) -> None:
        statement.body = self.block(statement.body)
        tried: list[int] = []
        for handler in statement.handlers:
            tried.append(handler.lineno)
            handler.body = self.block(handler.body, lines=self._counted(tried))
        statement.orelse = self.block(statement.orelse)
        statement.finalbody = self.block(statement.finalbody)

    def _match(self, statement: ast.Match) -> None:
        """Note that a case was reached when its block or a later one begins, or none matched."""
        tried: list[int] = []
        missed: set[Arc] = set()
        for case in statement.cases:
            line = self._parser.first_line(case.pattern.lineno)
            tried.append(line)
            into, past = self._ways(line, case.body)
            case.body = self.block(case.body, lines=self._counted(tried), arcs=missed | into)
            missed |= past
        if missed and not _matches_all(statement.cases[-1]):
            nothing = self._probe(statement, self._counted(tried), missed)
            pattern = _placed(ast.MatchAs(), statement)
            statement.cases.append(ast.match_case(pattern=pattern, body=[nothing]))


def _must_be_first(statement: ast.stmt) -> bool:
    """Return whether nothing but a docstring may stand before a statement."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "__future__"
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _matches_all(case: ast.match_case) -> bool:
    """Return whether a case matches whatever comes, so that Python allows none behind it."""
    pattern: ast.pattern | None = case.pattern
    while isinstance(pattern, ast.MatchOr):
        pattern = pattern.patterns[-1]
    while isinstance(pattern, ast.MatchAs) and pattern.pattern is not None:
        pattern = pattern.pattern
    return case.guard is None and isinstance(pattern, ast.MatchAs)


def _placed(node: _Nodes, where: ast.AST) -> _Nodes:
    """Give a new node, and all below it, the place of another in the source."""
    for each in ast.walk(node):
        ast.copy_location(each, where)
    return node
