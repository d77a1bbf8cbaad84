"""Golden requests: examples sent over HTTP, to the server of an image, or to what serves."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import quote, urlsplit

from engine.model.errors import DamagedError, UnreachableError

_TOLERANCE = 1e-4
_SECONDS_MAX = 30.0
_OK = 200
_NAMES = {"labels": "label", "probabilities": "probability"}


def compare(
    endpoint: str, name: str, example: Mapping[str, Any], *, seconds_most: float = _SECONDS_MAX
) -> float:
    """Send the examples of a model to a server; return how long the answer took in seconds.

    seconds_most: how long an answer may take.

    Raises:
        UnreachableError: when it does not answer.
        DamagedError: when an answer is another than the one expected.
    """
    rows = cast("list[list[float | None]]", example["rows"])
    data = [value for row in rows for value in row]
    shape = [len(rows), len(rows[0])]
    tensor = {"name": "features", "shape": shape, "datatype": "FP64", "data": data}
    began = time.perf_counter()
    status, answer = _post(
        endpoint, f"/v2/models/{quote(name)}/infer", {"inputs": [tensor]}, seconds_most
    )
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


def _post(
    endpoint: str, path: str, document: Mapping[str, Any], seconds_most: float
) -> tuple[int, dict[str, Any]]:
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(
        address.hostname or "", address.port, timeout=seconds_most
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
