"""Nodes that run a command together, as processes of this machine: `... together FOLDER -- WORDS`.

A local cluster has nodes only on paper, so the shim of such an attempt runs this instead of the
command. Each node gets what a pod of an Indexed Job gets: its number, where all meet, how many
workers it starts. The first has the attempt's outputs, the others a folder of their own. The first
that fails ends all, and its code, or its signal, is that of the whole.

Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from string import Template

WORKERS = "workers.json"
"""How many workers each node starts, in the folder of the attempt."""
_HOST = "127.0.0.1"
_PORTS = range(20_000, 32_768)
"""Where nodes meet: below those that Linux gives to whoever connects or asks for any port (ip(7),
`ip_local_port_range`), so that none is gone before the first node listens."""
_LOOK_SECONDS = 0.05
_GRACE_SECONDS = 5.0
_NOT_FOUND = 127


def variables(workers_of_nodes: Sequence[int], node: int, meeting: str) -> dict[str, str]:
    """Return what a node is told of those it works with; `torchrun` reads the second half.

    Kubeflow Trainer gives these names too. Nodes that start no workers know of one another only.
    """
    nodes, workers = len(workers_of_nodes), workers_of_nodes[node]
    told = {"BERTH_NODES": str(nodes), "BERTH_NODE": str(node), "BERTH_MEETING": meeting}
    if not workers:
        return told
    told |= {"BERTH_WORKERS": str(workers), "PET_NPROC_PER_NODE": str(workers)}
    if nodes == 1:
        return told | {"PET_STANDALONE": "1"}  # it finds its own place to meet
    host, _, port = meeting.rpartition(":")
    told |= {"PET_NNODES": str(nodes), "PET_NODE_RANK": str(node)}
    return told | {"PET_MASTER_ADDR": host.strip("[]"), "PET_MASTER_PORT": port}


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the command on all nodes; return 0, or the code of the first that failed."""
    folder, command = Path(arguments[0]), arguments[2:]
    workers: list[int] = json.loads((folder / WORKERS).read_bytes())
    with kept_port() as port:
        meeting = f"{_HOST}:{port}" if len(workers) > 1 else ""
        code = _run(command, environment, workers, meeting)
    if code < 0:  # ended by a signal, as the whole then is
        with contextlib.suppress(OSError):  # what cannot be caught has no handler to remove
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _run(
    command: Sequence[str], environment: Mapping[str, str], workers: Sequence[int], meeting: str
) -> int:
    """Run the command on all nodes to their end; return the code of the first that failed."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        for node in range(len(workers)):
            own = _environment(environment, variables(workers, node, meeting), node)
            words = [Template(word).safe_substitute(own) for word in command]
            nodes.append(subprocess.Popen(words, env=own))
        code = _first_failure(nodes, asked)
    except OSError as error:
        sys.stderr.write(f"cannot run {command[0]!r}: {error.strerror}\n")
        code = _NOT_FOUND
    # Who asked for the end also decides how long it may take, and kills what takes longer.
    _end(nodes, None if asked else _GRACE_SECONDS)
    return code


def _environment(own: Mapping[str, str], told: Mapping[str, str], node: int) -> dict[str, str]:
    """Return the environment of a node's command; outputs of others than the first are dropped."""
    found = {**own, **told}
    if node:
        outputs = Path(own["BERTH_ATTEMPT"]) / f"outputs-{node}"
        outputs.mkdir(exist_ok=True)
        found["BERTH_OUTPUTS"] = str(outputs)
    return found


def _first_failure(nodes: Sequence[subprocess.Popen[bytes]], asked: Sequence[int]) -> int:
    """Return the code of the first node that failed; 0 once all have ended well."""
    while True:
        codes = [node.poll() for node in nodes]
        failed = [code for code in codes if code]
        if failed:
            return failed[0]
        if all(code == 0 for code in codes):
            return 0
        if asked:
            return -signal.SIGTERM
        time.sleep(_LOOK_SECONDS)


def _end(nodes: Sequence[subprocess.Popen[bytes]], seconds: float | None) -> None:
    """Ask the nodes that still run to end, then make them; without `seconds` wait for them."""
    for node in nodes:
        if node.poll() is None:
            node.terminate()
    end = time.monotonic() + (seconds or 0.0)
    for node in nodes:
        try:
            node.wait(None if seconds is None else max(end - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()


@contextlib.contextmanager
def kept_port() -> Generator[int]:
    """Give a port that nobody listens on, and that no other attempt is given meanwhile.

    Raises:
        OSError: when there is none.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket(socket.AF_UNIX) as kept, socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                kept.bind(f"\0berth-meeting-{port}")  # no file; gone with this process
                probe.bind((_HOST, port))
            except OSError:
                continue
            probe.close()  # the first node listens on it
            yield port
            return
    raise OSError(errno.EADDRINUSE, "no port to meet at is free")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
