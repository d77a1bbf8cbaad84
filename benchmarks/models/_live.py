"""A live service for benchmarks: the engine as a process, its tasks, its model, callers with load.

It is the stage of `berth demo`: heart records are split, one part is what the pipeline trains on,
the other is replayed by callers who send the truth half a second later.
"""

import dataclasses
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from api.cli.story import clearing, director, scenes, traffic, workspace
from api.cli.story.gate import Gate
from api.cli.story.stage import Stage
from api.cli.story.supervisor import EngineCommand, Supervisor
from api.cli.story.telling import Teller
from api.client.remote import Remote
from engine.model import errors

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
CLOCK_FACTOR = 60.0
SEED = 7
PATIENCE_SECONDS = 300.0
_PARTS = 4

Truth = Callable[[Mapping[str, str], int], int]
"""Of a record and its label: the label from now on."""


@contextmanager
def stage(home: Path, heart: Path) -> Iterator[Stage]:
    """Yields a stage whose model serves and is called; everything is ended afterwards."""
    home = director.fresh(home)
    space = prepared(home, heart)
    port = director.free_port()
    supervisor = Supervisor(
        EngineCommand(
            home=home,
            arguments=(
                *("--home", str(home), "--fleet", str(space.fleet), "--rules", str(space.rules)),
                *("--history", str(space.history), "--port", str(port)),
                *("--clock-factor", str(CLOCK_FACTOR)),
            ),
        )
    )
    engine = Remote(f"http://127.0.0.1:{port}")
    gate = Gate(engine.url, director.free_port(), home / "gateway.log")
    environment = {
        **os.environ,
        "BERTH_HOME": str(home),
        "BERTH_URL": f"http://127.0.0.1:{port}",
    }
    with (home / "story.txt").open("w", encoding="utf-8") as out:

        def run(arguments: Sequence[str]) -> int:
            command = [sys.executable, "-m", "berth", *arguments]
            return subprocess.run(
                command, check=False, env=environment, stdout=out, stderr=out
            ).returncode

        made = Stage(
            space=space,
            engine=engine,
            teller=Teller(out, run),
            supervisor=supervisor,
            gate=gate,
            calm_seconds=12.0,
            patience_seconds=PATIENCE_SECONDS,
        )
        supervisor.start()
        try:
            made.until("the engine to answer", engine.health)
            gate.start()
            plan_id = scenes.plan(made)
            scenes.run(made, plan_id)
            scenes.serve(made)
            yield made
        finally:
            gate.stop()
            if made.callers is not None:
                made.callers.stop()
            try:
                clearing.clear(engine, lambda: len(supervisor.deaths))
            except errors.BerthError as error:
                made.teller.say(error.message)
            supervisor.stop()
            engine.close()


def prepared(home: Path, heart: Path) -> workspace.Workspace:
    """Returns the workspace of the demo with the records of a file of the same columns."""
    space = workspace.prepare(home, EXAMPLES, seed=SEED)
    rows = workspace.read_rows(heart)
    random.Random(SEED).shuffle(rows)
    count = len(rows) // 3
    workspace.write_rows(space.upstream, rows[:-count])
    held_out = rows[-count:]
    return dataclasses.replace(
        space,
        held_out=tuple({k: float(v) for k, v in row.items() if k != "target"} for row in held_out),
        labels=tuple(int(row["target"]) for row in held_out),
    )


def unchanged(record: Mapping[str, str], label: int) -> int:
    """Returns the label as the file has it."""
    del record
    return label


def drift(made: Stage, truth: Truth, *, ramp_seconds: float, before: Truth = unchanged) -> None:
    """Lets the truth change: upstream at once, for callers in four steps over some seconds.

    `before` is what was true until then.
    """
    rows = workspace.read_rows(made.space.upstream)
    changed = [{**row, "target": str(truth(row, int(row["target"])))} for row in rows]
    workspace.write_rows(made.space.upstream, changed)
    callers = playing(made)
    for part in range(1, _PARTS + 1):
        callers.relabel(partly(truth, part / _PARTS, before))
        if part < _PARTS:
            made.pause(ramp_seconds / _PARTS)


def partly(truth: Truth, share: float, before: Truth) -> Callable[[workspace.Record, int], int]:
    """Returns the same of a record with numbers."""
    of_words = partly_of(truth, share, before)
    return lambda record, label: of_words({k: repr(v) for k, v in record.items()}, label)


def playing(made: Stage) -> traffic.Traffic:
    """Returns the callers of a stage that has some."""
    if made.callers is None:
        raise RuntimeError("nobody calls the model")
    return made.callers


def partly_of(truth: Truth, share: float, before: Truth) -> Truth:
    """Returns what is true while a change has come to a share of the records only."""

    def label_of(words: Mapping[str, str], label: int) -> int:
        changed = random.Random(repr(sorted(words.items()))).random() < share
        return truth(words, label) if changed else before(words, label)

    return label_of


def told(made: Stage) -> str:
    """Returns super-alarms and actions, for whoever reads a failed figure."""
    groups = made.insist("the super-alarms", made.engine.super_alarms)
    lines = []
    for group in groups:
        causes = ", ".join(f"{cause.title} {cause.belief:.2f}" for cause in group.causes[:3])
        lines.append(f"{group.super_alarm_id} {group.state.value}: {causes}")
    for action in made.insist("the actions", made.engine.actions):
        guards = ", ".join(f"{one.name} {one.allows}" for one in action.guards)
        lines.append(
            f"{action.kind.value} {action.state.value} at {action.wanted_at:.0f}: {guards}"
        )
    return "\n".join(lines)


def waited(made: Stage, seconds: float, done: Callable[[], bool]) -> float:
    """Returns how long it took until something held, at most so many seconds."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and not done():
        made.pause(0.5)
    return time.monotonic() - began
