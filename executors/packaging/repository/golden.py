"""Golden requests: examples sent over HTTP, to an image that is started, or to what serves."""

from __future__ import annotations

import http.client
import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from urllib.parse import quote, urlsplit

from engine.model.errors import DamagedError, UnreachableError
from executors.packaging.repository import gates
from executors.packaging.runtime import serve

_TOLERANCE = 1e-4
_SECONDS_MAX = 30.0
_OK = 200
_NAMES = {"labels": "label", "probabilities": "probability"}


def compare(endpoint: str, name: str, example: Mapping[str, Any]) -> float:
    """Send the examples of a model to a server; return how long the answer took in seconds.

    Raises:
        UnreachableError: when it does not answer.
        DamagedError: when an answer is another than the one expected.
    """
    rows = cast("list[list[float | None]]", example["rows"])
    data = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "features", "shape": shape, "datatype": "FP64", "data": data}
    began = time.perf_counter()
    status, answer = _post(endpoint, f"/v2/models/{quote(name)}/infer", {"inputs": [tensor]})
    seconds = time.perf_counter() - began
    if status != _OK:
        message = f"{endpoint!r} answers {status} to the golden requests: {answer.get('error')}"
        raise DamagedError(message, fix="repair the model, then push again")
    found = {output["name"]: output["data"] for output in answer.get("outputs", ())}
    wanted = example.get("outputs") or {"labels": example["labels"]}
    for key, values in wanted.items():
        mine = found.get(_NAMES.get(key, key))
        flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
        if mine is None or len(mine) != len(flat) or not all(map(_near, mine, flat)):
            message = f"{endpoint!r} answers the golden requests wrongly (output {key!r})"
            raise DamagedError(message, fix="repair the model, then push again")
    return seconds


def _near(mine: object, theirs: object) -> bool:
    if isinstance(mine, (int, float)) and isinstance(theirs, (int, float)):
        return math.isclose(mine, theirs, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
    return mine == theirs


def _post(endpoint: str, path: str, document: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=_SECONDS_MAX
    )
    try:
        connection.request("POST", path, json.dumps(document), {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        message = f"{endpoint!r} does not answer the golden requests: {error}"
        raise UnreachableError(message, fix="wait until it is up, then repeat") from error
    finally:
        connection.close()
    return response.status, answer if isinstance(answer, dict) else {}


class Started:
    """The server of an image, started from the image's own files without a container.

    files: of the layer of the model; site: the unpacked layer of libraries, None for none.
    """

    def __init__(self, files: Mapping[str, bytes], site: Path | None, scratch: Path) -> None:
        self._folder = scratch / "models"
        gates.lay_out(files, self._folder)
        self._variables = {
            **gates.variables(self._folder, site),
            "HOST": "127.0.0.1",
            "PORT": "0",
        }
        self.endpoint = ""

    def __enter__(self) -> Started:
        """Start it and wait until it serves.

        Raises:
            DamagedError: when it ends or says nothing; with its last words.
        """
        self._process = subprocess.Popen(
            [sys.executable, str(Path(serve.__file__))],
            env=self._variables,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        line = cast("Any", self._process.stdout).readline().decode(errors="replace")
        found = re.search(r"at port (\d+)", line)
        if found is None:
            self._process.kill()
            said = self._process.communicate()[1].decode(errors="replace").strip()[-500:]
            raise DamagedError(
                f"the image does not serve: {said}", fix="repair it, then push again"
            )
        self.endpoint = f"http://127.0.0.1:{found[1]}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
