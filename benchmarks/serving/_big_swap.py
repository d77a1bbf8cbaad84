"""Swaps of a served model under load: other schemas, other frameworks, a forest of 193 MB.

The standalone server on a repository of versions: a scikit-learn classifier (FP64, `label` and
`probability`), an ONNX tree (FP32, `label` and `probabilities`) and a large scikit-learn forest
that runs in a process of its own. A second process keeps eight connections busy with rows that all
versions take. Afterwards a corrupt version and one that answers otherwise are asked for.
"""

import http.client
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import skops.io
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree import DecisionTreeClassifier

from benchmarks import frame
from benchmarks.serving import _models, _servers

SWAPS = 100
QUICK_SWAPS = 20
BIG_EVERY = 25
QUICK_BIG_EVERY = 10
PAUSE_SECONDS = 0.1
CONNECTIONS = 8
BIG_MB = 193
NODE_BYTES = 64 + 3 * 8
"""A node of a tree of scikit-learn, with the shares of three classes."""
STALL_MS = 50.0
ROLLBACK_MS = 100.0
ANCHOR = "MLServer 608 ms, in its worker 269 ms; Triton 2,690 ms"
MODEL = "iris"


@dataclass(frozen=True, slots=True)
class Swap:
    """When a swap was asked for and acknowledged, and the version that serves then."""

    asked: float
    done: float
    version: str
    is_big: bool


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of one server's life."""
    swaps_wanted = QUICK_SWAPS if context.quick else SWAPS
    big_every = QUICK_BIG_EVERY if context.quick else BIG_EVERY
    repository = context.scratch / "versions"
    size_mb = write_versions(repository / MODEL)
    audit = context.scratch / "audit.jsonl"
    log = context.scratch / "big-answers.json"
    more = ["--audit", str(audit)]
    with _servers.ours(repository, context.scratch, more) as server:
        with loaded(server, log) as load:
            time.sleep(2.0)
            quiet_until = time.monotonic()
            swaps = [swap(server, number, big_every) for number in range(swaps_wanted)]
            rollback_ms = roll_back(server)
            load.communicate(b"", timeout=120)
        refused = [refusal(server, version) for version in ("corrupt", "wrong")]
    answers = json.loads(log.read_text(encoding="utf-8"))
    yield frame.informs("large model", size_mb, unit="MB")
    yield from figures(swaps, answers, quiet_until)
    yield frame.at_most("rollback", rollback_ms, ROLLBACK_MS, unit="ms")
    yield frame.at_least(
        "bad versions refused with a typed error, the old serves on", sum(refused), 2
    )
    lines = audit.read_text(encoding="utf-8").splitlines()
    wanted = swaps_wanted + 2  # the first load and the way back; refusals come on top
    yield frame.at_least("swaps in the audit log", len(lines) - len(refused), wanted)


def write_versions(folder: Path) -> float:
    """Writes all versions; returns the size of the large one in MB."""
    rows, _, labels, _ = _models.iris()
    _models.write_skops(_models.logistic(), folder / "1")
    tree = DecisionTreeClassifier(max_depth=3, random_state=1).fit(rows, labels)
    _models.write_onnx(tree, folder / "2")
    size_mb = write_large(folder / "3")
    _models.copy(folder / "2", folder / "corrupt")
    (folder / "corrupt" / "model.onnx").write_bytes(b"\x80\x04N.")
    _models.copy(folder / "2", folder / "wrong")
    golden = folder / "wrong" / "golden.json"
    cases = json.loads(golden.read_text())
    cases[0]["outputs"][0]["data"] = [2 - label for label in cases[0]["outputs"][0]["data"]]
    golden.write_text(json.dumps(cases))
    (folder / "model.json").write_text('{"versions": ["1"]}')
    return size_mb


def write_large(folder: Path) -> float:
    """Writes a forest of at least `BIG_MB` in memory; returns its size there in MB."""
    generator = np.random.default_rng(7)
    rows = generator.random((100_000, 4)) * 8
    labels = generator.integers(0, 3, 100_000)  # chance has no pattern, so trees grow large
    forest: Any = RandomForestClassifier(2, max_features=1, random_state=7, n_jobs=2)
    forest.fit(rows, labels)
    one_mb = sum(tree.tree_.node_count for tree in forest.estimators_) / 2 * NODE_BYTES / 1e6
    trees = int(BIG_MB / one_mb) + 1
    forest.set_params(n_estimators=trees, warm_start=True).fit(rows, labels)
    forest.set_params(n_jobs=1)
    folder.mkdir(parents=True)
    file = folder / "model.skops"
    skops.io.dump(forest, file)
    nodes = sum(tree.tree_.node_count for tree in forest.estimators_)
    return float(nodes * NODE_BYTES) / 1e6


