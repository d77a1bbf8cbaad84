"""Who may send alerts and signals: a folder with a file for each sender, its token inside."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
from pathlib import Path

from engine.model.errors import Fault, InvalidInputError

_LOG = logging.getLogger("berth.intake")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_SENDERS_MOST = 64
_TOKEN_BYTES_MOST = 4_096
_FIRST = "default"


class Senders:
    """Knows senders by their tokens; files may be added, changed and removed at any time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self) -> None:
        """Make the folder with a token for a first sender, where there is none.

        Raises:
            InvalidInputError: when it cannot be made.
        """
        if self.folder.exists():
            return
        try:
            # Made beside it, so that a full disk leaves no folder with an empty token.
            draft = self.folder.with_name(f"{self.folder.name}.new")
            draft.mkdir(parents=True, mode=0o700, exist_ok=True)
            path = draft / _FIRST
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(32), encoding="ascii")
            path = draft.rename(self.folder) / _FIRST
        except OSError as error:
            message = f"the folder of senders {str(self.folder)!r} cannot be made: {error.strerror}"
            fault = Fault(code="U012", message=message, fix="choose another with BERTH_SENDERS")
            raise InvalidInputError("settings", [fault]) from error
        _LOG.info("alerts and signals are taken with the token in %s", path)

    def name(self, token: str) -> str:
        """Return the sender of a token, "" when it is nobody's."""
        found = ""
        for name, known in self._known():
            # All are compared, so that the time tells nothing.
            if hmac.compare_digest(known.encode(), token.encode()):
                found = name
        return found

    def _known(self) -> list[tuple[str, str]]:
        """Return names with their tokens; what is no token of a sender is left out."""
        found: list[tuple[str, str]] = []
        try:
            paths = sorted(self.folder.iterdir())
        except OSError:
            return []
        for path in paths[: 2 * _SENDERS_MOST]:
            if not _NAME.fullmatch(path.name) or len(found) == _SENDERS_MOST:
                continue
            try:
                with path.open(encoding="utf-8") as file:
                    token = file.read(_TOKEN_BYTES_MOST).strip()
            except (OSError, UnicodeDecodeError) as error:
                _LOG.warning("the token of sender %s cannot be read: %s", path.name, error)
                continue
            if token:
                found.append((path.name, token))
        return found
