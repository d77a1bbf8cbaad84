"""Words and signs of a CEL expression.

The `cel` library compiles and evaluates but does not show its syntax tree. Berth needs a little
of it: which output of which task is read where, and behind which guard. Texts that reach this
module were accepted by the library's parser before, so nothing here checks syntax again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Sort(Enum):
    """What a token is."""

    WORD = auto()
    STRING = auto()
    NUMBER = auto()
    SIGN = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token; `offset` counts characters from 0, `value` of a string is without quotes."""

    sort: Sort
    value: str
    offset: int
    length: int


_PATTERN = re.compile(
    r"""
    (?P<skip>\s+|//[^\n]*)
  | (?P<string>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)[uU]?)
  | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>&&|\|\||[<>=!]=|.)
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> Iterator[Token]:
    """Yield the tokens of an expression, without spaces and comments."""
    for match in _PATTERN.finditer(text):
        length = match.end() - match.start()
        match match.lastgroup:
            case "string":
                raw = match[0].lstrip("rRbB")
                quotes = 3 if raw.startswith(('"""', "'''")) else 1
                yield Token(Sort.STRING, raw[quotes:-quotes], match.start(), length)
            case "number":
                yield Token(Sort.NUMBER, match[0], match.start(), length)
            case "word":
                yield Token(Sort.WORD, match[0], match.start(), length)
            case "sign":
                yield Token(Sort.SIGN, match[0], match.start(), length)
            case _:
                continue
