"""`berth demo`: the whole loop on real data, on this machine."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from api.cli.frame import Command, Talk

FAIL_WITH = "BERTH_DEMO_FAIL_WITH"
_EXAMPLES = Path(__file__).parents[2] / "examples"


def demo(
    context: typer.Context,
    *,
    leave: Annotated[bool, typer.Option("--exit", help="Stop when the story is told.")] = False,
    examples: Annotated[Path, typer.Option(help="Folder of the example documents.")] = _EXAMPLES,
    port: Annotated[int, typer.Option(help="Port of the engine, 0 for a free one.")] = 0,
    brief: Annotated[
        bool, typer.Option("--brief", help="Watch for less long, and do not look ahead.")
    ] = False,
    summary: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file, as JSON.")
    ] = None,
    crash_points: Annotated[
        Path | None, typer.Option(help="Kill the engine at each point named in this file.")
    ] = None,
) -> None:
    """Tell the whole story: plan, run, serve, a data fault, a cluster fault, capacity.

    The engine gets a data folder of its own (.berth-demo unless `--home` names another) and is
    kept serving at the end, unless `--exit` is given. Where it has clusters of Kubernetes,
    BERTH_DEMO_FAIL_WITH is the command by which the one that serves shall fail.
    """
    from api.cli.story import director

    talk: Talk = context.obj
    home = Path(str(talk.given.get("home") or ".berth-demo"))
    command = context.find_root().command

    def run(arguments: Sequence[str]) -> int:
        """Run another command in this process, as its user would."""
        try:
            code = command.main(list(arguments), prog_name="berth", standalone_mode=False)
        except typer.Exit as ended:
            return ended.exit_code
        return int(code or 0)

    listening = port or director.free_port()
    wish = director.Wish(
        home=home,
        examples=examples,
        port=listening,
        stay=not leave,
        brief=brief,
        fail_with=shlex.split(os.environ.get(FAIL_WITH, "")),
        crash_points=crash_points.read_text(encoding="utf-8").split() if crash_points else (),
        summary=summary,
    )
    # The commands of the story talk to its engine, and to nobody while it is being restarted.
    os.environ["BERTH_HOME"] = str(home)
    os.environ["BERTH_URL"] = f"http://127.0.0.1:{listening}"
    os.environ.setdefault("BERTH_COLUMNS", "100")
    raise typer.Exit(director.tell(wish, run))


COMMANDS = {"demo": (Command, demo)}
