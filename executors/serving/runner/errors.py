"""Why a call of the runner is refused."""

from __future__ import annotations


class CallError(Exception):
    """A call that cannot be answered; `status` is the HTTP code, `fix` the next step."""

    def __init__(self, message: str, *, status: int = 400, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.fix = fix


class ProtoError(CallError):
    """A schema that is not one; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int, *, fix: str = "") -> None:
        super().__init__(f"proto, line {line}, column {column}: {message}", status=422, fix=fix)
        self.line = line
        self.column = column
