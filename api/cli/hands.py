"""Commands by which people say something about alarms: take, silence, split, merge, judge."""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names
from api.cli.frame import ChangingCommand, Talk

if TYPE_CHECKING:
    from api.client.remote import Remote
    from engine.model.alarms import SuperAlarm
    from engine.model.feedback import Silence, Verdict

AlarmName = Annotated[
    str,
    typer.Argument(metavar="ID", help="A super-alarm.", autocompletion=names.super_alarms),
]
Who = Annotated[str, typer.Option(help="Who says so [who runs the command].")]
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(min|m|h|d)")
_SECONDS = {"m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}


def acknowledge(
    context: typer.Context,
    name: AlarmName,
    who: Who = "",
    span: Annotated[str, typer.Option("--for", help="Call again after: 30m, 4h.")] = "4h",
) -> None:
    """Take a super-alarm: others see that somebody works on it.

    Example: berth ack SA-1
    """
    from api.messages.hands import TakeQuestion

    talk: Talk = context.obj
    question = TakeQuestion(who=_who(who), seconds=seconds_of(span))
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"{engine.super_alarm(name).super_alarm_id} would be acknowledged")
            return
        brief(talk, engine.hands.take(name, question))


def act(context: typer.Context, name: AlarmName, who: Who = "") -> None:
    """Have Berth do what it can about the likely cause: re-plan, retrain or roll back.

    Example: berth act SA-1
    """
    from api.messages.hands import ActQuestion

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"what Berth offers about {name} would be asked for")
            return
        talk.confirm(f"Have Berth act on the likely cause of {name}?")
        action = engine.hands.act(name, ActQuestion(who=_who(who)))
    if talk.json:
        talk.value(action)
    else:
        talk.result(
            f"{action.kind.value} of {action.subject} is asked for: berth alarms show {name}"
        )


def silence(
    context: typer.Context,
    what: Annotated[
        str,
        typer.Argument(
            metavar="ID|MATCHER",
            help="A super-alarm, or a matcher of alarms such as cluster=eu-1.",
            autocompletion=names.super_alarms,
        ),
    ],
    span: Annotated[str, typer.Argument(help="How long: 30m, 2h, 1d.")],
    because: Annotated[str, typer.Option(help="Why; it is kept with the silence.")],
    match: Annotated[
        list[str] | None, typer.Option(help="A further matcher; all must match.")
    ] = None,
    who: Who = "",
) -> None:
    """Keep a super-alarm quiet for a while, or all alarms that match, also those to come.

    Example: berth silence SA-1 2h --because "vendor is told"
    """
    from api.messages.hands import MatchersQuestion
    from api.messages.questions import SilenceQuestion

    talk: Talk = context.obj
    seconds = seconds_of(span)
    is_matcher = "=" in what or "!~" in what
    with doors.engine(talk) as engine:
        if is_matcher or match:
            wanted = MatchersQuestion(
                matchers=(what, *(match or ())), seconds=seconds, because=because, who=_who(who)
            )
            if talk.dry_run:
                talk.result(f"alarms with {' '.join(wanted.matchers)} would be silent for {span}")
                return
            _told(talk, engine.hands.silence(wanted))
            return
        if talk.dry_run:
            talk.result(f"{engine.super_alarm(what).super_alarm_id} would be silenced for {span}")
            return
        brief(talk, engine.silence(what, SilenceQuestion(seconds=seconds, because=because)))


def silences(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="`list`, or `end ID` for one of them.")] = "list",
    name: Annotated[str, typer.Argument(metavar="[ID]", help="A silence.")] = "",
    who: Who = "",
) -> None:
    """List silences with the alarms that they fold, or end one.

    Example: berth silences end S-abc123
    """
    from api.report.hands import silences_text

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        if verb == "end" and name:
            if talk.dry_run:
                talk.result(f"silence {name} would end")
                return
            _told(talk, engine.hands.end_silence(name, _who(who)))
            return
        if verb != "list" or name:
            raise _not_understood(
                f"silences {verb} {name}", "berth silences` or `berth silences end ID"
            )
        found = engine.hands.silences()
        if talk.json:
            talk.value(found)
            return
        foldings = engine.hands.foldings()
        now = engine.health().now
        talk.result(silences_text(found, foldings, talk.style(), now=now))


def split(
    context: typer.Context,
    name: AlarmName,
    matchers: Annotated[
        list[str], typer.Argument(help="Which alarms leave: cluster=eu-1, subject=~model:.*")
    ],
    who: Who = "",
) -> None:
    """Make a super-alarm of its own of some alarms; later ones of their series follow them.

    Example: berth split SA-1 cluster=eu-1
    """
    from api.messages.hands import SplitQuestion

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"alarms with {' '.join(matchers)} would leave {name}")
            return
        question = SplitQuestion(matchers=tuple(matchers), who=_who(who))
        kept, fresh = engine.hands.split(name, question)
        if talk.json:
            talk.value((kept, fresh))
            return
        brief(talk, kept)
        brief(talk, fresh)


def merge(context: typer.Context, name: AlarmName, other: AlarmName, who: Who = "") -> None:
    """Make two super-alarms one; the older id stays, and the other one still finds it.

    Example: berth merge SA-1 SA-2
    """
    from api.messages.hands import MergeQuestion

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"{name} and {other} would become one")
            return
        brief(talk, engine.hands.merge(name, MergeQuestion(other=other, who=_who(who))))


