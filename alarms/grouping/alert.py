"""What the streaming grouper is given: one firing of one alarm, from any system.

`engine.model.alarms.Alarm` is what our own detection raises; an `Alert` is the least that any
source has (Prometheus, a tracing system, an intrusion detector), so that foreign streams need no
made-up statistics. `alert_of` makes the one from the other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from alarms.grouping.nature import Nature, cluster_of, nature, pipeline_of
from engine.model.alarms import Alarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One firing.

    Attributes:
        alert_id: Unique per firing; a firing that is sent again has the same.
        at: When it fired, in seconds.
        name: What fired, the same at every entity (`latency_ms_p99 high`).
        entity: What it fired on.
        related: Other entities it names: the peer of a call, the host of a container. Entities
            that alerts name together are learned to be related.
        labels: What else tells this alarm from others of its name and entity.
    """

    alert_id: str
    at: float
    name: str
    entity: str
    related: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> int:
        """Which alarm fired, whenever it did: 64 bits, equal in every process."""
        parts = [self.name, self.entity, *self.related]
        for key in sorted(self.labels):
            parts += (key, self.labels[key])
        digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")


def alert_of(alarm: Alarm) -> Alert:
    """Return one of our own alarms as an alert.

    What a machine alarm names is its cluster, what wrong data name is their pipeline: a machine
    does not move a distribution, so the two stay apart (see `nature`).
    """
    side = "silent" if alarm.test == "silence" else "low" if alarm.statistic < 0 else "high"
    cluster, pipeline = cluster_of(alarm), pipeline_of(alarm)
    named = [f"cluster:{cluster}"] if cluster and nature(alarm) is Nature.MACHINE else []
    if pipeline and (nature(alarm) is not Nature.MACHINE or not named):
        named = [f"pipeline:{pipeline}"]
    return Alert(
        alert_id=alarm.alarm_id,
        at=alarm.at,
        name=f"{alarm.signal} {side}",
        entity=alarm.subject,
        related=tuple(name for name in named if name != alarm.subject),
    )
