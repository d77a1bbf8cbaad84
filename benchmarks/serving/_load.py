"""A closed loop of requests from a process of its own: `python -m benchmarks.serving._load`.

Each connection sends its next request as soon as it has the answer to the last. Runs until the
standard input is closed, then writes one JSON line for every answer: when the request began and
ended (the machine's monotonic clock, which all processes share), its status, the version that
answered. A connection that breaks counts as a failed request and is opened again.
"""

import asyncio
import gc
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

RETRY_SECONDS = 0.01


def request(host: str, model: str, rows: Sequence[Sequence[float]]) -> bytes:
    """Returns an inference request as bytes."""
    data = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "features", "shape": shape, "datatype": "FP64", "data": data}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: {host}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> list[str]:
    """Sends a request; returns the status and the version that answered."""
    writer.write(sent)
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
    body = json.loads(await reader.readexactly(length))
    return [head.split(" ", 2)[1], str(body.get("model_version", ""))]


async def loop(
    address: tuple[str, int], sent: Sequence[bytes], stop: asyncio.Event, log: list[object]
) -> None:
    """Sends requests one after another until told to stop."""
    number = 0
    while not stop.is_set():
        try:
            reader, writer = await asyncio.open_connection(*address)
        except OSError:
            log.append([time.monotonic(), time.monotonic(), "no connection", ""])
            await asyncio.sleep(RETRY_SECONDS)
            continue
        while not stop.is_set():
            began = time.monotonic()
            try:
                answer = await one(reader, writer, sent[number % len(sent)])
            except (OSError, asyncio.IncompleteReadError, ValueError) as error:
                log.append([began, time.monotonic(), type(error).__name__, ""])
                break
            log.append([began, time.monotonic(), *answer])
            number += 1
        writer.close()


async def main(
    address: tuple[str, int], model: str, connections: int, rows: list[list[float]]
) -> list[object]:
    """Runs the loops until the standard input is closed."""
    stop = asyncio.Event()
    sent = [request(address[0], model, [row]) for row in rows]
    log: list[object] = []
    running = asyncio.get_running_loop()
    running.add_reader(sys.stdin, stop.set)
    await asyncio.gather(*(loop(address, sent, stop, log) for _ in range(connections)))
    return log


if __name__ == "__main__":
    gc.disable()  # its log grows; looking through it would delay answers that have come
    options = json.loads(sys.argv[1])
    answers = asyncio.run(
        main(
            (options["host"], options["port"]),
            options.get("model", "heart"),
            options["connections"],
            options["rows"],
        )
    )
    Path(options["log"]).write_text(json.dumps(answers), encoding="utf-8")
