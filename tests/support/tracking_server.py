"""MLflow's tracking server in memory, as its documents say it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Tracking(ThreadingHTTPServer):
    """A tracking server in memory: experiments, runs, and what was logged to them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.fails_at = ""
        self.logins: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"run{len(self.runs)}"
        info = {"run_id": name, "status": "RUNNING", "artifact_uri": f"mlflow-artifacts:/7/{name}"}
        self.runs[name] = {"info": info, **asked, "metrics": [], "params": []}
        return {"run": {"info": info}}

    def search(self, asked: dict[str, Any]) -> dict[str, Any]:
        wanted = asked["filter"].split("'")[1]
        found = [
            run
            for run in self.runs.values()
            if any(tag["value"] == wanted for tag in run["tags"]) and "gone" not in run
        ]
        return {"runs": [{"info": run["info"]} for run in found]}

    def log(self, asked: dict[str, Any]) -> dict[str, Any]:
        for kind in ("metrics", "params", "tags"):
            entries = asked.get(kind, [])
            assert len(entries) <= 100, "more than MLflow takes"
            assert all(str(entry["value"]) for entry in entries), "MLflow takes no empty value"
            self.runs[asked["run_id"]][kind] += entries
        return {}


class Handler(BaseHTTPRequestHandler):
    server: Tracking

    def do_GET(self) -> None:
        name = self.path.partition("experiment_name=")[2]
        if name in self.server.experiments:
            self.answer({"experiment": {"experiment_id": self.server.experiments[name]}})
        else:
            self.answer({"error_code": "RESOURCE_DOES_NOT_EXIST"}, 404)

    def do_PUT(self) -> None:
        self.server.artifacts[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        verb = self.path.removeprefix("/api/2.0/mlflow/")
        self.server.logins.add(self.headers.get("Authorization", ""))
        if verb == self.server.fails_at:
            self.answer({"error_code": "INTERNAL_ERROR"}, 500)
            return
        if verb == "experiments/create":
            self.server.experiments[asked["name"].replace(" ", "%20")] = "7"
            self.answer({"experiment_id": "7"})
        elif verb == "runs/update":
            self.server.runs[asked["run_id"]]["info"]["status"] = asked["status"]
            self.answer({})
        elif verb == "runs/delete":
            self.server.runs[asked["run_id"]]["gone"] = True
            self.answer({})
        else:
            does = {"runs/create": "create", "runs/search": "search", "runs/log-batch": "log"}
            self.answer(getattr(self.server, does[verb])(asked))

    def answer(self, document: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Generator[Tracking]:
    """A tracking server that answers until the block ends."""
    server = Tracking()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
