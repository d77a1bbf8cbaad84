"""Forecast, anomaly detector and root-cause locator: trained, packaged, deployed, hot-swapped.

Each of the three is a pipeline of the product (train, package, serve) that the engine plans and
runs with its local executor on real data (`forecasting/*hourly*total*`, `alarms/nab`, faults of
`alarms/*/label.csv`). Then `berth train` trains another model of the kind, which becomes a git
repository (`berth model init`, `add`); a push tests it, builds and pushes its image, and swaps it
in while two connections call the model that the pipeline serves. A failed request is any answer but
200. Then both packages and the image of the push go to a real node of this machine (`_node`).

Step times are those of the first push, by the stage clock of the delivery, under the names of the
paper's tables 2 and 3: environment preparation (the libraries of the image), job script (the commit
is read, the model is tested), image build and push, with what Berth does between (golden requests
to the image's own server, attestation); then environment (the serve process starts and imports)
and deploy (the swap), here and on the real node. Beside them stand what a second push of the same
libraries takes, and the quality of a simple method.
"""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from api.client.remote import Remote
from benchmarks import frame
from benchmarks.models import _node, _three_data
from benchmarks.models._three_data import Material
from benchmarks.packaging import _model
from benchmarks.packaging._parties import Answer, Engine, Load
from engine.model import dispatches
from engine.model.identifiers import Digest
from executors.packaging.registry import OciRegistry
from tests.support.registry_process import PROGRAM, RegistryProcess

RUN_SECONDS = 900.0
"""Guard of each training and of each run; on a machine to itself they take seconds."""
LOOK_SECONDS = 0.5
CALM_SECONDS = 1.0
_SPEC = """\
pipeline: {name}
owner: operations
seed: 7
sla: {{deadline: in 6 h}}
tasks:
  train:   {{kind: train, reads: {data}, model: {family}, parameters: {settings}}}
  package: {{kind: package, after: train}}
  serve:   {{kind: serve, after: package, requests: 20/s peak, p99: 500 ms}}
"""


