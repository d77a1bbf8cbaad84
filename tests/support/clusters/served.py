"""Many API servers in one process: nodes and pods kept in memory, listed page by page and watched.

For what has to be seen at a scale that no real control planes fit into one machine. Cluster N is
at the path `/c-N` of one HTTPS port; what is written is what readers see, and nothing acts on it.

    python -m tests.support.clusters.served FOLDER CLUSTERS NODES PODS
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.support.clusters import certificates, nodes, programs

NODES = "/api/v1/nodes"
PODS = "/api/v1/pods"
BOOKMARK_SECONDS = 60.0
READY_SECONDS = 120.0
EVENTS_KEPT = 1_000
ZONES = "abc"


@dataclass(slots=True)
class Collected:
    """Objects of one path of one cluster, and the events since the start."""

    kind: str
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    version: int = 1
    events: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=EVENTS_KEPT))
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def write(self, verb: str, name: str, item: dict[str, Any] | None) -> None:
        """Take in a change and tell everybody who watches."""
        self.version += 1
        item = item or self.objects[name]
        item["metadata"]["resourceVersion"] = str(self.version)
        if verb == "DELETED":
            del self.objects[name]
        else:
            self.objects[name] = item
        self.events.append((self.version, line(verb, item)))
        async with self.changed:
            self.changed.notify_all()


def line(verb: str, item: dict[str, Any]) -> bytes:
    """Return an event as watches send it."""
    return json.dumps({"type": verb, "object": item}).encode() + b"\n"


class Served:
    """The clusters; each collection is made when it is first asked for."""

    def __init__(self, node_count: int, pods_per_node: int) -> None:
        self._node_count = node_count
        self._pods_per_node = pods_per_node
        self._known: dict[str, Collected] = {}

    def collection(self, path: str) -> Collected:
        """Return what is at a path such as `/c-3/api/v1/nodes`."""
        if path not in self._known:
            cluster, inside = path[1:].partition("/")[::2]
            made = Collected(kind="Node" if inside.endswith("nodes") else "Item")
            items = {NODES: self._nodes, PODS: self._pods}.get(f"/{inside}")
            for item in items(cluster) if items is not None else ():
                item["metadata"]["resourceVersion"] = "1"
                made.objects[item["metadata"]["name"]] = item
            self._known[path] = made
        return self._known[path]

    def _nodes(self, cluster: str) -> Iterator[dict[str, Any]]:
        for number in range(self._node_count):
            labels = {
                "eks.amazonaws.com/nodegroup": f"group-{number % 4}",
                "topology.kubernetes.io/zone": f"eu-west-1{ZONES[number % len(ZONES)]}",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
            }
            made = nodes.node(f"{cluster}-node-{number}", labels=labels)
            # What real nodes carry and nobody here reads: their images and addresses.
            made["status"]["images"] = [
                {"names": [f"registry.example/image-{image}@sha256:{'0' * 64}"], "sizeBytes": 1}
                for image in range(20)
            ]
            yield made

    def _pods(self, cluster: str) -> Iterator[dict[str, Any]]:
        for number in range(self._node_count * self._pods_per_node):
            requests = {"cpu": "250m", "memory": "512Mi"}
            yield {
                "metadata": {"namespace": "others", "name": f"pod-{number}"},
                "spec": {
                    "nodeName": f"{cluster}-node-{number % self._node_count}",
                    "containers": [{"name": "a", "resources": {"requests": requests}}],
                },
                "status": {"phase": "Running"},
            }


class Server:
    """Answers requests of one process."""

    def __init__(self, served: Served) -> None:
        self._served = served

    async def connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
        sizes = [
            int(each.partition(b":")[2])
            for each in head.lower().split(b"\r\n")
            if each.startswith(b"content-length:")
        ]
        body = await reader.readexactly(sizes[0]) if sizes else b""
        split = urlsplit(target)
        query = {key: values[0] for key, values in parse_qs(split.query).items()}
        if method != "GET":
            await self._write(method, split.path, body)
            writer.write(answer({}))
            return True
        if split.path.endswith("/version"):
            writer.write(answer({"gitVersion": "v1.36.2", "major": "1", "minor": "36"}))
            return True
        found = self._served.collection(split.path)
        if "watch" in query:
            await watch(found, int(query.get("resourceVersion", "0")), writer)
            return False
        writer.write(answer(page(found, query)))
        return True

    async def _write(self, method: str, path: str, body: bytes) -> None:
        if "/apis/authorization.k8s.io/" in path:
            return  # reviews of rights are kept nowhere: nobody has any
        where, _, name = path.rpartition("/")
        found = self._served.collection(where if method != "POST" else path)
        if method == "DELETE":
            await found.write("DELETED", name, None)
            return
        item: dict[str, Any] = json.loads(body)
        verb = "ADDED" if method == "POST" else "MODIFIED"
        await found.write(verb, item["metadata"]["name"], item)


def page(found: Collected, query: dict[str, str]) -> dict[str, Any]:
    """Return one page of a list."""
    start, limit = int(query.get("continue", "0")), int(query.get("limit", "500"))
    items = list(found.objects.values())
    metadata = {"resourceVersion": str(found.version)}
    if start + limit < len(items):
        metadata["continue"] = str(start + limit)
    return {"kind": f"{found.kind}List", "metadata": metadata, "items": items[start:][:limit]}


async def watch(found: Collected, version: int, writer: asyncio.StreamWriter) -> None:
    """Send events after a version, and bookmarks now and then, until the connection ends."""
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    while not writer.is_closing():
        for at, event in list(found.events):
            if at > version:
                writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        version = found.version
        await writer.drain()
        try:
            async with found.changed:
                if found.version == version:
                    await asyncio.wait_for(found.changed.wait(), BOOKMARK_SECONDS)
        except TimeoutError:
            mark = {"kind": found.kind, "metadata": {"resourceVersion": str(version)}}
            event = line("BOOKMARK", mark)
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))


def answer(content: dict[str, Any]) -> bytes:
    """Return a whole answer."""
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def kubeconfig(folder: Path, port: int, clusters: int) -> Path:
    """Write a kubeconfig with a context for each cluster."""
    base = f"https://127.0.0.1:{port}"
    names = [f"c-{number}" for number in range(clusters)]
    configs = [
        certificates.kubeconfig(folder, f"{base}/{name}", "reader", context=name) for name in names
    ]
    path = folder / "kubeconfig"
    certificates.write_kubeconfig(path, certificates.merged(configs))
    return path


def start(folder: Path, clusters: int, nodes_each: int, pods_per_node: int) -> programs.Running:
    """Start the server in a process of its own; the kubeconfig is in the folder afterwards."""
    folder.mkdir(parents=True, exist_ok=True)
    certificates.authority(folder)
    certificates.issue(folder, "reader", "/CN=reader")
    certificates.issue(folder, "server", "/CN=server", names="IP:127.0.0.1")
    counts = [str(clusters), str(nodes_each), str(pods_per_node)]
    command = [sys.executable, "-m", "tests.support.clusters.served", str(folder), *counts]
    made = programs.start("served", command, folder / "served.log")
    programs.wait_until((folder / "kubeconfig").exists, "the served fleet", READY_SECONDS)
    return made


async def main(arguments: list[str]) -> None:
    """Serve until killed."""
    folder, clusters = Path(arguments[0]), int(arguments[1])
    server = Server(Served(int(arguments[2]), int(arguments[3])))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    made = await asyncio.start_server(
        server.connection, "127.0.0.1", 0, ssl=context, backlog=1_000, limit=2**20
    )
    kubeconfig(folder, made.sockets[0].getsockname()[1], clusters)
    await made.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
