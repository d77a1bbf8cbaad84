"""The live view of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from api.report.statuses import run_text, waiting_text
from engine.model.dispatches import RunState

if TYPE_CHECKING:
    from api.cli.frame import Talk
    from api.client.remote import Remote
    from engine.model.progress import RunStatus


def follow(talk: Talk, engine: Remote, name: str, every: float) -> bool:
    """Show runs until all of them ended; return whether one of them did not succeed."""
    if sys.stdout.isatty() and not talk.json and not talk.quiet:
        last = _live(talk, engine, name, every)
    else:
        last = _lines(talk, engine, name, every)
    if talk.json:
        talk.value(last)
    return any(status.run.state is not RunState.SUCCEEDED for status in last)


def _live(talk: Talk, engine: Remote, name: str, every: float) -> Sequence[RunStatus]:
    """Redraw the table in place."""
    style = talk.style()
    console = Console(no_color=not style.colour, highlight=False, markup=False, emoji=False)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            statuses, now = _look(engine, name)
            text = "\n\n".join(run_text(status, style, now=now) for status in statuses)
            live.update(Text.from_ansi(text), refresh=True)
            if _all_ended(statuses):
                return statuses
            time.sleep(every)


def _lines(talk: Talk, engine: Remote, name: str, every: float) -> Sequence[RunStatus]:
    """Print a line for each change of a state."""
    seen: dict[str, str] = {}
    while True:
        statuses, _ = _look(engine, name)
        for status in statuses:
            for key, line in _states(status).items():
                if seen.get(key) != line and not talk.json and not talk.quiet:
                    talk.result(line)
                seen[key] = line
        if _all_ended(statuses):
            return statuses
        time.sleep(every)


def _states(status: RunStatus) -> dict[str, str]:
    """Return a line for the run and for each of its tasks."""
    run = status.run.run_id
    lines = {
        f"{run}/{task.task}": "\t".join(
            (run, task.task, task.state.value, task.cluster or "", waiting_text(task))
        ).rstrip()
        for task in status.tasks
    }
    return lines | {run: f"{run}\t{status.run.pipeline}\t{status.run.state.value}"}


def _look(engine: Remote, name: str) -> tuple[Sequence[RunStatus], float]:
    """Return the newest run of each pipeline that goes by this name, and the engine's time."""
    found = engine.status(name)
    newest: dict[str, RunStatus] = {}
    for status in sorted(found, key=lambda item: item.run.created_at):
        newest[status.run.pipeline] = status
    return list(newest.values()), engine.health().now


def _all_ended(statuses: Sequence[RunStatus]) -> bool:
    return all(status.run.state is not RunState.ACTIVE for status in statuses)