def feedback(
    context: typer.Context,
    name: AlarmName,
    verdict: Annotated[str, typer.Argument(help="`right` or `wrong`: the first cause.")],
    cause: Annotated[str, typer.Option(help="What it was instead.")] = "",
    check: Annotated[
        int, typer.Option(min=0, help="Judge the check of this cause instead: 1 is the first.")
    ] = 0,
    who: Who = "",
) -> None:
    """Say whether the first cause of a super-alarm was right; it is counted by month.

    With `--check` it is the verdict of a check that is judged; such checks are then believed less,
    or more, about causes of that kind.

    Example: berth feedback SA-1 wrong --cause "a full disk"
    """
    from api.messages.hands import FeedbackQuestion
    from api.report.hands import precision_text
    from engine.model.feedback import Verdict

    talk: Talk = context.obj
    if verdict not in set(Verdict):
        raise _not_understood(f"feedback {name} {verdict}", "berth feedback ID right|wrong")
    if check:
        if cause:
            raise _not_understood(
                f"feedback {name} {verdict} --check {check} --cause", f"berth feedback {name} wrong"
            )
        _judge_check(talk, name, check, Verdict(verdict), _who(who))
        return
    question = FeedbackQuestion(verdict=Verdict(verdict), cause=cause, who=_who(who))
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"the first cause of {name} would count as {verdict}")
            return
        given = engine.hands.feedback(name, question)
        if talk.json:
            talk.value(given)
            return
        talk.result(f"The first cause of {given.super_alarm_id} counts as {given.verdict.value}.")
        talk.result(precision_text(engine.hands.judged().months))


def _judge_check(talk: Talk, name: str, number: int, verdict: Verdict, who: str) -> None:
    """Say whether the check of a cause was right; number: of the cause, 1 for the first."""
    from api.messages.hands import CheckFeedbackQuestion
    from engine.model import checks
    from engine.model.errors import NotFoundError

    with doors.engine(talk) as engine:
        causes = engine.super_alarm(name).causes
        checked = causes[number - 1].checked if number <= len(causes) else None
        if checked is None or checked.verdict is checks.Verdict.OPEN:
            message = f"no check says anything of cause {number} of {name}"
            raise NotFoundError(message, fix=f"`berth alarms show {name}` lists what was checked")
        what = f"that a check {checked.verdict.value} cause {number} of {name}"
        if talk.dry_run:
            talk.result(f"{what} would count as {verdict.value}")
            return
        question = CheckFeedbackQuestion(
            check=checked.kind, subject=checked.subject, verdict=verdict, who=who
        )
        given = engine.hands.check_feedback(name, question)
    if talk.json:
        talk.value(given)
    else:
        talk.result(f"{what[0].upper()}{what[1:]} counts as {given.verdict.value}.")


def note(
    context: typer.Context,
    name: AlarmName,
    text: Annotated[str, typer.Argument(help="What the next one should know.")],
    who: Who = "",
) -> None:
    """Add a note to a super-alarm, for whoever takes over.

    Example: berth note SA-1 "the vendor answers at 9"
    """
    from api.messages.hands import NoteQuestion

    talk: Talk = context.obj
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"a note would be added to {name}")
            return
        brief(talk, engine.hands.note(name, NoteQuestion(text=text, who=_who(who))))


def brief(talk: Talk, group: SuperAlarm) -> None:
    """Print what a super-alarm is after it was changed."""
    from api.report.phrases import iso
    from api.report.tables import following

    if talk.json:
        talk.value(group)
    elif talk.quiet:
        talk.result(group.super_alarm_id)
    else:
        until = f" until {iso(group.silenced_until)}" if group.silenced_until else ""
        talk.result(f"{group.super_alarm_id} is {group.state.value}{until}: {group.title}")
        talk.result("\n" + following(f"berth alarms show {group.super_alarm_id}", "berth alarms"))


def _told(talk: Talk, silence: Silence) -> None:
    """Print a silence after it was made or ended."""
    from api.report.hands import silence_text

    if talk.json:
        talk.value(silence)
    elif talk.quiet:
        talk.result(silence.silence_id)
    else:
        talk.result(silence_text(silence))


def precision(engine: Remote) -> str:
    """Return how often first causes were right lately, as one line."""
    from api.report.hands import precision_text

    return precision_text(engine.hands.judged().months)


def _who(given: str) -> str:
    """Return who runs the command, unless somebody was named."""
    try:
        return given or getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def _not_understood(text: str, fix: str) -> Exception:
    from engine.model.errors import Fault, InvalidInputError

    message = f"`berth {text.strip()}` is not understood"
    fault = Fault(code="U001", message=message, fix=f"write `{fix}`")
    return InvalidInputError("the command line", [fault])


def seconds_of(text: str) -> float:
    """Return a span of time as seconds.

    Raises:
        InvalidInputError: when it is none.
    """
    from engine.model.errors import Fault, InvalidInputError

    found = _SPAN.fullmatch(text.strip())
    if found is None or not float(found[1]):
        message = f"{text!r} is no span of time"
        fault = Fault(code="S006", message=message, fix="write it as 30m, 2h or 1d")
        raise InvalidInputError("the command line", [fault])
    return float(found[1]) * _SECONDS[found[2]]


COMMANDS = {
    "ack": (ChangingCommand, acknowledge),
    "act": (ChangingCommand, act),
    "silence": (ChangingCommand, silence),
    "silences": (ChangingCommand, silences),
    "split": (ChangingCommand, split),
    "merge": (ChangingCommand, merge),
    "feedback": (ChangingCommand, feedback),
    "note": (ChangingCommand, note),
}
