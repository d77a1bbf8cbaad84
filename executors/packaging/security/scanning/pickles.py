"""What a pickle would import and call, found by following its instructions without running them.

A small machine keeps the stack and the memo as far as they hold text, so that names put together
by way of the memo are seen as well. It goes on past the first pickle of a file, and what stands
before a fault counts: Python runs it before it notices the fault. The instructions are those of
`pickletools`.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from engine.model.scans import Finding, FindingKind, FindingSeverity
from executors.packaging.security.scanning import suspects

_INSTRUCTIONS_MAX = 3_000_000
"""About three seconds; pickles of models keep their arrays in a few long instructions."""
_SUFFIXES = frozenset(suspects.words(suspects.SUFFIXES))
_TEXT = frozenset(suspects.words(suspects.TEXT_INSTRUCTIONS))
_CALLS = frozenset(suspects.words(suspects.CALLING_INSTRUCTIONS))
_MARK = object()
_UNKNOWN = suspects.UNKNOWN
_SAMPLES = "data/sample_inputs/"
_SAMPLES_FIX = "set `program.example_inputs = None` before `torch.export.save`"
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*")
_RAW = re.compile(rb"c?(os|posix|nt|subprocess|builtins|__builtin__|sys|socket|runpy|pty)\n(\w+)\n")


@dataclass(slots=True)
class Facts:
    """What following a pickle showed.

    globals: module and name of everything it would import, in order, each once; "?" stands for
    what it computes. calls: instructions that run something. stops: whole pickles. fault: why the
    rest cannot be followed, "" when all was.
    """

    globals: list[tuple[str, str]] = field(default_factory=list)
    calls: int = 0
    stops: int = 0
    instructions: int = 0
    fault: str = ""

    def note(self, module: object, name: object) -> None:
        """Note that something would be imported."""
        parts = [each if isinstance(each, str) else _UNKNOWN for each in (module, name)]
        found = (parts[0], parts[1])
        if found not in self.globals:
            self.globals.append(found)


class _Machine:
    """The stack and the memo of one pickle, with text where it is known."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._stack: list[object] = []
        self._memo: dict[int, object] = {}

    def step(self, name: str, argument: Any, opcode: Any) -> None:  # noqa: ANN401 - as pickletools
        """Follow one instruction.

        Raises:
            IndexError: when it takes more from the stack than there is; Python would stop here.
        """
        stack = self._stack
        if name in _TEXT:
            stack.append(_text(argument))
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "GLOBAL":
            module, _, attribute = str(argument).partition(" ")
            self._facts.note(module, attribute)
            stack.append(None)
        elif name == "INST":
            self._to_mark()
            module, _, attribute = str(argument).partition(" ")
            self._facts.note(module, attribute)
            stack.append(None)
        elif name == "STACK_GLOBAL":
            named = stack.pop()
            self._facts.note(stack.pop(), named)
            stack.append(None)
        elif name in {"EXT1", "EXT2", "EXT4"}:
            self._facts.note("copyreg", f"extension_{argument}")
            stack.append(None)
        elif name in {"PUT", "BINPUT", "LONG_BINPUT"}:
            self._memo[int(argument)] = stack[-1]
        elif name == "MEMOIZE":
            self._memo[len(self._memo)] = stack[-1]
        elif name in {"GET", "BINGET", "LONG_BINGET"}:
            stack.append(self._memo.get(int(argument)))
        elif name == "DUP":
            stack.append(stack[-1])
        else:
            self._generic(opcode)

    def _generic(self, opcode: Any) -> None:  # noqa: ANN401 - as pickletools
        """Take and give as many values as the instruction's description says."""
        before, after = opcode.stack_before, opcode.stack_after
        if pickletools.markobject in before:
            self._to_mark()
            below = before.index(pickletools.markobject)
        else:
            below = len(before)
        for _ in range(below):
            self._stack.pop()
        self._stack.extend([None] * len(after))

    def _to_mark(self) -> None:
        while self._stack.pop() is not _MARK:
            pass


def follow(data: bytes, *, instructions_max: int = _INSTRUCTIONS_MAX) -> Facts:
    """Follow the pickles of a file, one after another, as far as they go."""
    facts = Facts()
    stream = io.BytesIO(data)
    while stream.tell() < len(data) and not facts.fault:
        start = stream.tell()
        machine = _Machine(facts)
        stopped = facts.stops
        try:
            for opcode, argument, _ in pickletools.genops(stream):
                facts.instructions += 1
                if facts.instructions > instructions_max:
                    facts.fault = f"it has more than {instructions_max:,} instructions"
                    break
                if opcode.name == "STOP":
                    facts.stops += 1
                    break
                machine.step(opcode.name, argument, opcode)
                facts.calls += opcode.name in _CALLS
        except (ValueError, IndexError, TypeError, OverflowError, MemoryError) as error:
            facts.fault = f"it cannot be followed: {error}"
        if facts.stops == stopped and not facts.fault:
            facts.fault = "it is cut off"
        if stopped and facts.fault and not facts.calls:
            break
        if stream.tell() == start:
            break
    return facts


def is_pickle(name: str, data: bytes) -> bool:
    """Return whether a file is a pickle: by its first bytes, its name, or by being a whole one."""
    if len(data) > 1 and data[0] == 0x80 and 2 <= data[1] <= 5:  # noqa: PLR2004 - protocols
        return True
    facts = follow(data, instructions_max=10_000)
    likely = PurePosixPath(name).suffix.lower() in _SUFFIXES
    if likely and facts.stops:
        return True
    sensible = all(_IDENTIFIER.fullmatch(word) for pair in facts.globals for word in pair)
    return bool(facts.globals) and sensible and (facts.calls > 0 or facts.stops > 0)


def findings(place: str, data: bytes) -> Iterator[Finding]:
    """Yield what is wrong with a pickle: that it is one, and what it would import."""
    yield _finding(
        "pickle.file",
        place,
        FindingSeverity.HIGH,
        "it is a pickle: loading it can run any code",
        fix=_SAMPLES_FIX if _SAMPLES in place else "convert it to ONNX, safetensors or skops",
    )
    facts = follow(data)
    for module, name in facts.globals:
        severity = suspects.judge(module, name)
        if severity is not None:
            computed = _UNKNOWN in {module, name}
            what = "a name that it computes" if computed else f"`{module}.{name}`"
            yield _finding("pickle.global", place, severity, f"loading it would import {what}")
    if facts.fault:
        message = f"{facts.fault} (after {facts.instructions:,} instructions)"
        yield _finding("pickle.unread", place, FindingSeverity.HIGH, message)
        for module, name in sorted(set(_RAW.findall(data))):
            words = f"{module.decode()}.{name.decode()}"
            message = f"where it cannot be followed it names `{words}`"
            yield _finding("pickle.global", place, FindingSeverity.CRITICAL, message)


def _text(argument: object) -> str:
    return argument.decode("latin-1") if isinstance(argument, bytes) else str(argument)


def _finding(
    code: str, place: str, severity: FindingSeverity, message: str, *, fix: str = ""
) -> Finding:
    return Finding(
        kind=FindingKind.PICKLE,
        severity=severity,
        code=code,
        place=place,
        message=message,
        fix=fix,
    )
