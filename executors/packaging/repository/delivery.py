"""A push becomes a served model: tests, image, golden requests, test, production.

    commit -> package (settings, weights by digest) -> gates -> image -> registry
           -> golden requests -> test -> golden requests there -> production, by hand or by policy

Every step that fails leaves what serves as it is, and a line in the journal that says why. The
same commit delivered again changes nothing.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.model.dispatches import Deployment
from engine.model.errors import BerthError, NotFoundError, RefusedError
from engine.model.identifiers import Digest, PipelineName, RunId, TaskName
from engine.ports import Clock, ModelServer
from executors.local.artifacts import FolderArtifacts
from executors.packaging import archives, images
from executors.packaging.oci import distribution
from executors.packaging.oci.builder import Builder, Built, Recipe, write_context
from executors.packaging.oci.dependencies import Installer, Wanted
from executors.packaging.oci.layers import Role
from executors.packaging.registry import OciRegistry
from executors.packaging.repository import gates, git, golden, settings, weights
from executors.packaging.repository.clock import StageClock, Step
from executors.packaging.repository.gates import Gate
from executors.packaging.repository.package import Package, assemble
from executors.packaging.repository.releases import Event, Journal, Kind, Stage
from executors.packaging.repository.settings import Format, ModelSettings, Promotion

_TEST_TAG = "test"
_PRODUCTION_TAG = "production"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of a push.

    package: digest under which servers know the model; image: where the whole image is pushed.
    stages: where it serves now. seconds: by stage of the work.
    """

    name: str
    commit: str
    package: Digest
    image: str
    gates: tuple[Gate, ...]
    stages: tuple[Stage, ...]
    seconds: Mapping[str, float]


