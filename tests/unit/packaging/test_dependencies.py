"""Requirements that cannot be installed: whose fault it is, and what the layer's key says."""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.model.errors import InvalidInputError, RetryableError
from executors.packaging.oci.dependencies import Installer, Wanted
from executors.packaging.oci.layers import LayerCache

ABSENT = "berth-has-no-such-library==9.9"
NOWHERE = "http://127.0.0.1:9/simple"


def wanted(*lines: str) -> Wanted:
    return Wanted(requirements="\n".join(lines), version="3.11")


def installer(**variables: str) -> Installer:
    return Installer({"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **variables})


@pytest.fixture
def empty_index() -> Iterator[str]:
    """A package index that has no package."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Nothing)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/simple"
    server.shutdown()
    server.server_close()
    thread.join(10)


class Nothing(http.server.BaseHTTPRequestHandler):
    """Has no page."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_requirements_that_do_not_resolve_are_the_models_fault(
    tmp_path: Path, empty_index: str
) -> None:
    quick = {"UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path), "PIP_RETRIES": "0"}
    nothing = installer(UV_DEFAULT_INDEX=empty_index, PIP_INDEX_URL=empty_index, **quick)
    with pytest.raises(InvalidInputError, match="berth-has-no-such-library") as caught:
        nothing.layer(wanted(ABSENT), LayerCache(tmp_path / "layers"))
    assert [fault.code for fault in caught.value.faults] == ["M001"]


def test_an_index_that_does_not_answer_is_asked_again_later(tmp_path: Path) -> None:
    uv = {"UV_DEFAULT_INDEX": NOWHERE, "UV_HTTP_RETRIES": "0", "UV_CACHE_DIR": str(tmp_path)}
    away = installer(PIP_INDEX_URL=NOWHERE, PIP_RETRIES="0", **uv)
    with pytest.raises(RetryableError, match="does not answer"):
        away.layer(wanted(ABSENT), LayerCache(tmp_path / "layers"))


def test_the_key_of_a_layer_is_that_of_its_requirements() -> None:
    assert wanted("a==1", "b==2").key == wanted("b==2", "", "a==1").key
    assert wanted("a==1").key != wanted("a==2").key
