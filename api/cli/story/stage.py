"""What the scenes play with: files, engine, teller, callers, and how to wait for things."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from api.cli.story import traffic, workspace
from api.cli.story.gate import Gate
from api.cli.story.supervisor import Supervisor
from api.cli.story.telling import Teller
from api.client.remote import Remote
from engine.model import errors

T = TypeVar("T")

PATIENCE_SECONDS = 300.0
PODS_PATIENCE_SECONDS = 600.0
"""Pods start in seconds where processes start in fractions of one."""
PAUSE_SECONDS = 0.2
UNREACHABLE = errors.UnreachableError.exit_code


class StoryError(errors.FinalError):
    """Something that the story promises did not happen."""

    default_code = "B010"


@dataclass(slots=True, kw_only=True)
class Stage:
    """What the scenes play with.

    fail_with: command that makes a cluster fail which is none of this machine's.
    patience_seconds: how long what is promised may take. callers: None until the model serves.
    """

    space: workspace.Workspace
    engine: Remote
    teller: Teller
    supervisor: Supervisor
    gate: Gate
    calm_seconds: float
    fail_with: Sequence[str] = ()
    patience_seconds: float = PATIENCE_SECONDS
    callers: traffic.Traffic | None = None

    def until(self, what: str, look: Callable[[], T | None]) -> T:
        """Return what `look` finds, asking again while it finds nothing or nobody answers.

        Patience begins anew with each death of the engine, of which there are only so many.

        Raises:
            StoryError: when patience runs out; it names what was waited for.
        """
        patience = self.patience_seconds
        ends = time.monotonic() + patience
        deaths = len(self.supervisor.deaths)
        why = ""
        while time.monotonic() < ends:
            self.supervisor.check()
            if len(self.supervisor.deaths) > deaths:
                deaths = len(self.supervisor.deaths)
                ends = time.monotonic() + patience
            try:
                found = look()
            except (errors.RetryableError, errors.NotFoundError) as error:
                found, why = None, f" ({error.message})"
            if found is not None:
                return found
            time.sleep(PAUSE_SECONDS)
        raise StoryError(f"waited {patience:.0f} s in vain for {what}{why}", fix="see engine.log")

    def insist(self, what: str, act: Callable[[], T]) -> T:
        """Return the outcome of a call, which is repeated while the engine does not answer."""
        return self.until(what, act)

    def command(self, *arguments: str) -> int:
        """Run a `berth` command and return its exit code.

        Raises:
            UnreachableError: when the engine was away, so that `insist` tries again.
        """
        code = self.teller.command(*arguments)
        if code == UNREACHABLE:
            raise errors.UnreachableError("the engine was away")
        return code

    def pause(self, seconds: float) -> None:
        """Let the story go on for a while."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            self.supervisor.check()
            time.sleep(PAUSE_SECONDS)