class Delivery:
    """Delivers pushes. May be used from several threads; one model is delivered at a time.

    home: the data folder. server: what swaps models. engine_file: names the running engine.
    command: how the hook calls the command line where no engine runs.
    """

    def __init__(
        self,
        home: Path,
        server: ModelServer,
        clock: Clock,
        environment: Mapping[str, str],
        *,
        command: str = "berth",
    ) -> None:
        self._home = home
        self._root = home / "model-repositories"
        self._server = server
        self._clock = clock
        self._environment = environment
        self._command = command
        self._registry = OciRegistry(home / "models")
        self._builder: Builder | None = None
        self._pushing: dict[str, distribution.Registry] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close the connections to registries."""
        while self._pushing:
            self._pushing.popitem()[1].close()

    # ------------------------------------------------------------ repositories

    @property
    def artifacts(self) -> FolderArtifacts:
        """Where weights are kept."""
        return FolderArtifacts(self._home / "artifacts")

    def repository(self, name: str) -> Path:
        """Return the repository that is pushed to.

        Raises:
            RefusedError: when the name cannot name a model.
        """
        if not settings.NAME.match(name):
            fix = "use small letters, digits and - . _"
            raise RefusedError(f"{name!r} cannot name a model", fix=fix)
        return self._root / name / "repository.git"

    def create(self, name: str) -> Path:
        """Make the repository of a model, with its hook; return it."""
        path = self.repository(name)
        git.make_bare(path, name, self._home / "engine.json", self._command)
        return path

    def names(self) -> tuple[str, ...]:
        """Return all models that have a repository."""
        return tuple(sorted(path.parent.name for path in self._root.glob("*/repository.git")))

    def journal(self, name: str) -> Journal:
        """Return what became of the pushes of a model.

        Raises:
            NotFoundError: when there is no such model.
        """
        path = self.repository(name)
        if not path.exists():
            fix = f"`berth model init {name}` makes it"
            raise NotFoundError(f"there is no model {name!r}", fix=fix)
        return Journal(path.parent / "journal.jsonl")

    # ---------------------------------------------------------------- delivery

    def deliver(self, name: str, commit: str = "") -> Delivered:
        """Take a commit (the newest one by default) to test, and by policy to production.

        Raises:
            RefusedError: when a test of the model does not hold; nothing changed.
            InvalidInputError: when the repository or its requirements have faults.
            DamagedError: when weights or answers are not what they should be.
            RetryableError: when the registry or a server does not answer; deliver again.
        """
        journal = self.journal(name)
        with self._lock(name):
            commit = commit or git.head_of(self.repository(name))
            try:
                return self._deliver(name, commit, journal)
            except BerthError as error:
                journal.append(
                    Event(
                        at=self._clock.now(),
                        kind=Kind.REFUSED,
                        commit=commit,
                        reason=error.message,
                    )
                )
                raise

    def _deliver(self, name: str, commit: str, journal: Journal) -> Delivered:
        clock = StageClock()
        with clock.measure(Step.READ):
            package = self._package(name, commit)
        given = package.settings
        with clock.measure(Step.TESTS):
            site = self._site(package)
            judged = gates.judge(package, site)
            _refuse_failed(name, judged)
        with clock.measure(Step.BUILD):
            built = self._build(package, commit)
        with clock.measure(Step.GOLDEN):
            if given.format is not Format.ONNX:
                self._ask_image(package, site)
        with clock.measure(Step.PUSH), ThreadPoolExecutor(1) as beside:
            keeping = beside.submit(self._keep, name, built, commit)
            image = self._push(given, built, commit)
            digest = keeping.result()
        stages: list[Stage] = []
        released = Event(
            at=self._clock.now(), kind=Kind.RELEASED, commit=commit, package=digest, image=image
        )
        journal.append(released)
        if given.test:
            with clock.measure(Step.DEPLOY_TEST):
                self._deploy(given, released, Stage.TEST, journal)
            with clock.measure(Step.GOLDEN):
                golden.compare(given.test, name, package.example)
            stages.append(Stage.TEST)
        if given.promotion is Promotion.AFTER_TESTS and given.production:
            with clock.measure(Step.DEPLOY):
                self._deploy(given, released, Stage.PRODUCTION, journal)
            stages.append(Stage.PRODUCTION)
        return Delivered(
            name=name,
            commit=commit,
            package=digest,
            image=image,
            gates=judged,
            stages=tuple(stages),
            seconds=clock.seconds,
        )

    def try_folder(self, folder: Path) -> tuple[Gate, ...]:
        """Return the tests of the model in a working folder; nothing is kept.

        Raises:
            InvalidInputError, DamagedError, NotFoundError: as `deliver`.
        """
        files = git.files_here(folder)
        given, wanted = _described(files, str(folder))
        found = {name: (folder / name).read_bytes() for name in wanted if (folder / name).is_file()}
        rest = {name: weight for name, weight in wanted.items() if name not in found}
        weights.check(found, wanted)
        package = assemble(files, {**found, **weights.fetch(rest, self.artifacts)}, given)
        return gates.judge(package, self._site(package))

    def promote(self, name: str, release: str = "") -> Event:
        """Serve a release (the newest by default) in production, after its golden requests.

        Raises:
            NotFoundError: when there is no such release.
            RefusedError: when the model has no production server.
        """
        journal = self.journal(name)
        with self._lock(name):
            found = journal.find(release)
            given = self._package(name, found.commit).settings
            return self._deploy(given, found, Stage.PRODUCTION, journal)

    def roll_back(self, name: str) -> Event:
        """Serve in production what served before.

        Raises:
            NotFoundError: when nothing did.
        """
        journal = self.journal(name)
        with self._lock(name):
            found = journal.before(Stage.PRODUCTION)
            given = self._package(name, found.commit).settings
            return self._deploy(given, found, Stage.PRODUCTION, journal, kind=Kind.ROLLED_BACK)

    # ------------------------------------------------------------------- parts

    def _package(self, name: str, commit: str) -> Package:
        code = git.files_of(self.repository(name), commit)
        given, wanted = _described(code, f"commit {commit[:12]} of {name!r}")
        if given.name != name:
            message = f"{settings.FILE} names {given.name!r}, the repository {name!r}"
            raise RefusedError(message, fix="change `name`, or push to the other repository")
        return assemble(code, weights.fetch(wanted, self.artifacts), given)

    def _recipe(self, package: Package, commit: str) -> Recipe:
        given = package.settings
        labels = {
            "org.opencontainers.image.title": given.name,
            "org.opencontainers.image.revision": commit,
            "berth.family": given.family,
        }
        return Recipe(
            name=given.name,
            files=package.files,
            requirements=package.requirements,
            base=given.base,
            python=given.python,
            is_compiled=given.is_compiled,
            labels=labels,
        )

    def _make(self) -> Builder:
        if self._builder is None:
            self._builder = Builder(self._home / "layers", self._environment)
        return self._builder

    def _build(self, package: Package, commit: str) -> Built:
        return self._make().build(self._recipe(package, commit))

    def context(self, name: str, folder: Path, commit: str = "") -> Path:
        """Write a Dockerfile, with all it needs, that builds the image of a commit."""
        commit = commit or git.head_of(self.repository(name))
        recipe = self._recipe(self._package(name, commit), commit)
        builder = self._make()
        return write_context(builder.build(recipe), recipe, builder.base(recipe), folder)

    def _site(self, package: Package) -> Path | None:
        """Return the model's libraries unpacked, None for an ONNX model, which is asked here."""
        if package.settings.format is Format.ONNX:
            return None
        builder = self._make()
        wanted = Wanted(
            requirements=package.requirements,
            version=builder.base(self._recipe(package, "")).version,
            is_compiled=package.settings.is_compiled,
        )
        if wanted.is_empty:
            return None
        layer = Installer(self._environment).layer(wanted, builder.cache)
        target = self._home / "layers" / "sites" / layer.diff_id.removeprefix("sha256:")
        if not target.exists() and layer.path is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            with layer.path.open("rb") as file:
                archives.unpack(file, "the layer of libraries", target)
        return target / "opt" / "berth" / "site"

    def _ask_image(self, package: Package, site: Path | None) -> None:
        """Start the image's server from the image's files, and send it the golden requests."""
        with (
            tempfile.TemporaryDirectory(prefix="berth-golden-") as scratch,
            golden.Started(package.files, site, Path(scratch)) as started,
        ):
            golden.compare(started.endpoint, package.settings.name, package.example)

    def _push(self, given: ModelSettings, built: Built, commit: str) -> str:
        """Push the image where the model has a registry; return where it is."""
        if not given.image:
            return ""
        text = given.image if ":" in given.image.rpartition("/")[2] else f"{given.image}:latest"
        reference = distribution.parse(text)
        if text not in self._pushing:
            self._pushing[text] = distribution.Registry(reference, self._environment)
        registry = self._pushing[text]
        tags = (reference.tag if reference.tag != distribution.LATEST else commit[:12],)
        digest = registry.push(built.layers, built.config, built.manifest, tags=tags)
        return f"{reference.host}/{reference.repository}@{digest}"

    def _keep(self, name: str, built: Built, commit: str) -> Digest:
        """Keep the package, the layer of the model alone, where servers find it."""
        layer = next(layer for layer in built.layers if layer.role is Role.MODEL)
        labels = {"org.opencontainers.image.title": name, "berth.image": built.digest}
        with tempfile.TemporaryDirectory(prefix="berth-package-") as scratch:
            folder = Path(scratch) / "package"
            images.write_package(folder, layer.data or b"", labels=labels, tag=commit[:12])
            return self._registry.add(name, folder, tag=commit[:12])

    def _deploy(
        self,
        given: ModelSettings,
        release: Event,
        stage: Stage,
        journal: Journal,
        *,
        kind: Kind = Kind.DEPLOYED,
    ) -> Event:
        """Let the server of a stage serve a release."""
        endpoint = given.test if stage is Stage.TEST else given.production
        if not endpoint:
            message = f"model {given.name!r} has no server for {stage.value}"
            fix = f'name it in {settings.FILE}: [deploy] {stage.value} = "http://HOST:PORT"'
            raise RefusedError(message, fix=fix)
        package = release.package
        if package is None:
            raise NotFoundError(f"release {release.commit[:12]} has no package")
        self._server.swap(
            Deployment(
                pipeline=PipelineName(given.name),
                task=TaskName("serve"),
                run_id=RunId(f"git-{release.commit[:12]}"),
                wanted=package,
                endpoint=endpoint,
            )
        )
        event = Event(
            at=self._clock.now(),
            kind=kind,
            commit=release.commit,
            package=package,
            image=release.image,
            stage=stage.value,
        )
        journal.append(event)
        tag = _TEST_TAG if stage is Stage.TEST else _PRODUCTION_TAG
        self._registry.tag(given.name, package, tag)
        return event

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())


def _described(
    files: Mapping[str, bytes], where: str
) -> tuple[ModelSettings, dict[str, weights.Weight]]:
    """Return what the files of a model say of it, and of its weights."""
    if settings.FILE not in files:
        message = f"{where} has no {settings.FILE}"
        raise RefusedError(message, fix="`berth model init NAME` writes one")
    given = settings.read(files[settings.FILE].decode(errors="replace"))
    return given, weights.read(files.get(settings.WEIGHTS_FILE, b"{}"))


def _refuse_failed(name: str, judged: tuple[Gate, ...]) -> None:
    """Refuse a model whose tests do not all hold."""
    failed = [f"{gate.name}: {gate.said}" for gate in judged if not gate.holds]
    if failed:
        message = f"model {name!r} fails its tests: {'; '.join(failed)}"
        raise RefusedError(message, fix="repair the model, then push again", code="M004")
