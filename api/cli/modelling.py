"""Commands about models in repositories: `berth model`, `berth ci`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli import doors
from api.cli.frame import ChangingCommand, Talk

if TYPE_CHECKING:
    from engine.model.errors import BerthError
    from executors.local import FolderArtifacts

_VERBS = "init, add, test, push, list, promote, rollback, deliver, dockerfile, track or watch"
_LOOK_SECONDS = 1.0


def model(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help=f"`{_VERBS}`.")],
    words: Annotated[
        list[str] | None, typer.Argument(help="A model, then files, a release, or an address.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="The model's working folder [NAME, or here].")
    ] = None,
    message: Annotated[str, typer.Option("--message", "-m", help="Of the commit.")] = "",
    project: Annotated[str, typer.Option(help="Path of the project on its git host.")] = "",
) -> None:
    """Keep, push, test, release, promote and take back models, each in a git repository.

    Example: berth model init churn
    """
    talk: Talk = context.obj
    verbs: dict[str, Callable[[Talk, Sequence[str], Path | None], None]] = {
        "init": _init,
        "add": _add,
        "test": _test,
        "push": lambda talk, words, folder: _push(talk, words, folder, message),
        "list": _list,
        "promote": _promote,
        "rollback": _roll_back,
        "deliver": _deliver,
        "dockerfile": _dockerfile,
        "track": lambda talk, words, _: _track(talk, words, project),
        "watch": _watch,
    }
    if verb not in verbs:
        raise _usage(f"`berth model {verb}` is not understood", f"use one of: {_VERBS}")
    verbs[verb](talk, tuple(words or ()), folder)


def _init(talk: Talk, words: Sequence[str], folder: Path | None) -> None:
    """Make the repository and the working folder of a model."""
    from api.report.tables import following
    from executors.packaging.repository import starting

    name = _one(words, "init NAME")
    place = folder or Path(name)
    if talk.dry_run:
        talk.result(f"{place} would be written")
        return
    with doors.local(talk) as application:
        starting.write(place, name, application.models.create(name))
    steps = (f"cd {place}", "berth model add model.onnx", "berth model push")
    talk.result(str(place) if talk.quiet else f"{place} is written.\n\n{following(*steps)}")


def _add(talk: Talk, words: Sequence[str], folder: Path | None) -> None:
    """Keep files of weights in the artefact store, their digests in weights.json."""
    from executors.packaging.repository import starting, weights

    if not words:
        raise _usage("no file is named", "write `berth model add FILE...`")
    place = folder or Path()
    with doors.local(talk) as application:
        for file in words:
            if talk.dry_run:
                talk.result(f"{file} would be kept")
                continue
            found = weights.add(place, Path(file), application.models.delivery.artifacts)
            starting.ignore(place, Path(file).name)
            talk.result(found.digest if talk.quiet else f"{file} is kept as {found.digest}.")


def _test(talk: Talk, words: Sequence[str], folder: Path | None) -> None:
    """Run the tests of the model in a folder; exit code 1 when one does not hold."""
    from api.wiring.model_desk import gate_answers

    place = Path(words[0]) if words else folder or Path()
    with doors.local(talk) as application:
        delivery = application.models.delivery
        if doors.address(talk):
            _bring_weights(talk, place, delivery.artifacts)
        judged = gate_answers(delivery.try_folder(place))
    if talk.json:
        talk.value(judged)
    else:
        marks = {True: "holds", False: "FAILS"}
        talk.result("\n".join(f"{marks[gate.holds]}  {gate.name}: {gate.said}" for gate in judged))
    if not all(gate.holds for gate in judged):
        raise typer.Exit(1)


def _bring_weights(talk: Talk, place: Path, artifacts: FolderArtifacts) -> None:
    """Fetch from the engine the weights that are not here, as in a checkout of a git host."""
    from api.messages.files import read_text
    from executors.packaging.repository import settings, starting, weights

    starting.require(place)
    name = settings.read(read_text(place / settings.FILE, "model")).name
    with doors.engine(talk) as engine:
        weights.bring(place, artifacts, lambda artifact: engine.models.weights(name, artifact))


def _push(talk: Talk, words: Sequence[str], folder: Path | None, message: str) -> None:
    """Commit what changed in a working folder, push it, and print what the hook said."""
    from executors.packaging.repository import starting

    place = Path(words[0]) if words else folder or Path()
    if talk.dry_run:
        talk.result(f"{place} would be pushed")
        return
    commit, said = starting.push(place, message or "Change the model")
    if talk.quiet:
        talk.result(commit)
    else:
        talk.result(said or f"{commit[:12]} was pushed before; nothing changed.")
    if "Not delivered" in said or said.startswith("error"):
        raise typer.Exit(1)


def _list(talk: Talk, words: Sequence[str], _: Path | None) -> None:
    """Show all models, or the releases of one."""
    from api.report.modelling import models_text, releases_text

    with doors.either(talk) as door:
        events = door.models.releases(words[0]) if words else ()
        models = () if words else door.models.models()
    if talk.json:
        talk.value(events if words else models)
    elif talk.quiet:
        names = [e.commit for e in events] if words else [m.name for m in models]
        talk.result("\n".join(names))
    elif words:
        talk.result(releases_text(events, talk.style()))
    else:
        talk.result(models_text(models, talk.style()))


def _promote(talk: Talk, words: Sequence[str], _: Path | None) -> None:
    """Serve a release in production."""
    from api.report.modelling import event_text

    if not 1 <= len(words) <= 2:  # noqa: PLR2004 - a name, and a release
        raise _usage("which model is not clear", "write `berth model promote NAME [RELEASE]`")
    talk.confirm(f"Serve {words[-1]} in production?")
    with doors.either(talk) as door:
        found = door.models.promote(words[0], *words[1:])
    talk.value(found) if talk.json else talk.result(event_text(found))


def _roll_back(talk: Talk, words: Sequence[str], _: Path | None) -> None:
    """Serve in production what served before."""
    from api.report.modelling import event_text

    name = _one(words, "rollback NAME")
    talk.confirm(f"Let {name} serve what it served before?")
    with doors.either(talk) as door:
        found = door.models.roll_back(name)
    talk.value(found) if talk.json else talk.result(event_text(found))


def _deliver(talk: Talk, words: Sequence[str], _: Path | None) -> None:
    """Deliver a commit again; the hook calls it where no engine runs."""
    from api.report.modelling import delivery_text

    if not 1 <= len(words) <= 2:  # noqa: PLR2004 - a name, and a commit
        raise _usage("which model is not clear", "write `berth model deliver NAME [COMMIT]`")
    with doors.either(talk) as door:
        found = door.models.deliver(words[0], *words[1:])
    talk.value(found) if talk.json else talk.result(delivery_text(found))


def _dockerfile(talk: Talk, words: Sequence[str], folder: Path | None) -> None:
    """Write a Dockerfile and what it needs, which builds the same image."""
    name = _one(words, "dockerfile NAME")
    place = folder or Path(f"{name}-image")
    with doors.local(talk) as application:
        path = application.models.delivery.context(name, place)
    talk.result(str(path) if talk.quiet else f"{path} is written: buildah bud {place}")


def _track(talk: Talk, words: Sequence[str], project: str) -> None:
    """Take the pushes of a repository on a git host, by webhook."""
    if len(words) != 2:  # noqa: PLR2004 - a name and an address
        raise _usage("which repository is not clear", "write `berth model track NAME URL`")
    with doors.local(talk) as application:
        found = application.models.track(words[0], words[1], project)
    url = doors.address(talk) or "http://ENGINE"
    talk.result(
        found.secret
        if talk.quiet
        else f"Webhook {url}/v1/models/{found.name}/webhook\nSecret  {found.secret}\n"
        f"Set both on the git host, for push events. Commits are fetched from {found.remote}."
    )


def _watch(talk: Talk, words: Sequence[str], _: Path | None) -> None:
    """Push each model of a folder when its files change and then rest; until Ctrl-C."""
    from engine.model.errors import BerthError
    from executors.packaging.repository import starting
    from executors.packaging.triggers.folder import Watched

    watched = Watched(Path(_one(words, "watch FOLDER")))
    talk.say(f"watching {watched.folder}; stop with Ctrl-C")
    while True:
        for place in watched.ready(time.monotonic()):
            try:
                commit, said = starting.push(place, "Change the model's files")
                talk.result(said or f"{place.name} {commit[:12]} was pushed before")
            except BerthError as error:
                talk.say(f"{place.name}: {error.message}. {error.fix}")
        time.sleep(_LOOK_SECONDS)


def ci(
    context: typer.Context,
    verb: Annotated[str, typer.Argument(help="`init`.")],
    host: Annotated[str, typer.Argument(help="`gitlab` or `github`.")] = "gitlab",
    folder: Annotated[Path, typer.Option(help="The model's working folder.")] = Path(),
) -> None:
    """Write the file with which a git host tests a model: `.gitlab-ci.yml`, a GitHub workflow.

    Example: berth ci init gitlab
    """
    from api.messages.files import read_text
    from executors.packaging.repository import settings, starting
    from executors.packaging.triggers.ci import Host, write

    talk: Talk = context.obj
    if verb != "init" or host not in list(Host):
        raise _usage(f"`berth ci {verb} {host}` is not understood", "write `berth ci init gitlab`")
    starting.require(folder)
    name = settings.read(read_text(folder / settings.FILE, "model")).name
    if talk.dry_run:
        talk.result(f"a file for {host} would be written")
        return
    path = write(folder, Host(host), name)
    talk.result(str(path) if talk.quiet else f"{path} is written.")


def _one(words: Sequence[str], usage: str) -> str:
    if len(words) != 1:
        raise _usage("one name is needed", f"write `berth model {usage}`")
    return words[0]


def _usage(message: str, fix: str) -> BerthError:
    from engine.model.errors import Fault, InvalidInputError

    return InvalidInputError("the command line", [Fault(code="U001", message=message, fix=fix)])


COMMANDS = {"model": (ChangingCommand, model), "ci": (ChangingCommand, ci)}
