"""What the streaming grouper is given: one firing of one alarm, from any system.

An `Alert` is the least that any source has (Prometheus, a tracing system, an intrusion detector),
so that streams need no made-up statistics. `naming` makes alerts of the product's alarms.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


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
        near: Entities whose super-alarm it joins when its own part of the system is not alarmed:
            what it runs on. Nothing is learned from it, since things move.
        holds: Of these its super-alarm stays open for alerts that name them until somebody says
            that it is over (`StreamGrouper.close`), however long nothing fires.
        lasting: Whether firing again before that is the same trouble, no new event. Such an alert
            names all that it is related to.
    """

    alert_id: str
    at: float
    name: str
    entity: str
    related: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    near: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    lasting: bool = False

    @property
    def fingerprint(self) -> int:
        """Which alarm fired, whenever it did: 64 bits, equal in every process."""
        parts = [self.name, self.entity, *self.related]
        for key in sorted(self.labels):
            parts += (key, self.labels[key])
        digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big")
