"""A server of models that answers as Berth's own does when it is asked to swap, and tells windows.

A model whose digest stands in the file that its first argument names fails two requests in five.
"""

import json
import os
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

PAUSE_SECONDS = 0.2
REQUESTS = 100
broken = Path(sys.argv[1])
serving = {"digest": ""}


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        serving["digest"] = json.loads(self.rfile.read(length))["parameters"]["digest"]
        body = json.dumps({"digest": serving["digest"]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        del arguments


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
endpoint = Path(os.environ["BERTH_ENDPOINT"])
partial = endpoint.with_suffix(".part")
partial.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}"}))
partial.rename(endpoint)
chance = random.Random(5)
while True:
    is_broken = broken.exists() and serving["digest"] in broken.read_text()
    rate = 0.4 if is_broken else 0.01
    failed = sum(chance.random() < rate for _ in range(REQUESTS))
    line = {
        "name": "errors_share",
        "layer": "serving",
        "subject": f"model:{os.environ['BERTH_PIPELINE']}",
        "at": time.time(),
        "value": failed / REQUESTS,
        "shape": "share",
        "weight": REQUESTS,
    }
    with Path(os.environ["BERTH_SIGNALS"]).open("a") as file:
        file.write(json.dumps(line) + "\n")
    time.sleep(PAUSE_SECONDS)
