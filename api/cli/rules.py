"""`berth rules test`: a file of rules checked, its own tests run, and tried on recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.frame import Command, Talk

if TYPE_CHECKING:
    from alarms.rules.model import RuleSet
    from alarms.rules.trying import Use


def rules(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="`test`.")],
    file: Annotated[Path, typer.Argument(help="A file of rules.")],
    recorded: Annotated[
        Path | None, typer.Option(help="Also count what each rule does to this recording.")
    ] = None,
) -> None:
    """Check a file of rules and run the tests in it. Exit code 1 when one does not hold.

    Example: berth rules test rules.yaml
    """
    from alarms.rules.files import load_rules
    from alarms.rules.trying import outcomes
    from api.messages.files import read_text
    from api.report.rules import trials_text, uses_text
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    if verb != "test":
        message, fix = f"`berth rules {verb}` is not understood", "write `berth rules test FILE`"
        raise InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])
    found = load_rules(read_text(file, "rules"), str(file))
    came = outcomes(found)
    used = _uses(found, recorded) if recorded is not None else ()
    if talk.json:
        import json

        content = {
            "rules": len(found.rules),
            "tests": [
                {
                    "name": one.trial.name,
                    "holds": one.holds,
                    "found": one.found.value if one.found else "nothing",
                    "rules": list(one.rules),
                }
                for one in came
            ],
            "uses": [{"rule": use.rule, "verb": use.verb, "touched": use.touched} for use in used],
        }
        talk.result(json.dumps(content, sort_keys=True))
    else:
        text = [trials_text(found, came, talk.style())]
        text += [uses_text(used, talk.style())] if recorded is not None else []
        talk.result("\n\n".join(text))
    if not all(one.holds for one in came):
        raise typer.Exit(1)


def _uses(rules: RuleSet, recorded: Path) -> tuple[Use, ...]:
    """Return what each rule does to a recording."""
    from alarms.intake.alerts import firing_of
    from alarms.intake.recorded import read_recording
    from alarms.rules.trying import uses
    from api.messages.files import read_text

    recording = read_recording(read_text(recorded, "recording"), str(recorded))
    alarms = (firing_of(told, "recorded", at).alarm for at, told in recording.alerts)
    return uses(rules, recording.signals, alarms)


COMMANDS = {"rules": (Command, rules)}
