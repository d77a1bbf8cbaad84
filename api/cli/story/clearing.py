"""Leaves nothing behind: tasks outlive the engine, so they have to be ended by it."""

from __future__ import annotations

import time
from collections.abc import Callable

from api.client.remote import Remote
from engine.model import errors
from engine.model.dispatches import RunState

LIMIT_SECONDS = 10.0
"""How long an engine that stays alive is given; one that was killed is given as long again."""
_PAUSE_SECONDS = 0.2
_QUIET_LOOKS = 2
# A loop of the engine may be starting something at the very moment of the first look.


def clear(
    engine: Remote,
    deaths: Callable[[], int],
    *,
    limit_seconds: float = LIMIT_SECONDS,
    pause_seconds: float = _PAUSE_SECONDS,
) -> str:
    """Call off what is active or serves, and wait until no attempt runs.

    Return what is still there after the limit, "" when nothing is.

    deaths: returns how often the engine was killed so far.

    Raises:
        RefusedError: when `deaths` does, because the engine is gone for good.
    """
    left, quiet, died = "", 0, deaths()
    ends = time.monotonic() + limit_seconds
    while quiet < _QUIET_LOOKS and time.monotonic() < ends:
        if (now_died := deaths()) != died:
            died, ends = now_died, time.monotonic() + limit_seconds
        try:
            left = _left(engine)
        except (errors.RetryableError, errors.NotFoundError) as error:
            left = error.message
        quiet = 0 if left else quiet + 1
        time.sleep(pause_seconds)
    return left


def _left(engine: Remote) -> str:
    """Call off whatever can be; return what runs, by the ids of its attempts."""
    serving = {deployment.run_id for deployment in engine.deployments()}
    live: list[str] = []
    for run in engine.runs():
        if run.state is RunState.ACTIVE or run.run_id in serving:
            _cancel(engine, run.run_id)
            live.append(run.run_id)
        live += [a.attempt_id for a in engine.attempts(run.run_id) if not a.state.is_terminal]
    return ", ".join(live)


def _cancel(engine: Remote, run_id: str) -> None:
    try:
        engine.cancel(run_id)
    except errors.RefusedError:
        # It ended, or gave way to another one, since it was listed.
        return
