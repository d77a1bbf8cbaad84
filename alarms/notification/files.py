"""Messages in a file: one JSON line per super-alarm, edited in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from engine.model import deciding
from engine.model.alarms import SuperAlarm
from engine.model.errors import UnreachableError

MESSAGES_MAX = 1_000
"""Messages kept; the oldest go first."""


class FileNotifier:
    """Keeps `notifications.jsonl`. Port `Notifier`; the file is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def notify(self, group: SuperAlarm) -> None:
        """Write or edit the line of a super-alarm; a second call changes only `edits`.

        Raises:
            UnreachableError: when the file cannot be written.
        """
        messages = self._messages()
        before = messages.get(group.super_alarm_id)
        edits = 0 if before is None else int(before["edits"]) + 1
        messages[group.super_alarm_id] = {**message_of(group), "edits": edits}
        lines = [
            json.dumps(entry, sort_keys=True, ensure_ascii=False) for entry in messages.values()
        ]
        text = "\n".join(lines[-MESSAGES_MAX:]) + "\n"
        draft = self._path.with_name(self._path.name + ".new")
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(self._path)
        except OSError as error:
            message = f"cannot write {str(self._path)!r}: {error.strerror}"
            raise UnreachableError(message, fix="free space or give another path") from error

    def _messages(self) -> dict[str, dict[str, Any]]:
        """Return the messages so far by id; lines that are damaged are left out."""
        if not self._path.exists():
            return {}
        found: dict[str, dict[str, Any]] = {}
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = cast("dict[str, Any]", json.loads(line))
                found[str(entry["id"])] = {**entry, "edits": int(entry["edits"])}
            except (ValueError, TypeError, KeyError):
                continue
        return found


def message_of(group: SuperAlarm) -> dict[str, Any]:
    """Return what a message says: headline, likely cause, radius, state."""
    likely = group.likely
    return {
        "id": group.super_alarm_id,
        "headline": group.title,
        "severity": group.severity.value,
        "state": group.state.value,
        "since": group.opened_at,
        "updated": group.updated_at,
        "alarms": len(group.alarms),
        "times": group.times,
        "pipelines": list(group.pipelines),
        "cause": None
        if likely is None
        else {"kind": likely.kind.value, "title": likely.title, "belief": round(likely.belief, 2)},
        "settle": "" if likely is None else likely.settle,
        "undecided": deciding.undecided(group),
    }
