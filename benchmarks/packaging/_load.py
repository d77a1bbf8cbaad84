"""A closed loop of requests from a process of its own: `python -m benchmarks.packaging._load`.

Runs until the standard input is closed, then writes for each answer when its request began and
ended (the machine's monotonic clock), its status and the version that answered. Requests have a
pause between them, so that the load leaves a share of the processor to what is measured.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving import _load

PAUSE_SECONDS = 0.002


async def loop(options: dict[str, Any], number: int, stop: asyncio.Event, log: list[Any]) -> None:
    """Sends requests one after another until told to stop."""
    rows: Sequence[Sequence[float]] = options["rows"]
    sent = _load.request(options["host"], options["model"], [rows[number % len(rows)]])
    while not stop.is_set():
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection(options["host"], options["port"])
            while not stop.is_set():
                began = time.monotonic()
                answer = await _load.one(reader, writer, sent)
                log.append([began, time.monotonic(), *answer])
                await asyncio.sleep(PAUSE_SECONDS)
            writer.close()
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            log.append([began, time.monotonic(), type(error).__name__, ""])
            await asyncio.sleep(PAUSE_SECONDS)


async def main(options: dict[str, Any]) -> list[Any]:
    """Runs the loops until the standard input is closed."""
    stop = asyncio.Event()
    log: list[Any] = []
    asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    loops = (loop(options, number, stop, log) for number in range(options["connections"]))
    await asyncio.gather(*loops)
    return log


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    Path(given["log"]).write_text(json.dumps(asyncio.run(main(given))), encoding="utf-8")
