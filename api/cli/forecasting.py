"""Commands about what is known: profiles, forecasts of demand, and what was learned."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, outputs
from api.cli.frame import ChangingCommand, FleetCommand, Talk

if TYPE_CHECKING:
    from engine.model.capacity import DemandFan

_PIPELINES = frozenset({".yaml", ".yml", ".json"})


def forecast(  # noqa: PLR0913 - each is an option of the command
    context: typer.Context,
    subject: Annotated[
        str,
        typer.Argument(
            metavar="[FILE|POOL]", help="CSV of past demand, or a pool of BERTH_DEMAND."
        ),
    ] = "",
    *,
    pool: Annotated[str, typer.Option(help="One pool of the file; all of them without it.")] = "",
    total: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PART,...", help="A series that is a sum; `*` in a part: any text."
        ),
    ] = None,
    horizon: Annotated[str, typer.Option(help="How far ahead: 48h, 14d.")] = "7d",
    png: Annotated[Path | None, typer.Option(help="Also draw it into this PNG file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Also draw it into this SVG file.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the models.", min=0)] = None,
    as_of: Annotated[str, typer.Option(help="As if it were this ISO instant.")] = "",
    holidays: Annotated[
        Path | None, typer.Option(help="Holidays, past and to come: a date a line.")
    ] = None,
) -> None:
    """Forecast demand as a fan of quantiles, with what the method did on past nights.

    Example: berth forecast demand.csv --pool A100 --horizon 14d --png demand.png
    """
    from api.cli.operating import demand_text, hours_of
    from api.cli.planning import instant
    from api.messages.files import read_text
    from api.messages.questions import ForecastQuestion
    from api.report.forecasts import forecast_text

    talk: Talk = context.obj
    path = Path(subject)
    _refuse_pipeline(path)
    is_file = bool(subject) and (path.suffix == ".csv" or path.is_file())
    question = ForecastQuestion(
        pool=pool if is_file or not subject else subject,
        totals=_totals(total or ()),
        horizon_hours=hours_of(horizon),
        seed=seed,
        as_of=instant(as_of) if as_of else None,
        demand=demand_text(path) if is_file else "",
        source=path.name if is_file else "",
        holidays=read_text(holidays, "holidays") if holidays else "",
        zone=talk.style().zone,
    )
    talk.say("forecasting ...")
    with doors.either(talk) as door:
        fans = door.forecast(question)
    _draw(talk, png, fans, png=True)
    _draw(talk, svg, fans, png=False)
    if talk.json:
        talk.value(fans)
    elif talk.quiet:
        talk.result("\n".join(fan.forecast.pool for fan in fans))
    else:
        rerun = " ".join(filter(None, ("berth forecast", subject, "--png FILE")))
        talk.result(forecast_text(fans, talk.style(), rerun=rerun))


def profile(
    context: typer.Context,
    task: Annotated[str, typer.Argument(metavar="TASK", help="TASK or PIPELINE/TASK.")],
    *,
    history: Annotated[
        bool, typer.Option("--history", help="Show the runs behind it, and what was told of them.")
    ] = False,
) -> None:
    """Say what a task's next run will need, with the evidence for it.

    Example: berth profile churn/train --history
    """
    from api.report.profiles import history_text, profile_page
    from api.report.sizes import size_text

    talk: Talk = context.obj
    with doors.either(talk) as door:
        found = door.task_history(task)
    if talk.json:
        talk.value(found)
        return
    blocks = []
    if found.profile is not None:
        key = f"{found.pipeline}/{found.task}"
        blocks.append(profile_page(key, found.profile, talk.style()))
    if found.size is not None:
        blocks.append(size_text(found.size, talk.style()))
    if history or found.profile is None:
        blocks.append(history_text(found, talk.style()))
    talk.result("\n\n".join(blocks))


def learning(
    context: typer.Context,
    verb: Annotated[
        str, typer.Argument(help="`show`, `refit` to learn anew, `rollback` to the version before.")
    ] = "show",
) -> None:
    """Show what was learned of all runs and whether its promises were kept; refit, or go back.

    Example: berth learning rollback
    """
    from api.report.profiles import learning_text, version_text
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    if verb not in {"show", "refit", "rollback"}:
        fix = "write `berth learning`, `berth learning refit` or `berth learning rollback`"
        message = f"`berth learning {verb}` is not understood"
        raise InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])
    with doors.either(talk) as door:
        if verb == "refit" and not talk.dry_run:
            made = door.refit()
            if talk.json:
                talk.value(made)
            else:
                talk.result(version_text(made, talk.style()))
            return
        if verb == "rollback":
            if talk.dry_run:
                talk.result(f"version {door.learning().in_force} would no longer be in force")
                return
            talk.confirm("Use the version before the one in force?")
            report = door.roll_back()
        else:
            report = door.learning()
    if talk.json:
        talk.value(report)
    elif talk.quiet:
        talk.result(str(report.in_force))
    else:
        talk.result(learning_text(report, talk.style()))


def _refuse_pipeline(path: Path) -> None:
    """Refuse a pipeline's file: its tasks are forecast by `berth plan`."""
    from engine.model.errors import Fault, InvalidInputError

    if path.suffix in _PIPELINES:
        message = f"{str(path)!r} is a pipeline; `berth forecast` takes past demand as CSV"
        fix = f"berth plan {path} --show-profile TASK"
        raise InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])


def _totals(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the parts of each total of `NAME=PART,...`."""
    from engine.model.errors import Fault, InvalidInputError

    found: dict[str, tuple[str, ...]] = {}
    for each in given:
        name, _, parts = each.partition("=")
        listed = tuple(part.strip() for part in parts.split(",") if part.strip())
        if not name.strip() or not listed:
            message = f"`--total {each}` is not understood"
            fix = "write `--total NAME=POOL,POOL`, such as `--total 'all=*'`"
            fault = Fault(code="U001", message=message, fix=fix)
            raise InvalidInputError("the command line", [fault])
        found[name.strip()] = (*found.get(name.strip(), ()), *listed)
    return found


def _draw(talk: Talk, path: Path | None, fans: tuple[DemandFan, ...], *, png: bool) -> None:
    """Write a picture of the forecasts, where one is asked for."""
    if path is None:
        return
    from api.report.forecasts import fan_file

    outputs.write(path, fan_file(fans, png=png))
    talk.say(f"written to {path}")


COMMANDS = {
    "forecast": (FleetCommand, forecast),
    "profile": (FleetCommand, profile),
    "learning": (ChangingCommand, learning),
}
