"""Puts the scenes in order: `berth demo`."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from api.cli.story import clearing, recorded, scenes, workspace
from api.cli.story.gate import Gate
from api.cli.story.recorded import Figure
from api.cli.story.stage import PATIENCE_SECONDS, PODS_PATIENCE_SECONDS, Stage, StoryError
from api.cli.story.supervisor import EngineCommand, Supervisor
from api.cli.story.telling import Teller
from api.client.remote import Remote
from engine.model import errors

MARK = "berth-demo"
"""A file of this name marks a data folder that the demo made and may replace."""
CLOCK_FACTOR = 60.0
"""A window of a minute lasts a second; waits and cadences scale, measurements do not."""
SEED = 7
CALM_SECONDS = 12.0
BRIEF_CALM_SECONDS = 6.0

Act = Callable[[Stage], scenes.Outcome]
ACTS: tuple[Act, ...] = (scenes.serve, scenes.data_fault, scenes.cluster_fault)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How the story is to be told.

    home: data folder, made anew; examples: where the example documents are.
    port: of the engine, 0 for a free one; stay: keep serving at the end.
    brief: without the scene that looks ahead, whose forecast takes the longest.
    fail_with: command that makes a cluster fail which is none of this machine's.
    crash_points: where the engine is killed on the way; summary: where figures are written.
    """

    home: Path
    examples: Path
    port: int = 0
    stay: bool = True
    brief: bool = False
    fail_with: Sequence[str] = ()
    crash_points: Sequence[str] = ()
    environment: Mapping[str, str] | None = None
    summary: Path | None = None


@dataclass(slots=True)
class Summary:
    """What is told at the end, by name: read from the store, and counted from outside."""

    stored: dict[str, Figure] = field(default_factory=dict)
    counted: dict[str, str | int | float] = field(default_factory=dict)

    def values(self) -> dict[str, str | int | float]:
        """Return all figures without their sources."""
        return {**{name: figure.value for name, figure in self.stored.items()}, **self.counted}


def tell(wish: Wish, run: Callable[[Sequence[str]], int]) -> int:
    """Tell the story and return the exit code.

    run: runs a `berth` command line in this process and returns its exit code.
    """
    home = fresh(wish.home)
    space = workspace.prepare(home, wish.examples.resolve(), seed=SEED)
    port = wish.port or free_port()
    supervisor = Supervisor(_engine(space, port, wish), wish.crash_points)
    engine = Remote(f"http://127.0.0.1:{port}")
    gate = Gate(engine.url, free_port(), home / "gateway.log")
    stage = Stage(
        space=space,
        engine=engine,
        teller=Teller(sys.stdout, run),
        supervisor=supervisor,
        gate=gate,
        calm_seconds=BRIEF_CALM_SECONDS if wish.brief else CALM_SECONDS,
        fail_with=wish.fail_with,
        patience_seconds=PODS_PATIENCE_SECONDS if wish.fail_with else PATIENCE_SECONDS,
    )
    summary = Summary()
    # Whoever ends the story ends what it started.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    supervisor.start()
    try:
        _play(stage, summary, ACTS if wish.brief else (*ACTS, scenes.capacity))
        _conclude(stage, summary, port)
        if not wish.stay:
            _say_where(space)
        if wish.stay:
            _stay(stage, port)
    except KeyboardInterrupt:
        stage.teller.say("stopped by hand")
    finally:
        if wish.summary is not None:
            told = {**summary.values(), "engine death points": supervisor.deaths}
            wish.summary.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        try:
            # Callers go last: a model that serves on without any is an alarm of its own.
            _clear(stage)
        finally:
            gate.stop()
            if stage.callers is not None:
                stage.callers.stop()
            supervisor.stop()
            engine.close()
    return 0


def fresh(home: Path) -> Path:
    """Return an empty data folder; one that an earlier demo made is removed first.

    Raises:
        RefusedError: when the folder holds something that no demo made.
    """
    if home.exists() and any(home.iterdir()) and not (home / MARK).exists():
        raise errors.RefusedError(
            f"the folder {str(home)!r} is not empty and was not made by the demo",
            fix="name another folder with `--home`",
        )
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / MARK).touch()
    return home.resolve()


def free_port() -> int:
    """Return a port on the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _engine(space: workspace.Workspace, port: int, wish: Wish) -> EngineCommand:
    return EngineCommand(
        home=space.home,
        arguments=[
            *("--home", str(space.home), "--fleet", str(space.fleet), "--rules", str(space.rules)),
            *("--history", str(space.history)),
            *("--port", str(port), "--clock-factor", str(CLOCK_FACTOR)),
        ],
        environment=wish.environment or {},
    )


def _play(stage: Stage, summary: Summary, acts: Sequence[Act]) -> None:
    stage.teller.scene("Start: the engine with its embedded defaults")
    health = stage.until("the engine to answer", stage.engine.health)
    stage.teller.say(f"Berth {health.version} answers at {stage.engine.url}")
    stage.gate.start()
    plan_id = scenes.plan(stage)
    run_id = scenes.run(stage, plan_id)
    summary.stored.update({"plan": Figure(value=plan_id), "run": Figure(value=run_id)})
    for outcome in [act(stage) for act in acts]:
        summary.stored.update({name: Figure(value=v) for name, v in outcome.figures.items()})
        for stretch in outcome.stretches:
            # Read when all is over: by now the watch loop has stored the last window of each.
            look = partial(recorded.figures, stage.engine.signals, scenes.PIPELINE, stretch)
            summary.stored.update(stage.insist("the signals of the model", look))
        summary.counted.update(outcome.callers)
    summary.counted["engine deaths"] = len(stage.supervisor.deaths)
    summary.counted["seconds"] = round(stage.teller.seconds, 1)


def _conclude(stage: Stage, summary: Summary, port: int) -> None:
    stage.teller.scene("What happened: read back from the store")
    width = max(len(name) for name in (*summary.stored, *summary.counted))
    for name, figure in summary.stored.items():
        source = f"  {figure.source}" if figure.source else ""
        sys.stdout.write(f"{name:<{width}}  {figure.value}{source}\n")
    stage.teller.scene("What happened: as the callers of the model counted, and this command")
    for name, value in summary.counted.items():
        sys.stdout.write(f"{name:<{width}}  {value}\n")
    sys.stdout.write(f"\nThe whole story with its reasons: http://127.0.0.1:{port}/\n")
    sys.stdout.flush()


def _say_where(space: workspace.Workspace) -> None:
    """Say how to see the pages once the engine that the story started has ended."""
    again = f"berth start --home {space.home} --fleet {space.fleet}"
    sys.stdout.write(f"The engine ends now; this shows the pages again:\n  {again}\n")
    sys.stdout.flush()


def _stay(stage: Stage, port: int) -> None:
    sys.stdout.write(f"Serving at http://127.0.0.1:{port}/ until Ctrl-C.\n")
    sys.stdout.flush()
    while True:
        stage.pause(3_600.0)


def _clear(stage: Stage) -> None:
    """End the tasks and servers that the story started; they would outlive the engine."""

    def deaths() -> int:
        stage.supervisor.check()
        return len(stage.supervisor.deaths)

    try:
        left = clearing.clear(stage.engine, deaths)
    except errors.BerthError as error:
        left = error.message
    if left:
        stage.teller.say(f"could not end everything: {left}")


__all__ = ["StoryError", "Wish", "free_port", "fresh", "tell"]
