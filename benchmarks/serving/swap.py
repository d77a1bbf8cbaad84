"""Requests that fail, and how long they wait, while models are swapped under load.

Two heart-disease models (nearest neighbours and a tree) are trained and packaged from
`training/heart-disease*.csv` by the built-in tasks; the model server runs as a task of the local
executor; a second process keeps eight connections busy with held-out records, each sending the
next request when it has the last answer. Every 100 ms the engine's port swaps the model. An
answer is stale when its request began after the swap to another version was acknowledged.

Then the standalone server is swapped 100 times among frameworks and schemas, with a forest of
193 MB among them (`_big_swap`).
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from benchmarks import frame
from benchmarks.serving import _big_swap, _heart
from engine.model.dispatches import Deployment
from engine.model.identifiers import Digest, TaskName
from executors.serving import HttpModelServer

SWAPS = 50
CONNECTIONS = 8
PAUSE_SECONDS = 0.1
WARM_SECONDS = 3.0
QUICK_WARM_SECONDS = 1.0
MLSERVER = "MLServer load 0 failed, unload+load 16.9 a swap; Triton unload+load 90 % failed"


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap: when it was asked for and acknowledged, and the version that serves then."""

    asked: float
    done: float
    version: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it began and ended, its status, the version that answered."""

    began: float
    ended: float
    status: str
    version: str

    @property
    def ms(self) -> float:
        """How long it took."""
        return (self.ended - self.began) * 1000


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of one server's life."""
    heart = _heart.Heart(context.scratch / "home", context.file("training/heart-disease*.csv"))
    packages = heart.package(("knn", "tree"), trials=2 if context.quick else 8)
    versions = {name: str(heart.ended[f"package-{name}"].outputs["digest"]) for name in packages}
    endpoint = heart.serve("package-knn")
    try:
        warm = QUICK_WARM_SECONDS if context.quick else WARM_SECONDS
        swaps, answers, began = under_load(heart, endpoint, packages, versions, warm_seconds=warm)
    finally:
        heart.stop()
    yield from figures(swaps, answers, began)
    yield from _big_swap.run(context)


def under_load(
    heart: _heart.Heart,
    endpoint: str,
    packages: dict[str, Digest],
    versions: dict[str, str],
    *,
    warm_seconds: float,
) -> tuple[list[Swap], list[Answer], float]:
    """Swaps while the second process sends requests; also says when the load began."""
    log = heart.home / "answers.json"
    address = urlsplit(endpoint)
    options = {
        "host": address.hostname,
        "port": address.port,
        "connections": CONNECTIONS,
        "rows": held_out(heart),
        "log": str(log),
    }
    command = [sys.executable, "-m", "benchmarks.serving._load", json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=frame.ROOT.parent) as load:
        began = time.monotonic()
        time.sleep(warm_seconds)
        server = HttpModelServer()
        swaps: list[Swap] = []
        for number in range(SWAPS):
            name = ("tree", "knn")[number % 2]
            asked = time.monotonic()
            swap(server, endpoint, packages[name])
            swaps.append(Swap(asked, time.monotonic(), versions[name]))
            time.sleep(PAUSE_SECONDS)
        load.communicate(b"", timeout=60)
    answers = [Answer(*entry) for entry in json.loads(log.read_text(encoding="utf-8"))]
    return swaps, answers, began


def swap(server: HttpModelServer, endpoint: str, wanted: Digest) -> None:
    """Swaps as the dispatcher does."""
    deployment = Deployment(
        pipeline=_heart.PIPELINE,
        task=TaskName("serve"),
        run_id=_heart.RUN,
        wanted=wanted,
        endpoint=endpoint,
    )
    if server.swap(deployment) != wanted:
        raise RuntimeError(f"{wanted} does not serve")


def held_out(heart: _heart.Heart) -> list[list[float]]:
    """Returns the records that no model was trained on."""
    path = heart.home / "attempts" / f"{_heart.RUN}.features.1" / "outputs" / "holdout.npy"
    rows: list[list[float]] = np.load(path)[:, :-1].tolist()
    return rows


def figures(
    swaps: Sequence[Swap], answers: Sequence[Answer], began: float
) -> Iterator[frame.Figure]:
    """Yields what the answers say."""
    first, last = swaps[0].asked, swaps[-1].done
    quiet = [answer.ms for answer in answers if answer.ended < first]
    during = [answer.ms for answer in answers if first <= answer.ended <= last]
    failed = sum(answer.status != "200" for answer in answers)
    took = [(each.done - each.asked) * 1000 for each in swaps]
    seconds = first - began
    yield frame.at_least("swaps", len(swaps), SWAPS)
    yield frame.at_most("failed requests", failed, 0, anchor=MLSERVER)
    yield frame.at_most("stale answers after a swap was acknowledged", stale(swaps, answers), 0)
    yield frame.informs("requests", len(answers))
    anchor = "MLServer 8 ms, Triton 2,270 ms"
    yield frame.informs("swap, median", float(np.median(took)), unit="ms", anchor=anchor)
    yield frame.informs("swap, longest", max(took), unit="ms")
    anchor = "MLServer 26 ms, Triton 2,690 ms"
    yield frame.informs("longest request while swapping", max(during), unit="ms", anchor=anchor)
    anchor = f"without swaps {max(quiet):.1f} ms at most"
    yield frame.informs("p99 while swapping", percentile(during), unit="ms", anchor=anchor)
    yield frame.informs("p99 without swaps", percentile(quiet), unit="ms")
    yield frame.informs(
        "requests per second without swaps",
        len(quiet) / seconds,
        unit="1/s",
        anchor="MLServer REST 1,813 at 16 connections",
    )


def stale(swaps: Sequence[Swap], answers: Sequence[Answer]) -> int:
    """Returns how many requests that began after a swap's end got another version."""
    found = 0
    limits = [*(each.asked for each in swaps[1:]), math.inf]
    for each, limit in zip(swaps, limits, strict=True):
        inside = [a for a in answers if a.began > each.done and a.ended < limit]
        found += sum(answer.version not in {each.version, ""} for answer in inside)
    return found


def percentile(values: Sequence[float]) -> float:
    """Returns the 99th percentile."""
    return float(np.percentile(values, 99))
