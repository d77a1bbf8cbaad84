"""What a command talks to: the running engine, or the same application in this process."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.frame import Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from api.settings import Settings
    from api.wiring import Application


def settings_of(talk: Talk, **more: object) -> Settings:
    """Return the settings of this call: arguments, environment, file, defaults."""
    from api.settings import load

    return load({**talk.given, **more}, environment=os.environ, folder=Path.cwd())


@contextmanager
def engine(talk: Talk) -> Generator[Remote]:
    """Yield the running engine.

    Raises:
        UnreachableError: when none runs on the data folder.
    """
    from api.client import discovery
    from api.client.remote import Remote

    url = address(talk)
    if not url:
        home = settings_of(talk).home
        raise discovery.not_running(f"on data folder {str(home)!r}")
    remote = Remote(url)
    try:
        yield remote
    finally:
        remote.close()


@contextmanager
def either(
    talk: Talk, *, sends_fleet: bool = False, **more: object
) -> Generator[Remote | Application]:
    """Yield the running engine, or where none runs the application on the data folder.

    sends_fleet: whether the command sends the fleet named by `--fleet` with its question.
    more: settings from options of the command itself.
    """
    if address(talk):
        if talk.given.get("fleet") and not sends_fleet:
            talk.say("note: the running engine has a fleet of its own; --fleet is not used")
        with engine(talk) as remote:
            yield remote
        return
    with local(talk, **more) as application:
        yield application


@contextmanager
def local(talk: Talk, **more: object) -> Generator[Application]:
    """Yield the application on the data folder, whether an engine runs there or not."""
    from api.wiring import Application, build

    application = Application(build(settings_of(talk, **more)))
    try:
        yield application
    finally:
        application.close()


def address(talk: Talk) -> str:
    """Return the base URL of the running engine, "" when there is none."""
    from api.client import discovery

    home = Path(str(talk.given.get("home") or os.environ.get("BERTH_HOME") or ".berth"))
    return talk.url or discovery.find_engine(home, os.environ) or ""
