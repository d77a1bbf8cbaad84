"""Live names for shell completion; where nothing answers, there is nothing to complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from api.cli.frame import Talk

if TYPE_CHECKING:
    from api.client.remote import Remote

_SECONDS = 1.0


def plans(incomplete: str) -> list[str]:
    """Return ids of plans."""
    return _names(incomplete, lambda engine: (item.plan_id for item in engine.plans(20)))


def runs(incomplete: str) -> list[str]:
    """Return ids of runs, and names of pipelines that ran."""
    return _names(
        incomplete,
        lambda engine: (name for run in engine.runs(20) for name in (run.run_id, run.pipeline)),
    )


def clusters(incomplete: str) -> list[str]:
    """Return names of clusters."""
    return _names(incomplete, lambda engine: (c.name for c in engine.fleet().clusters))


def super_alarms(incomplete: str) -> list[str]:
    """Return ids of super-alarms."""
    return _names(
        incomplete, lambda engine: (item.super_alarm_id for item in engine.super_alarms(20))
    )


def _names(incomplete: str, ask: Callable[[Remote], Iterable[str]]) -> list[str]:
    from api.cli.doors import address
    from api.client.remote import Remote
    from engine.model.errors import BerthError

    url = address(Talk())
    if not url:
        return []
    engine = Remote(url, timeout_seconds=_SECONDS)
    try:
        return [name for name in dict.fromkeys(ask(engine)) if name.startswith(incomplete)]
    except BerthError:
        return []
    finally:
        engine.close()
