"""Registries of modelcars are asked whether they answer."""

from __future__ import annotations

import base64
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from executors.kubernetes.serving.registries import ask_registries
from executors.kubernetes.settings import ClusterSettings
from tests.support.registry_process import PROGRAM, RegistryProcess

LOGIN = "Basic " + base64.b64encode(b"ann:secret").decode()


class _Handler(BaseHTTPRequestHandler):
    """Lets in who logs in as ann; where `is_registry` is not, nothing is at `/v2/`."""

    is_registry = True

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == LOGIN
        status = 401 if not known else 200
        if self.path != "/v2/" or not self.is_registry:
            status = 404
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="berth"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Other(_Handler):
    is_registry = False


def served(handler: type[_Handler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def guarded() -> Iterator[str]:
    yield from served(_Handler)


@pytest.fixture
def other() -> Iterator[str]:
    yield from served(_Other)


def cluster(name: str, modelcars: str = "") -> ClusterSettings:
    return ClusterSettings(name=name, context=name, modelcars=modelcars)


def test_nobody_is_asked_where_pods_fetch_packages() -> None:
    assert not list(ask_registries([cluster("east")], {}))


@pytest.mark.skipif(
    PROGRAM is None and "CI" not in os.environ,
    reason="NOT RUN: there is no docker-registry (apt-get install docker-registry)",
)
def test_a_registry_that_answers_is_asked_once_for_all_its_clusters(tmp_path: Path) -> None:
    with RegistryProcess(tmp_path / "registry") as registry:
        places = [cluster(name, f"{registry.host}/{name}") for name in ("east", "west")]
        (found,) = ask_registries(places, {})
        assert (found.fine, found.host, found.fix) == (True, registry.host, "")
        assert found.message == "answers, and takes modelcars of east, west"
        registry.kill()
        (found,) = ask_registries(places, {})
        assert not found.fine
        assert "does not answer" in found.message
        assert "modelcars of east, west" in found.message
        assert "start it, or name another as `modelcars`" in found.fix


def test_a_registry_that_does_not_know_us_says_how_to_log_in(guarded: str, tmp_path: Path) -> None:
    places = [cluster("east", f"{guarded}/models")]
    (found,) = ask_registries(places, {})
    assert not found.fine
    assert "does not let in" in found.message
    assert found.fix == f"log in: docker login {guarded}"
    auth = {"auths": {guarded: {"auth": LOGIN.removeprefix("Basic ")}}}
    (tmp_path / "config.json").write_text(json.dumps(auth), "utf-8")
    (found,) = ask_registries(places, {"DOCKER_CONFIG": str(tmp_path)})
    assert found.fine


def test_what_is_no_registry_and_logins_that_cannot_be_read_are_named(
    other: str, tmp_path: Path
) -> None:
    places = [cluster("east", f"{other}/models")]
    (found,) = ask_registries(places, {})
    assert not found.fine
    assert "answers 404" in found.message
    (tmp_path / "config.json").write_text("{", "utf-8")
    (found,) = ask_registries(places, {"DOCKER_CONFIG": str(tmp_path)})
    assert "config.json" in found.message
    assert not found.fine
