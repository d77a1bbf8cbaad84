"""One visit of a trial as a task: `python -m executors.training.trials.visiting FILE FUNCTION`.

`tasks` orders it. The trial's folder comes in as the input `trial` and goes out in the outputs, as
does every event (`events.jsonl`). The trial is a process of its own below this one, so that what
kills it does not keep its epochs and its checkpoint from coming back. Epochs are also told on
standard error: those lines are what is left when the outputs are not.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from executors.training.trials.hosts import ProcessHost

TRIAL = "trial"
"""Name of the input, and of the folder in the outputs."""
EVENTS = "events.jsonl"
LOG = "log.txt"
EPOCH = "epoch "
"""How a line of standard error begins that tells of one, as JSON."""
BAD_INPUT = 65
_LOOK_SECONDS = 1.0
_KILLED = -9


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the visit that `$BERTH_PARAMETERS` orders; 65 when there is no such objective."""
    outputs = Path(environment["BERTH_OUTPUTS"])
    order = json.loads(Path(environment["BERTH_PARAMETERS"]).read_bytes())["visit"]
    folder = outputs / TRIAL
    before = Path(environment["BERTH_INPUTS"]) / TRIAL
    if before.exists():
        shutil.copytree(before, folder)
        for path in folder.rglob("*"):  # what is laid out may only be read
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    folder.mkdir(exist_ok=True)
    work = Path.cwd()
    events: list[dict[str, Any]] = []
    with ProcessHost(":".join(arguments), work) as host:
        for event in visit(host, {**order, "folder": str(folder)}, clock=time.monotonic):
            events.append(event)
            if event["event"] == "epoch":
                told = {name: event[name] for name in ("epoch", "values")}
                sys.stderr.write(f"{EPOCH}{json.dumps(told)}\n")
                sys.stderr.flush()
    if not events or events[-1]["event"] != "ended":
        sys.stderr.write((work / "host.log").read_text(encoding="utf-8", errors="replace"))
        return BAD_INPUT
    with contextlib.suppress(OSError):
        sys.stdout.write((folder / LOG).read_text(encoding="utf-8", errors="replace"))
    text = "".join(json.dumps(event) + "\n" for event in events)
    (outputs / EVENTS).write_text(text, encoding="utf-8")
    (outputs / "outputs.json").write_text(json.dumps({"code": events[-1]["code"]}) + "\n")
    return 0


def visit(
    host: ProcessHost, order: Mapping[str, Any], *, clock: Callable[[], float]
) -> Iterator[dict[str, Any]]:
    """Yield what happens in one visit, until it ended or the host is gone.

    A visit in which no epoch ends within `epoch_seconds_max` is killed, and its end says why; the
    time until the objective is loaded does not count.
    """
    heard, is_late = math.inf, False
    while (found := host.take(_LOOK_SECONDS)) is not None:
        for event in found:
            heard = clock()
            if event["event"] == "ready":
                host.send(order)
                continue
            if event["event"] == "ended" and is_late and event["code"] == _KILLED:
                event |= {"reason": late(order), "out": True}
            yield event
            if event["event"] == "ended":
                return
        if clock() - heard > float(order["epoch_seconds_max"]) and not is_late:
            is_late = True
            host.send({"kill": order["trial"]})


def late(order: Mapping[str, Any]) -> str:
    """Return why a visit that says nothing is ended."""
    return f"no epoch ended within {order['epoch_seconds_max']:g} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
