"""A storm of distinct alarms through the streaming grouper, in a process of its own.

`python -m benchmarks.alarms._storm COUNT` prints the count of open alarms, open super-alarms, CPU
seconds of grouping, and the peak of memory in MiB, as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator

from alarms.grouping.alert import Alert
from alarms.grouping.streaming import StreamGrouper

ENTITIES = 100_000
SYSTEM_ENTITIES = 50
SECONDS = 80.0
BATCH = 1_000


def storm(count: int) -> Iterator[list[Alert]]:
    """Yield `count` distinct alarms within less than the gap, in batches, in order of time.

    Each of 100,000 entities belongs to a system of fifty, which its alerts name.
    """
    for start in range(0, count, BATCH):
        batch: list[Alert] = []
        for number in range(start, min(count, start + BATCH)):
            entity = number % ENTITIES
            batch.append(
                Alert(
                    alert_id=f"alert-{number}",
                    at=SECONDS * number / count,
                    name=f"alarm {number // ENTITIES}",
                    entity=f"pod-{entity}",
                    related=(f"system-{entity // SYSTEM_ENTITIES}",),
                )
            )
        yield batch


def main(count: int) -> None:
    """Group a storm and print what it took."""
    grouper = StreamGrouper()
    seconds = 0.0
    for batch in storm(count):
        start = time.process_time()
        grouper.extend(batch)
        seconds += time.process_time() - start
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    document = {
        "alarms": grouper.alarms,
        "groups": len(grouper.open),
        "seconds": seconds,
        "memory_mib": peak_kib / 1024,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main(int(sys.argv[1]))
