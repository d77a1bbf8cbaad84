"""From `git push` to the first answer of the new model under load, and which stage takes how much.

A model's repository is made by `berth model init`, its weights kept by `berth model add`; an engine
(`berth start`), a model server and a real registry run, and a load of four connections asks the
server all the time. Each push brings other weights and other answers. It is timed from the start of
`git push` until the first request that the new version answers ends. The hook, the tests of the
model, the image with its push to the registry, and the golden requests of the server all lie
between. A failed request is any answer but 200. The share table adds up the engine's own stage
clock by the names of the paper. The baseline does the same faithfully with buildah: no cache, pip,
push, pull and a fresh container, asked until it answers.
"""

import argparse
import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import frame
from benchmarks.packaging import _baseline, _model
from benchmarks.packaging._parties import Answer, Engine, Load, Server
from tests.support.registry_process import PROGRAM, RegistryProcess

PUSHES = 20
QUICK_PUSHES = 6
PAUSE_SECONDS = 0.5
ANCHOR = "73 ms (prototype, idle machine); minutes in the paper"
PACKAGING = ("test the model", "build the image", "push the image", "golden requests")
_TOML = """\
name = "iris"
format = "onnx"
file = "model.onnx"
features = ["sepal_length", "sepal_width", "petal_length", "petal_width"]
[tests]
latency_ms_p99 = 100
[deploy]
image = "{host}/iris"
production = "{endpoint}"
promote = "when tests pass"
"""


@dataclass(frozen=True, slots=True)
class Push:
    """One push: when it began and ended, the package it led to, seconds by stage."""

    began: float
    ended: float
    package: str
    seconds: dict[str, float]


def add_options(group: argparse._ArgumentGroup) -> None:
    """Adds the option of this benchmark."""
    group.add_argument("--no-peer", action="store_true", help="leave the buildah baseline out")


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures."""
    if PROGRAM is None:
        raise frame.BenchmarkError("docker-registry is not installed: apt install docker-registry")
    home = context.scratch / "home"
    home.mkdir()
    _model.base_layers(home / "layers")
    variables = _model.environment(_author())
    example = _model.onnx(0)[1]
    rows: Sequence[Sequence[float]] = example["rows"]  # type: ignore[assignment]
    with (
        RegistryProcess(context.scratch / "registry") as registry,
        Server(home, "iris", _model.files(0)) as endpoint,
        Engine(home, variables) as engine,
    ):
        work = _prepare(engine, context.scratch, registry.host, endpoint)
        _push(engine, home, work, variables, 0)  # lays out the base and the libraries, once
        load = Load(endpoint, context.scratch, rows)
        with load:
            time.sleep(1.0)
            pushes = []
            for number in range(1, 1 + (QUICK_PUSHES if context.quick else PUSHES)):
                pushes.append(_push(engine, home, work, variables, number))
                time.sleep(PAUSE_SECONDS)
        yield from _figures(pushes, load.answers)
        if not context.options.get("no_peer"):
            yield from _baseline.figures(context.scratch, registry.host)


def _author() -> dict[str, str]:
    who = {"NAME": "Berth", "EMAIL": "berth@example.org"}
    roles = ("AUTHOR", "COMMITTER")
    return {f"GIT_{role}_{key}": value for role in roles for key, value in who.items()}


def _prepare(engine: Engine, scratch: Path, host: str, endpoint: str) -> Path:
    """Makes the repository of the model; returns its working folder."""
    engine.berth("model", "init", "iris", cwd=scratch)
    work = scratch / "iris"
    (work / "model.toml").write_text(_TOML.format(host=host, endpoint=endpoint))
    (work / "requirements.txt").write_text("numpy\nonnxruntime\n")
    return work


def _push(engine: Engine, home: Path, work: Path, variables: dict[str, str], number: int) -> Push:
    """Commits another model and pushes it, which alone is timed."""
    data, example = _model.onnx(number)
    (work / "model.onnx").write_bytes(data)
    (work / "golden.json").write_text(json.dumps(example))
    engine.berth("model", "add", "model.onnx", cwd=work)
    git = ["git", "-C", str(work)]
    subprocess.run([*git, "add", "-A"], check=True, env=variables)
    message = f"Train number {number}"
    subprocess.run([*git, "commit", "-q", "-m", message], check=True, env=variables)
    command = [*git, "push", "-q", "berth", "HEAD:main"]
    began = time.monotonic()
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    ended = time.monotonic()
    journal = home / "model-repositories" / "iris" / "journal.jsonl"
    last = json.loads(journal.read_text("utf-8").splitlines()[-1])
    if last["stage"] != "production":
        raise RuntimeError(f"push {number} was not delivered: {done.stderr}")
    return Push(began, ended, last["package"], _stages(done.stderr))


def _stages(said: str) -> dict[str, float]:
    """Returns the stage clock that the hook prints, in seconds."""
    line = next(line for line in said.splitlines() if " ms: " in line)
    parts = line.rstrip().rstrip(".").partition(" ms: ")[2].split(", ")
    return {part.rpartition(" ")[0]: float(part.rpartition(" ")[2]) / 1000 for part in parts}


def _figures(pushes: Sequence[Push], answers: Sequence[Answer]) -> Iterator[frame.Figure]:
    """Yields what the pushes and the load tell."""
    first: dict[str, float] = {}
    for answer in answers:
        first[answer.version] = min(first.get(answer.version, answer.ended), answer.ended)
    took = [(first[push.package] - push.began) * 1000 for push in pushes]
    failed = sum(1 for answer in answers if answer.status != "200")
    stale = sum(
        1
        for push, following in zip(pushes, [*pushes[1:], None], strict=True)
        for answer in answers
        if answer.began > push.ended
        and (following is None or answer.ended < following.began)
        and answer.version != push.package
    )
    median = statistics.median(took)
    name = "push to first new answer, median"
    yield frame.at_most(name, median, 150.0, unit="ms", anchor=ANCHOR)
    yield frame.informs("push to first new answer, most", max(took), unit="ms")
    yield frame.at_most("failed requests", failed, 0)
    yield frame.at_most("stale answers", stale, 0)
    yield frame.informs("requests", len(answers))
    slowest = max((a.ended - a.began) * 1000 for a in answers)
    yield frame.informs("slowest request", slowest, unit="ms")
    total = statistics.mean(took)
    for step in pushes[0].seconds:
        mean = statistics.mean(push.seconds[step] for push in pushes) * 1000
        share = f"{100 * mean / total:.0f} % of push to answer"
        yield frame.informs(f"share: {step}", mean, unit="ms", anchor=share)
    inside = statistics.mean(sum(push.seconds.values()) for push in pushes) * 1000
    share = f"{100 * max(0.0, total - inside) / total:.0f} % of push to answer"
    yield frame.informs(
        "share: git and the hook", max(0.0, total - inside), unit="ms", anchor=share
    )
    packed = statistics.mean(
        sum(push.seconds.get(step, 0.0) for step in PACKAGING) for push in pushes
    )
    yield frame.informs(
        "packaging, share", 100 * packed * 1000 / total, unit="%", anchor="over 80 %"
    )
