"""`berth start`: brings the engine, its REST API and its pages together."""

from __future__ import annotations

import logging

from fastapi import FastAPI

from api.cli.frame import Talk
from api.messages.questions import SilenceQuestion
from api.rest import app as rest
from api.settings import Settings
from api.web import pages
from api.wiring import Application
from api.wiring.engine import EngineProcess
from executors.serving import logs


def serve(talk: Talk, settings: Settings) -> None:
    """Run the engine until it is told to stop."""
    logs.to_standard_error(logging.INFO)
    # It tells of each request with its address, and those of some channels are secrets.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # It tells of each look at the tables, at every start, even when there is nothing to do.
    logging.getLogger("alembic").setLevel(logging.WARNING)
    engine = EngineProcess(settings, faces)

    def ready(url: str) -> None:
        talk.say(f"Berth is at {url}, data folder {settings.home}. Stop it with Ctrl-C.")

    engine.run(ready)
    talk.say("Berth has stopped. Tasks that run go on; the next start adopts them.")


def faces(application: Application) -> FastAPI:
    """Return the API and the pages of an application."""
    app = rest.create(application)
    sources = pages.Sources(
        ledger=application.parts.ledger,
        clock=application.parts.clock,
        fleet=application.fleet,
        version=application.parts.version,
        acknowledge=application.acknowledge,
        silence=lambda name, seconds, why: application.silence(
            name, SilenceQuestion(seconds=seconds, because=why)
        ),
        context=application.context,
        hands=application.hands,
        trainings=application.trainings,
        is_stopped=lambda: application.parts.clock.is_stopped,
    )
    pages.mount(app, sources)
    return app
