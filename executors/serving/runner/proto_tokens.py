"""Words, numbers, strings and signs of a `.proto` text, without spaces and comments."""

from __future__ import annotations

import re
from dataclasses import dataclass

from executors.serving.runner.errors import ProtoError

TEXT_MAX = 1 << 20
"""Characters of the longest schema."""
_TOKENS_MAX = 200_000

_PATTERN = re.compile(
    r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/)
  | (?P<string>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
  | (?P<number>0[xX][0-9a-fA-F]+|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<sign>[{}()\[\]<>=;,.:+-])
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `kind` is string, number, word, sign or end; strings are without their quotes."""

    kind: str
    text: str
    offset: int


class Tokens:
    """The tokens of a text, read one after the other."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._split(text)
        self._next = 0

    def _split(self, text: str) -> list[Token]:
        if len(text) > TEXT_MAX:
            raise ProtoError(f"{len(text)} characters, at most {TEXT_MAX} are read", 1, 1)
        found: list[Token] = []
        position = 0
        while position < len(text):
            match = _PATTERN.match(text, position)
            if match is None:
                raise self.fault(f"{text[position]!r} cannot stand here", position)
            kind = match.lastgroup or ""
            if kind != "skip":
                word = match[0][1:-1] if kind == "string" else match[0]
                found.append(Token(kind, word, position))
            if len(found) > _TOKENS_MAX:
                raise self.fault(f"more than {_TOKENS_MAX} words and signs", position)
            position = match.end()
        found.append(Token("end", "the end of the text", len(text)))
        return found

    @property
    def here(self) -> Token:
        """The next token, which is not taken yet."""
        return self._tokens[self._next]

    def take(self) -> Token:
        """Take the next token; the end is never taken."""
        token = self.here
        if token.kind != "end":
            self._next += 1
        return token

    def takes(self, text: str) -> bool:
        """Take the next token when it is this word or sign."""
        found = self.here.text == text and self.here.kind in {"word", "sign"}
        if found:
            self._next += 1
        return found

    def expect(self, text: str) -> Token:
        """Take a word or sign.

        Raises:
            ProtoError: when something else stands there.
        """
        token = self.here
        if not self.takes(text):
            raise self.fault(f"{token.text!r} stands here, expected {text!r}", token.offset)
        return token

    def kind(self, kind: str, what: str) -> Token:
        """Take a token of a kind.

        Raises:
            ProtoError: when another one stands there.
        """
        token = self.here
        if token.kind != kind:
            raise self.fault(f"{token.text!r} stands here, expected {what}", token.offset)
        return self.take()

    def name(self) -> Token:
        """Take a name with dots in it, such as `.package.Message`."""
        first = self.here
        text = "." if self.takes(".") else ""
        text += self.kind("word", "a name").text
        while self.takes("."):
            text += "." + self.kind("word", "a name").text
        return Token("word", text, first.offset)

    def fault(self, message: str, offset: int, *, fix: str = "") -> ProtoError:
        """Return an error placed at a character."""
        line = self._text.count("\n", 0, offset) + 1
        column = offset - (self._text.rfind("\n", 0, offset) + 1) + 1
        return ProtoError(message, line, column, fix=fix)
