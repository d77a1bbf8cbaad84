"""Commands about the installation: start, migrate, doctor, fleet, cluster, capacity."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors, names, outputs
from api.cli.frame import ChangingCommand, Command, FleetCommand, Talk

if TYPE_CHECKING:
    from engine.model.capacity import CapacityReport

_SPAN_UNITS = {"h": 1, "d": 24}


def start(
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen at [BERTH_HOST].")] = "",
    port: Annotated[
        int | None, typer.Option(help="Port to listen at, 0 for a free one [BERTH_PORT, 8750].")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="Rules of the alarms [BERTH_RULES].")] = None,
    demand: Annotated[Path | None, typer.Option(help="Past demand [BERTH_DEMAND].")] = None,
    history: Annotated[Path | None, typer.Option(help="Past runs [BERTH_HISTORY].")] = None,
    clock_factor: Annotated[
        float | None, typer.Option(help="Wait so many times shorter [BERTH_CLOCK_FACTOR, 1].")
    ] = None,
) -> None:
    """Start the engine here; it runs until Ctrl-C or SIGTERM. Tasks that run go on without it.

    Of several on one PostgreSQL, each with a name of its own in BERTH_REPLICA, one leads.

    Example: berth start --fleet fleet.yaml
    """
    from api.cli.serving import serve

    talk: Talk = context.obj
    settings = doors.settings_of(
        talk,
        host=host or None,
        port=port,
        rules=rules,
        demand=demand,
        history=history,
        clock_factor=clock_factor,
    )
    serve(talk, settings)


def migrate(context: typer.Context) -> None:
    """Bring the database to what this version needs, and end; an engine that starts does it too.

    Example: BERTH_DATABASE=postgresql+psycopg://berth@db/berth berth migrate
    """
    from engine import store
    from engine.model.records import RUNS

    talk: Talk = context.obj
    settings = doors.settings_of(talk)
    settings.home.mkdir(parents=True, exist_ok=True)
    with store.open_ledger(settings.database_url) as ledger:
        ledger.select(RUNS, limit=1)
    talk.result("The database is ready.")


def private(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="A folder of settings.", metavar="FROM")],
    target: Annotated[Path, typer.Argument(help="The folder to copy them to.", metavar="TO")],
) -> None:
    """Copy settings so that only you may read them, as Berth wants it of a kubeconfig.

    Volumes of Kubernetes cannot be that strict: an engine in a pod runs this first.

    Example: berth private /clusters /run/berth
    """
    from api.messages.files import copy_privately

    talk: Talk = context.obj
    talk.result("\n".join(str(path) for path in copy_privately(source, target)))


def doctor(context: typer.Context) -> None:
    """Look at database, clock, disk, solver, clusters, registries, loops. Code 5: one is ill."""
    from api.report.fleets import findings_text

    talk: Talk = context.obj
    with doors.either(talk) as door:
        found = door.examine()
        running = door.is_engine
    if talk.json:
        talk.value(found)
    else:
        talk.result(findings_text(found, talk.style(), engine=running))
    if not all(item.fine for item in found):
        raise typer.Exit(5)


def fleet(context: typer.Context) -> None:
    """Show clusters and pools, with prices and which of them answer."""
    from api.report.fleets import fleet_text

    talk: Talk = context.obj
    with doors.either(talk) as door:
        found = door.fleet()
    if talk.json:
        talk.value(found)
    elif talk.quiet:
        talk.result("\n".join(cluster.name for cluster in found.clusters))
    else:
        talk.result(fleet_text(found, talk.style()))


def cluster(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="`fail` or `restore`.")],
    name: Annotated[str, typer.Argument(help="A local cluster.", autocompletion=names.clusters)],
) -> None:
    """Make a cluster of this machine fail, or come back: an exercise for plans and alarms.

    Example: berth cluster fail eu-1
    """
    from api.report.fleets import fleet_text
    from engine.model.errors import Fault, InvalidInputError

    talk: Talk = context.obj
    if verb not in {"fail", "restore"}:
        fault = Fault(
            code="U001",
            message=f"`berth cluster {verb}` is not understood",
            fix="write `berth cluster fail NAME` or `berth cluster restore NAME`",
        )
        raise InvalidInputError("the command line", [fault])
    with doors.engine(talk) as engine:
        if talk.dry_run:
            talk.result(f"cluster {name} would {verb}")
            return
        if verb == "fail":
            talk.confirm(f"Kill everything that runs on {name}?")
        found = engine.switch_cluster(name, up=verb == "restore")
    if talk.json:
        talk.value(found)
    elif talk.quiet:
        talk.result(name)
    else:
        talk.result(fleet_text(found, talk.style(), only=name))


def capacity(
    context: typer.Context,
    demand: Annotated[
        Path | None, typer.Argument(help="CSV of past demand by pool [BERTH_DEMAND].")
    ] = None,
    horizon: Annotated[str, typer.Option(help="How far ahead: 48h, 7d, 30d.")] = "7d",
    html: Annotated[Path | None, typer.Option(help="Also write one HTML file here.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all sampling.", min=0)] = None,
    as_of: Annotated[str, typer.Option(help="As if it were this ISO instant.")] = "",
    holidays: Annotated[
        Path | None, typer.Option(help="Holidays, past and to come: a date a line.")
    ] = None,
) -> None:
    """Hold forecast demand against supply: when it runs short, and the cheapest answer.

    Example: berth capacity demand.csv --horizon 30d --html capacity.html
    """
    from api.cli.planning import instant
    from api.messages.files import read_text
    from api.messages.questions import CapacityQuestion
    from api.report.capacity import capacity_text
    from api.report.sizes import sizes_text

    talk: Talk = context.obj
    question = CapacityQuestion(
        horizon_hours=hours_of(horizon),
        seed=seed,
        as_of=instant(as_of) if as_of else None,
        demand=demand_text(demand) if demand else "",
        source=demand.name if demand else "",
        holidays=read_text(holidays, "holidays") if holidays else "",
        zone=talk.style().zone,
        fleet=read_text(Path(str(own)), "fleet") if (own := talk.given.get("fleet")) else "",
    )
    talk.say("forecasting ...")
    with doors.either(talk, sends_fleet=True) as door:
        report = door.capacity(question)
        sizes = () if talk.json or talk.quiet else door.sizes()
    if html is not None:
        _write_page(talk, html, report)
    if talk.json:
        talk.value(report)
    elif talk.quiet:
        talk.result(report.verdict)
    else:
        talk.result(
            "\n\n".join(filter(None, (capacity_text(report), sizes_text(sizes, talk.style()))))
        )


def _write_page(talk: Talk, path: Path, report: CapacityReport) -> None:
    """Write a report as one HTML file."""
    from api.report.capacity import capacity_html

    outputs.write(path, capacity_html(report))
    talk.say(f"written to {path}")


def demand_text(path: Path) -> str:
    """Return the text of a file of demand; an empty one is not taken for none."""
    from api.messages.files import read_text
    from engine.model.errors import Fault, InvalidInputError

    text = read_text(path, "demand")
    if not text:
        raise InvalidInputError(str(path), [Fault(code="C001", message="the file is empty")])
    return text


def hours_of(text: str) -> int:
    """Return a span such as `7d` as hours.

    Raises:
        InvalidInputError: when it is none.
    """
    from engine.model.errors import Fault, InvalidInputError

    number, unit = text[:-1].strip(), text[-1:]
    if number.isdigit() and unit in _SPAN_UNITS:
        return int(number) * _SPAN_UNITS[unit]
    fault = Fault(code="S006", message=f"`--horizon` is {text!r}", fix="write it as 48h or 30d")
    raise InvalidInputError("the command line", [fault])


COMMANDS = {
    "start": (FleetCommand, start),
    "migrate": (FleetCommand, migrate),
    "private": (Command, private),
    "doctor": (FleetCommand, doctor),
    "fleet": (FleetCommand, fleet),
    "cluster": (ChangingCommand, cluster),
    "capacity": (FleetCommand, capacity),
}
