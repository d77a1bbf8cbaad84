"""Calls of tritonclient (22) and kserve (7) that our server answers as these clients expect.

Each client runs in a process and an environment of its own (`_peers`): tritonclient.grpc and
kserve cannot be imported together. A call counts when it returns what it should: true for states,
the right labels for inference. The server is started as its users start it, on an iris classifier.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import frame
from benchmarks.serving import _models, _peers, _servers

CALLS = {"tritonclient-http": 12, "tritonclient-grpc": 10, "kserve": 7}
ENVIRONMENTS = {
    "tritonclient-http": _peers.TRITONCLIENT,
    "tritonclient-grpc": _peers.TRITONCLIENT,
    "kserve": _peers.KSERVE,
}
ANCHOR = "Triton 27, MLServer 20, KServe 19"
SCRIPT = Path(__file__).with_name("_client_calls.py")
SECONDS_MAX = 180


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields how many calls of each client pass."""
    _models.write_skops(_models.logistic(), context.scratch / "repository" / "iris" / "1")
    passed = 0
    with _servers.ours(context.scratch / "repository", context.scratch) as server:
        for client, count in CALLS.items():
            good = calls(client, server)
            passed += good
            yield frame.informs(f"{client}: calls that pass, of {count}", good)
    total = sum(CALLS.values())
    yield frame.at_least(f"calls that pass, of {total}", passed, total, anchor=ANCHOR)


def calls(client: str, server: _servers.Address) -> int:
    """Returns how many calls of a client pass; says which do not."""
    python = _peers.interpreter(ENVIRONMENTS[client])
    if python is None:
        print(f"{client}: not run, its environment cannot be made here", file=sys.stderr)
        return 0
    addresses = [f"{server.host}:{server.port}", f"{server.host}:{server.grpc_port}"]
    # Away from this tree, whose packages would be found before the client's own.
    done = subprocess.run(
        [str(python), str(SCRIPT), client, *addresses],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        cwd=python.parent,
        check=False,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if len(found) != CALLS[client]:
        print(f"{client}: {len(found)} calls were made: {done.stderr[-500:]}", file=sys.stderr)
    for each in found:
        if not each["good"]:
            print(f"{client}: {each['call']} fails: {each['said']}", file=sys.stderr)
    return sum(each["good"] for each in found)
