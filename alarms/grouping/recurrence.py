"""Events that go on after a pause: their own alarms fire again, whatever was opened meanwhile.

How long an event may pause follows from its own pace: an event is over when so many alerts would
have been expected by then that they cannot all be missing. Only an event of several names is waited
for; a single one that fires again is as likely another event.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from alarms.grouping.aftermath import NAMES_LEAST
from alarms.grouping.episodes import Episode, Unusual

MISSED_ALERTS = 50.0
"""An event is over when, at its own pace, so many alerts would have fired in the pause: many, since
what writes one line in a log raises up to ten alerts at once."""
PACE_SECONDS = 10.0
"""Where a pace is counted over so much more than was seen, since a few alerts at once are none."""
GAPS_MOST = 5.0
"""And never waits for longer than so many gaps. Nor does a stretch outside an aftermath: it should
not reach far back before an event, and need not be each few alarms."""
OPENED_MOST = 8
"""Super-alarms of a part that may be one event after all."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """An event that goes on, and what was opened in its part since, the newest first."""

    episode: Episode
    event: Unusual
    since: Sequence[Episode]


class Recurrences:
    """Knows what was opened lately in each part of the system, in order.

    Args:
        gap_seconds: What pauses for no longer goes on anyway.
        parts_most: Parts that are remembered; those where nothing was opened for longest are not.
    """

    def __init__(self, *, gap_seconds: float, parts_most: int = 10_000) -> None:
        self._parts_most = parts_most
        self._wait_seconds = GAPS_MOST * gap_seconds
        self._opened: OrderedDict[int, deque[Episode]] = OrderedDict()
        """By part, the one in which something was opened longest ago first."""

    def patience_seconds(self, episode: Episode, event: Unusual) -> float:
        """Return for how long an event, which is that episode, waits for alarms of its own."""
        pace_seconds = (event.own_at - episode.opened_at + PACE_SECONDS) / max(1, episode.alerts)
        return min(MISSED_ALERTS * pace_seconds, self._wait_seconds)

    def note(self, episode: Episode) -> None:
        """Note that a super-alarm was opened."""
        self._opened.setdefault(episode.part, deque(maxlen=OPENED_MOST)).append(episode)
        self._opened.move_to_end(episode.part)
        if len(self._opened) > self._parts_most:
            self._opened.popitem(last=False)

    def find(self, part: int, fingerprint: int, at: float) -> Recurrence | None:
        """Return the event of several names of which an alarm fires again.

        What was opened since is forgotten: it belongs to that event now.
        """
        opened = self._opened.get(part, deque())
        for number, episode in enumerate(opened):
            event = episode.unusual
            if event is None or episode.is_gone or len(event.names) < NAMES_LEAST:
                continue
            if fingerprint not in event.alarms:
                continue
            if at - event.own_at <= self.patience_seconds(episode, event):
                since = [opened.pop() for _ in range(len(opened) - number - 1)]
                return Recurrence(episode, event, [each for each in since if not each.is_gone])
        return None
