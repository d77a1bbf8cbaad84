"""A stand-in for a managed batch service, for tests: `python -m berth_batch.service FOLDER`.

It runs commands as processes of this machine and keeps what it knows of them in a folder. The URL
is printed as the first line. It is as careful as a test needs, and no more.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from string import Template
from typing import Any

from berth_batch import packing

_PARTS_OF_A_JOB = 2


class Jobs:
    """Jobs by name; every change is made under one lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.known: dict[str, dict[str, Any]] = {}
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def submit(self, name: str, job: dict[str, Any]) -> None:
        """Start a job, unless there is one of the name."""
        with self.lock:
            if name in self.known:
                return
            place = self.folder / name
            for part in ("inputs", "outputs", "work"):
                (place / part).mkdir(parents=True)
            for task, digest in job["inputs"].items():
                self._lay(digest, place / "inputs" / task)
            (place / "parameters.json").write_text(json.dumps(job["parameters"]), "utf-8")
            variables = {
                **job["variables"],
                "BERTH_INPUTS": str(place / "inputs"),
                "BERTH_OUTPUTS": str(place / "outputs"),
                "BERTH_PARAMETERS": str(place / "parameters.json"),
                "BERTH_SIGNALS": str(place / "signals.jsonl"),
            }
            command = [Template(word).safe_substitute(variables) for word in job["command"]]
            with (self.folder / "started.log").open("a", encoding="utf-8") as log:
                log.write(f"{job['attempt']}\n")
            self.known[name] = self._job(name, job["attempt"])
            with (place / "log").open("wb") as output:
                self.running[name] = subprocess.Popen(
                    command,
                    cwd=place / "work",
                    env={**os.environ, **variables},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        threading.Thread(target=self._wait, args=(name,), daemon=True).start()

    def stop(self, name: str) -> bool:
        """Ask a job to end; whether there is one of the name."""
        with self.lock:
            if name not in self.known:
                return False
            if self.known[name]["state"] == "RUNNING":
                self.known[name]["message"] = "stopped on request"
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.killpg(self.running[name].pid, signal.SIGTERM)
            return True

    def listed(self) -> list[dict[str, Any]]:
        """Return what is known of every job."""
        with self.lock:
            return [dict(each) for each in self.known.values()]

    def close(self) -> None:
        """End everything that runs."""
        for name in list(self.running):
            self.stop(name)

    @staticmethod
    def _job(name: str, attempt: str) -> dict[str, Any]:
        return {
            "name": name,
            "attempt": attempt,
            "state": "RUNNING",
            "started_at": time.time(),
            "ended_at": None,
            "exit_code": None,
            "message": "",
            "cpu_seconds": 0.0,
            "memory_gib_peak": 0.0,
        }

    def _lay(self, digest: str, place: Path) -> None:
        partial = place.with_name(f".{place.name}")
        packed = self.folder / f"{digest.replace(':', '-')}.tar"
        packing.unpack(packed.read_bytes(), partial)
        (partial / packing.CONTENT).rename(place)
        partial.rmdir()

    def _wait(self, name: str) -> None:
        code = self.running[name].wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with self.lock:
            job = self.known[name]
            stopped = bool(job["message"]) and code != 0
            state = "STOPPED" if stopped else "FAILED" if code else "SUCCEEDED"
            job.update(
                state=state,
                ended_at=time.time(),
                exit_code=code,
                cpu_seconds=used.ru_utime + used.ru_stime,
                memory_gib_peak=used.ru_maxrss / 2**20,
            )
            if state == "FAILED":
                job["message"] = f"exit code {code}"


class Handler(BaseHTTPRequestHandler):
    """One request; `jobs` is set on the class that the server uses."""

    jobs: Jobs

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base has it
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer with all jobs, or with what one left."""
        if self.path == "/jobs":
            self._answer(200, json.dumps(self.jobs.listed()).encode())
            return
        outputs = self.jobs.folder / self.path.split("/")[2] / "outputs"
        self._answer(200, packing.pack(outputs))

    def do_PUT(self) -> None:
        """Take a job or an input."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind, name = self.path.strip("/").split("/", _PARTS_OF_A_JOB - 1)
        if kind == "jobs":
            self.jobs.submit(name, json.loads(body))
        else:
            (self.jobs.folder / f"{name.replace(':', '-')}.tar").write_bytes(body)
        self._answer(200, b"")

    def do_POST(self) -> None:
        """Stop a job."""
        found = self.jobs.stop(self.path.split("/")[2])
        self._answer(200 if found else 404, b"" if found else b"no such job")

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def serve(folder: Path) -> tuple[ThreadingHTTPServer, Jobs]:
    """Return a server on a free port of loopback, and its jobs; the caller runs and ends both."""
    jobs = Jobs(folder)
    handler = type("BoundHandler", (Handler,), {"jobs": jobs})
    return ThreadingHTTPServer(("127.0.0.1", 0), handler), jobs


if __name__ == "__main__":
    server, _ = serve(Path(sys.argv[1]))
    sys.stdout.write(f"http://127.0.0.1:{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