@dataclass(slots=True, kw_only=True)
class Story:
    """What became of one model: seconds by step, and what its callers heard."""

    material: Material
    outputs: dict[str, object]
    tasks: dict[str, float]
    first: dict[str, float]
    second: dict[str, float]
    train_again_seconds: float
    answers: Sequence[Answer]
    delivered: _node.Delivered


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures; takes some ten minutes."""
    if PROGRAM is None:
        raise frame.BenchmarkError("docker-registry is not installed: apt install docker-registry")
    home = context.scratch / "home"
    home.mkdir()
    _model.base_layers(home / "layers")
    materials = _three_data.materials(context, context.scratch / "data")
    variables = _model.environment(_author())
    with contextlib.ExitStack() as stack:
        node = stack.enter_context(_node.opened(context.scratch / "node"))
        registry = node.registry if node else _registry(stack, context.scratch / "registry")
        engine = stack.enter_context(Engine(home, variables, limit_seconds=RUN_SECONDS))
        url = json.loads((home / "engine.json").read_text(encoding="utf-8"))["url"]
        remote = Remote(url)
        try:
            for material in materials:
                work = Work(engine, remote, context.scratch, variables, registry)
                story = work.story(material)
                yield from figures(story)
                if node:
                    yield from node.figures(story.delivered)
        finally:
            for deployed in remote.deployments():
                remote.cancel(deployed.run_id)
            time.sleep(CALM_SECONDS)
            remote.close()


def _registry(stack: contextlib.ExitStack, folder: Path) -> str:
    """Starts a registry; returns its address."""
    return stack.enter_context(RegistryProcess(folder)).host


def figures(story: Story) -> Iterator[frame.Figure]:
    """Yields quality, swap and steps of one model."""
    name, outputs = story.material.name, story.outputs
    yield frame.informs(
        f"{name}: quality",
        float(str(outputs["quality"])),
        anchor=f"{outputs['baseline_is']} {float(str(outputs['baseline'])):.3f}; "
        f"{outputs['quality_is']}",
    )
    failed = [answer for answer in story.answers if answer.status != "200"]
    said = f"of {len(story.answers)}; {failed[0].status if failed else 'none'}"
    yield frame.at_most(f"{name}: failed requests", len(failed), 0, anchor=said)
    versions = {answer.version for answer in story.answers}
    yield frame.at_least(f"{name}: versions that answered", len(versions), 3, anchor="3 served")
    slowest = max((a.ended - a.began) * 1000 for a in story.answers)
    yield frame.informs(f"{name}: slowest request", slowest, unit="ms")
    yield from steps(story)


def steps(story: Story) -> Iterator[frame.Figure]:
    """Yields the step table of one model."""
    name, first = story.material.name, story.first
    packaging = {
        "environment preparation": first["prepare the environment"],
        "job script": first["read the commit"] + first["test the model"],
        "image build": first["build the image"],
        "golden requests to the image": first["golden requests"],
        "attest and judge": first["attest and judge"],
        "image push": first["push the image"],
    }
    deploying = {"environment": story.tasks["serve"], "deploy": first["deploy to production"]}
    again = sum(story.second.values())
    yield frame.informs(f"{name}: train (pipeline)", story.tasks["train"], unit="s")
    yield frame.informs(f"{name}: package (pipeline)", story.tasks["package"], unit="s")
    yield frame.informs(f"{name}: train (berth train)", story.train_again_seconds, unit="s")
    yield frame.informs(f"{name}: pushed again, all steps", again, unit="s")
    whole = sum(packaging.values()) + sum(deploying.values())
    for table, paper in ((packaging, "table 2"), (deploying, "table 3")):
        for step, seconds in table.items():
            share = f"{paper}; {100 * seconds / max(whole, 1e-9):.0f} % of packaging and deployment"
            yield frame.informs(f"{name}: {step}", seconds, unit="s", anchor=share)


@dataclass(frozen=True, slots=True)
class Work:
    """The engine, and what is needed to push to it."""

    engine: Engine
    remote: Remote
    scratch: Path
    variables: dict[str, str]
    host: str

    def story(self, material: Material) -> Story:
        """Runs the pipeline of a model, then trains, pushes and swaps two others."""
        run_id = self._run(material)
        deployment = next(d for d in self.remote.deployments() if d.pipeline == material.name)
        attempts = self.remote.attempts(run_id)
        outputs = self._outputs(run_id)
        seconds = {
            str(one.task): (one.ended_at or time.time()) - one.intended_at for one in attempts
        }
        seconds["serve"] = self._start_seconds(run_id)
        folder, trained, rows = self._train(material)
        endpoint = str(deployment.endpoint)
        self._repository(material, folder, endpoint)
        with Load(endpoint, folder, rows, model=material.name, connections=2) as load:
            time.sleep(CALM_SECONDS)
            first = self._push(folder, material.name, "Train another")
            self._again(folder)
            second = self._push(folder, material.name, "Serve it under another name of family")
            time.sleep(CALM_SECONDS)
        return Story(
            material=material,
            outputs=outputs,
            tasks=seconds,
            first=first,
            second=second,
            train_again_seconds=trained,
            answers=load.answers,
            delivered=self._delivered(material.name, folder, deployment.wanted),
        )

    def _delivered(self, name: str, folder: Path, packaged: Digest) -> _node.Delivered:
        """Lays out what the pipeline packaged, and what the last push delivered."""
        home, target = self.scratch / "home", self.scratch / "packages" / name
        target.mkdir(parents=True)
        registry = OciRegistry(home / "models")
        registry.fetch(name, packaged, target / "first")
        journal = home / "model-repositories" / name / "journal.jsonl"
        last = json.loads(journal.read_text(encoding="utf-8").splitlines()[-1])
        registry.fetch(name, Digest(last["package"]), target / "second")
        return _node.Delivered(
            name=name,
            image=last["image"],
            first=target / "first",
            second=target / "second",
            example=json.loads((folder / "golden.json").read_text(encoding="utf-8")),
        )

    def _run(self, material: Material) -> str:
        """Plans and applies the pipeline of a model; returns its run once the model serves."""
        settings = json.dumps(material.settings).replace('"', "")
        spec = self.scratch / f"{material.name}.yaml"
        text = _SPEC.format(
            name=material.name, data=material.data, family=material.family, settings=settings
        )
        spec.write_text(text, encoding="utf-8")
        self.engine.berth("plan", str(spec), cwd=self.scratch)
        plan_id = self.remote.plans()[0].plan_id
        self.engine.berth("apply", str(plan_id), "--yes", cwd=self.scratch)
        end = time.monotonic() + RUN_SECONDS
        while time.monotonic() < end:
            runs = [run for run in self.remote.runs() if run.pipeline == material.name]
            served = [d for d in self.remote.deployments() if d.pipeline == material.name]
            if runs and runs[0].state in {
                dispatches.RunState.FAILED,
                dispatches.RunState.CANCELLED,
            }:
                raise RuntimeError(f"the run of {material.name} failed: {runs[0].reason}")
            if runs and served and served[0].endpoint and served[0].serving:
                return str(runs[0].run_id)
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{material.name} does not serve after {RUN_SECONDS:.0f} s")

    def _outputs(self, run_id: str) -> dict[str, object]:
        """Returns the small outputs of the training."""
        found = next(one for one in self.remote.experiments(run_id) if one.task == "train")
        return dict(found.metrics)

    def _start_seconds(self, run_id: str) -> float:
        """Returns how long the serve process took from its order to its address."""
        one = next(a for a in self.remote.attempts(run_id) if a.task == "serve")
        folder = self.scratch / "home"
        found = sorted(folder.glob(f"**/{one.attempt_id}/**/endpoint*.json"))
        ended = found[0].stat().st_mtime if found else time.time()
        return ended - one.intended_at

    def _train(self, material: Material) -> tuple[Path, float, list[list[float]]]:
        """Trains another model by the command line; returns its folder, seconds and some rows."""
        folder = self.scratch / "repositories" / material.name
        given = [
            word for key, value in material.other.items() for word in ("--set", f"{key}={value}")
        ]
        words = ("train", material.family, "--data", str(material.data), "--folder", str(folder))
        began = time.perf_counter()
        self.engine.berth(*words, *given, cwd=self.scratch)
        seconds = time.perf_counter() - began
        rows = json.loads((folder / "golden.json").read_text(encoding="utf-8"))["rows"]
        return folder, seconds, rows

    def _repository(self, material: Material, folder: Path, endpoint: str) -> None:
        """Makes the folder a model's repository that goes to production by itself."""
        self.engine.berth("model", "init", material.name, "--folder", str(folder), cwd=self.scratch)
        path = folder / "model.toml"
        head = path.read_text(encoding="utf-8").partition("[deploy]")[0]
        lines = ("[deploy]", f'image = "{self.host}/{material.name}"', f'production = "{endpoint}"')
        deploy = "\n".join((*lines, 'promote = "when tests pass"'))
        path.write_text(f"{head}{deploy}\n", encoding="utf-8")
        weights = next(
            p.name for p in folder.iterdir() if p.name.startswith("model.") and p != path
        )
        self.engine.berth("model", "add", weights, cwd=folder)

    @staticmethod
    def _again(folder: Path) -> None:
        """Changes what the package says, so that the same weights make another version."""
        path = folder / "model.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace('family = "', 'family = "again-', 1), encoding="utf-8")

    def _push(self, folder: Path, name: str, message: str) -> dict[str, float]:
        """Commits and pushes; returns the stage clock of the delivery in seconds."""
        git = ["git", "-C", str(folder)]
        subprocess.run([*git, "add", "-A"], check=True, env=self.variables)
        subprocess.run([*git, "commit", "-q", "-m", message], check=True, env=self.variables)
        push = [*git, "push", "-q", "berth", "HEAD:main"]
        done = subprocess.run(push, env=self.variables, capture_output=True, text=True, check=True)
        journal = self.scratch / "home" / "model-repositories" / name / "journal.jsonl"
        last = json.loads(journal.read_text(encoding="utf-8").splitlines()[-1])
        if last["stage"] != "production":
            raise RuntimeError(f"the push of {name} was not delivered: {done.stderr}")
        line = next(line for line in done.stderr.splitlines() if " ms: " in line)
        parts = line.rstrip().rstrip(".").partition(" ms: ")[2].split(", ")
        found = {p.rpartition(" ")[0]: float(p.rpartition(" ")[2]) / 1000 for p in parts}
        return {"golden requests": 0.0, **found}


def _author() -> dict[str, str]:
    who = {"NAME": "Berth", "EMAIL": "berth@example.org"}
    roles = ("AUTHOR", "COMMITTER")
    return {f"GIT_{role}_{key}": value for role in roles for key, value in who.items()}