def loaded(server: _servers.Address, log: Path) -> subprocess.Popen[bytes]:
    """Starts the process that keeps the connections busy."""
    _, asked, _, _ = _models.iris()
    options = {"host": server.host, "port": server.port, "connections": CONNECTIONS}
    options |= {"rows": asked.tolist(), "log": str(log), "model": MODEL}
    command = [sys.executable, "-m", "benchmarks.serving._load", json.dumps(options)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, cwd=frame.ROOT.parent)


def swap(server: _servers.Address, number: int, big_every: int) -> Swap:
    """Swaps to the next version."""
    is_big = number % big_every == big_every - 1
    version = "3" if is_big else ("2", "1")[number % 2]
    asked = time.monotonic()
    status, answer = post(server, "load", config(version))
    if status != 200:
        raise RuntimeError(f"{version} does not serve: {answer}")
    done = time.monotonic()
    time.sleep(PAUSE_SECONDS)
    return Swap(asked, done, version, is_big)


def roll_back(server: _servers.Address) -> float:
    """Goes back to what served before; returns how long it took in ms."""
    began = time.monotonic()
    status, answer = post(server, "rollback", {})
    if status != 200:
        raise RuntimeError(f"no way back: {answer}")
    return (time.monotonic() - began) * 1000


def refusal(server: _servers.Address, version: str) -> bool:
    """Says whether a bad version is refused by a typed error while the old one serves on."""
    before = post(server, "infer", {})[1].get("model_version")
    status, answer = post(server, "load", config(version))
    after = post(server, "infer", {})[1].get("model_version")
    return status == 422 and answer.get("code") == "D001" and before == after != version


def config(version: str) -> dict[str, Any]:
    """Returns the body of a load of one version."""
    return {"parameters": {"config": {"versions": [version]}}}


def post(
    server: _servers.Address, action: str, document: dict[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Returns status and answer of a call."""
    path = f"/v2/repository/models/{MODEL}/{action}"
    body = json.dumps(document)
    if action == "infer":
        path = f"/v2/models/{MODEL}/infer"
        body = _models.body([5.1, 3.5, 1.4, 0.2]).decode()
    connection = http.client.HTTPConnection(server.host, server.port, timeout=300)
    try:
        connection.request("POST", path, body)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def figures(
    swaps: list[Swap], answers: list[list[Any]], quiet_until: float
) -> Iterator[frame.Figure]:
    """Yields what the answers say."""
    first, last = swaps[0].asked, swaps[-1].done
    quiet = [(end - begin) * 1000 for begin, end, *_ in answers if end < quiet_until]
    during = [(end - begin) * 1000 for begin, end, *_ in answers if first <= end <= last]
    failed = sum(status != "200" for _, _, status, _ in answers)
    stale = 0
    for each, following in itertools.pairwise(swaps):
        inside = [a for a in answers if a[0] > each.done and a[1] < following.asked]
        stale += sum(version not in {each.version, ""} for *_, version in inside)
    small = [(each.done - each.asked) * 1000 for each in swaps if not each.is_big]
    large = [each.done - each.asked for each in swaps if each.is_big]
    yield frame.informs("swaps to another schema and framework", len(swaps))
    yield frame.informs("requests", len(answers))
    yield frame.at_most("failed requests, large models too", failed, 0, anchor="MLServer 17 a swap")
    yield frame.at_most("stale answers, large models too", stale, 0)
    said = f"{ANCHOR}; here without swaps {max(quiet):.0f} ms"
    stall = max(during)
    yield frame.at_most("worst stall, large models too", stall, STALL_MS, unit="ms", anchor=said)
    quiet_p99, during_p99 = float(np.percentile(quiet, 99)), float(np.percentile(during, 99))
    yield frame.informs("p99 while swapping", during_p99, unit="ms")
    yield frame.informs("p99 without swaps, same server", quiet_p99, unit="ms")
    yield frame.informs("small swap, median", float(np.median(small)), unit="ms")
    if large:
        yield frame.informs("large swap, median", float(np.median(large)), unit="s")
