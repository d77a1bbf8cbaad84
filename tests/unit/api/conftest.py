from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.testclient import TestClient

from api.client import Client
from api.rest import app as rest
from api.settings import Settings
from api.wiring import Application, build
from engine import documents
from tests.support.faces import FLEET, PIPELINE, until


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", work_limit=1.0)


@pytest.fixture
def application(settings: Settings) -> Iterator[Application]:
    fleet = documents.read_fleet(FLEET, name="fleet.yaml")
    made = Application(build(settings, fleet=fleet))
    yield made
    made.close()


@pytest.fixture
def http(application: Application) -> Iterator[TestClient]:
    with TestClient(rest.create(application), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def pipeline_file(tmp_path: Path) -> Path:
    path = tmp_path / "churn.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def served(application: Application) -> Iterator[str]:
    """The base URL of the application behind a real server."""
    # Without logging of its own, for which it closes the handlers of others: that of absl, which
    # OR-Tools imports, then closes its stream, and that is where pytest keeps what tests print.
    config = uvicorn.Config(rest.create(application), port=0, log_level="error", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until(lambda: server.started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(60)


@pytest.fixture
def client(served: str) -> Iterator[Client]:
    with Client(served) as made:
        yield made
