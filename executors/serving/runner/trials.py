"""Uploaded models are opened in a confined process first; only what came through is opened here.

What brings a process down, takes all memory or never ends does that there. A process opens one
upload and then ends. To load libraries takes longer than all else, so a runner that serves has the
next one begun ahead.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from engine.model.errors import BerthError
from executors.packaging.security.sandbox.ahead import Ahead
from executors.packaging.security.sandbox.running import Call
from executors.serving.runner.errors import CallError

_FUNCTION = "executors.serving.runner.uploads:open_apart"
_SECONDS_MAX = 120.0
_BAD = 422


class Trials:
    """Opens uploads in confined processes. May be used from several threads.

    seconds: how long one may take.
    """

    def __init__(self, seconds: float = _SECONDS_MAX) -> None:
        self._seconds = seconds
        self._ahead = Ahead(_FUNCTION)
        self._is_awaiting = False

    def await_more(self) -> None:
        """Begin a process ahead, now and after each upload, until `close`."""
        self._is_awaiting = True
        self._ahead.prepare()

    def await_loaded(self) -> None:
        """Wait until the process that was begun ahead can open an upload at once."""
        self._ahead.await_loaded()

    def close(self) -> None:
        """End the process that waits."""
        self._is_awaiting = False
        self._ahead.close()

    def open(self, upload: Path, target: Path) -> None:
        """Let an upload be unpacked and opened.

        upload: a file, or the folder of a package. target: an empty folder for what is in a tar.

        Raises:
            CallError: when it is no model, is refused, or a limit or a crash ended it; what was
                unpacked is not to be used.
        """
        call = Call(
            function=_FUNCTION,
            arguments={"upload": str(upload.resolve()), "target": str(target.resolve())},
            reads=[upload],
            writes=[target],
            seconds=self._seconds,
        )
        try:
            found: object = self._ahead.take().make(call).value
        except BerthError as error:
            text = f"the model cannot be opened: {error.message}"
            raise CallError(text, status=_BAD, fix=error.fix) from error
        finally:
            if self._is_awaiting:
                self._ahead.prepare()
        _raise_told(found)
        _check_plain(target)


def _raise_told(found: object) -> None:
    """Raise what the process says of the upload."""
    told: Mapping[str, Any] = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    if told.get("message"):
        status = told.get("status")
        raise CallError(
            str(told["message"]),
            status=status if isinstance(status, int) else _BAD,
            fix=str(told.get("fix", "")),
        )


def _check_plain(target: Path) -> None:
    """Refuse links: a process that an upload took over could have left one that leads out."""
    for folder, names, files in os.walk(target):
        for name in (*names, *files):
            mode = os.lstat(Path(folder) / name).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise CallError(f"{name[:80]!r} of the package is no plain file", status=_BAD)
