"""A push becomes a served model: tests, image, golden requests, test, production.

    commit -> package (settings, weights by digest) -> gates -> image -> golden requests to it
           -> bill, scan, provenance, signature -> policy -> registry
           -> test -> golden requests there -> production, by hand or by policy

Every step that fails leaves what serves as it is, and a line in the journal that says why. The
same commit delivered again changes nothing.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from engine.model.errors import BerthError, NotFoundError, RefusedError
from engine.model.identifiers import Digest
from engine.model.scans import ScanReport
from engine.ports import Clock, ModelServer
from executors.local.artifacts import FolderArtifacts
from executors.packaging import images
from executors.packaging.registry import OciRegistry
from executors.packaging.repository import gates, git, settings, weights
from executors.packaging.repository.clock import StageClock, Step
from executors.packaging.repository.gates import Checker, Gate
from executors.packaging.repository.image import golden
from executors.packaging.repository.image.asking import Ahead, ImageServer
from executors.packaging.repository.image.attesting import Attestor, Made
from executors.packaging.repository.image.building import Images
from executors.packaging.repository.package import Package, assemble
from executors.packaging.repository.releases import Event, Journal, Kind, Stage
from executors.packaging.repository.settings import Format, ModelSettings, Promotion
from executors.packaging.repository.stages import Stages
from executors.packaging.repository.surroundings import Surroundings


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A package that is kept, and what a scan found in it."""

    digest: Digest
    report: ScanReport


class Delivery:
    """Delivers pushes. May be used from several threads; one model is delivered at a time.

    home: the data folder. server: what swaps models. engine_file: names the running engine.
    command: how the hook calls the command line where no engine runs. is_awaiting: whether more
    pushes will come to this process, so that what they need is made ready ahead.
    """

    def __init__(
        self,
        home: Path,
        server: ModelServer,
        clock: Clock,
        environment: Mapping[str, str],
        *,
        command: str = "berth",
        is_awaiting: bool = False,
    ) -> None:
        self._home = home
        self._root = home / "model-repositories"
        self._clock = clock
        self._command = command
        self._registry = OciRegistry(home / "models")
        self._stages = Stages(server, clock, self._registry)
        layers = home / "layers"
        self._images = Images(layers, environment)
        self._servers = Ahead(ImageServer)
        self._checkers = Ahead(Checker)
        self._attestor = Attestor(layers, {**environment, "BERTH_HOME": str(home)})
        self._is_awaiting = is_awaiting
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def close(self) -> None:
        """Close the connections to registries, and end what waits for a push."""
        self._images.close()
        self._servers.close()
        self._checkers.close()
        self._attestor.close()

    # ------------------------------------------------------------ repositories

    @property
    def artifacts(self) -> FolderArtifacts:
        """Where weights are kept: apart from what tasks wrote, which an engine removes in time."""
        return FolderArtifacts(self._home / "weights")

    def repository(self, name: str) -> Path:
        """Return the repository that is pushed to.

        Raises:
            RefusedError: when the name cannot name a model.
        """
        if not settings.NAME.match(name):
            fix = "use at most 128 small letters, digits and - . _"
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
            before = len(journal.events())
            try:
                return self._deliver(name, commit, journal)
            except BerthError as error:
                journal.append(
                    Event(
                        at=self._clock.now(),
                        kind=Kind.REFUSED,
                        commit=commit,
                        package=_released(journal.events()[before:]),
                        reason=error.message,
                    )
                )
                raise
            finally:
                self._servers.put_away()
                self._checkers.put_away()
                if not self._is_awaiting:
                    self._attestor.close()

    def _deliver(self, name: str, commit: str, journal: Journal) -> Delivered:
        # What is thrown away is put away last, when the new model serves already.
        with tempfile.TemporaryDirectory(prefix="berth-delivery-") as scratch:
            return self._delivered(name, commit, journal, Path(scratch))

    def _delivered(self, name: str, commit: str, journal: Journal, scratch: Path) -> Delivered:
        clock = StageClock()
        with clock.measure(Step.READ):
            package = self._package(name, commit)
        self._attestor.prepare()  # its process starts while the model is tested
        if _holds_pickle(package):
            made = Made(package=package, built=self._images.build(package, commit), commit=commit)
            self._vouched(made, scratch / "asked")  # before anything opens it
        with clock.measure(Step.ENVIRONMENT):
            around = self._tested_with(package)
            server = self._begin(package)
        try:
            with clock.measure(Step.TESTS):
                judged = self._judged(package, around)
                _refuse_failed(name, judged)
            with clock.measure(Step.BUILD):
                built = self._images.build(package, commit)
            made = Made(package=package, built=built, commit=commit)
            kept, image = self._keep(made, server, clock, scratch / "package")
        finally:
            if server is not None:
                self._servers.give_back(server)
        with ThreadPoolExecutor(1) as beside:
            attested = beside.submit(self._attest, made, kept.report, scratch / "image")
            stages = self._serve(made, kept.digest, image, clock)
            self._prepare(package)
        self._tell(attested, commit, journal)
        return Delivered(
            name=name,
            commit=commit,
            package=kept.digest,
            image=image,
            gates=judged,
            stages=stages,
            seconds=clock.seconds,
        )

    def _serve(
        self, made: Made, package: Digest, image: str, clock: StageClock
    ) -> tuple[Stage, ...]:
        """Note the release, and let the servers serve it as the model's settings say."""
        given, commit = made.package.settings, made.commit
        journal = self.journal(given.name)
        stages: list[Stage] = []
        released = Event(
            at=self._clock.now(), kind=Kind.RELEASED, commit=commit, package=package, image=image
        )
        journal.append(released)
        if given.test:
            with clock.measure(Step.DEPLOY_TEST):
                self._stages.deploy(given, released, Stage.TEST, journal)
            with clock.measure(Step.GOLDEN):
                golden.compare(given.test, given.name, made.package.example)
            stages.append(Stage.TEST)
        if given.promotion is Promotion.AFTER_TESTS and given.production:
            with clock.measure(Step.DEPLOY):
                self._stages.deploy(given, released, Stage.PRODUCTION, journal)
            stages.append(Stage.PRODUCTION)
        return tuple(stages)

    def try_folder(self, folder: Path) -> tuple[Gate, ...]:
        """Return the tests of the model in a working folder; nothing is kept.

        Raises:
            InvalidInputError, DamagedError, NotFoundError: as `deliver`.
            RefusedError: when the model holds a pickle.
        """
        files = git.files_here(folder)
        given, wanted = _described(files, str(folder))
        found = {name: (folder / name).read_bytes() for name in wanted if (folder / name).is_file()}
        rest = {name: weight for name, weight in wanted.items() if name not in found}
        weights.check(found, wanted)
        package = assemble(files, {**found, **weights.fetch(rest, self.artifacts)}, given)
        if _holds_pickle(package):
            message = f"{given.name!r} holds a pickle, which is not opened before it is allowed"
            raise RefusedError(message, fix="push it: the refusal names what is to be allowed")
        try:
            return self._judged(package, self._tested_with(package))
        finally:
            self._checkers.put_away()

    def promote(self, name: str, release: str = "") -> Event:
        """Serve a release (the newest by default) in production, after its golden requests.

        Raises:
            NotFoundError: when there is no such release.
            RefusedError: when the model has no production server.
        """
        journal = self.journal(name)
        with self._lock(name):
            found = journal.find(release)
            given, _, _ = self._read(name, found.commit)
            return self._stages.deploy(given, found, Stage.PRODUCTION, journal)

    def roll_back(self, name: str) -> Event:
        """Serve in production what served before.

        Raises:
            NotFoundError: when nothing did.
        """
        journal = self.journal(name)
        with self._lock(name):
            found = journal.before(Stage.PRODUCTION)
            given, _, _ = self._read(name, found.commit)
            return self._stages.deploy(
                given, found, Stage.PRODUCTION, journal, kind=Kind.ROLLED_BACK
            )

    # ------------------------------------------------------------------- parts

    def _package(self, name: str, commit: str) -> Package:
        given, code, wanted = self._read(name, commit)
        return assemble(code, weights.fetch(wanted, self.artifacts), given)

    def _read(
        self, name: str, commit: str
    ) -> tuple[ModelSettings, Mapping[str, bytes], Mapping[str, weights.Weight]]:
        """Return settings, files and weights of a commit; the weights by their digests."""
        code = git.files_of(self.repository(name), commit)
        given, wanted = _described(code, f"commit {commit[:12]} of {name!r}")
        if given.name != name:
            message = f"{settings.FILE} names {given.name!r}, the repository {name!r}"
            raise RefusedError(message, fix="change `name`, or push to the other repository")
        return given, code, wanted

    def context(self, name: str, folder: Path, commit: str = "") -> Path:
        """Write a Dockerfile, with all it needs, that builds the image of a commit."""
        commit = commit or git.head_of(self.repository(name))
        return self._images.context(self._package(name, commit), commit, folder)

    def _begin(self, package: Package) -> ImageServer | None:
        """Let the image's server load the model while it is tested and built here."""
        if not package.settings.is_asked:
            return None
        server = self._servers.take(self._images.surroundings(package))
        server.begin(package.files)
        return server

    def _judged(self, package: Package, around: Surroundings) -> tuple[Gate, ...]:
        """Return the tests of a model, made in a confined process."""
        checker = self._checkers.take(around)
        try:
            return gates.judge(package, checker)
        finally:
            self._checkers.give_back(checker)

    def _tested_with(self, package: Package) -> Surroundings:
        kind = package.settings.format
        return gates.surroundings(kind, None if kind is Format.ONNX else self._images.site(package))

    def _prepare(self, package: Package) -> None:
        """Begin what the next push needs, where pushes are awaited."""
        if not self._is_awaiting:
            return
        self._attestor.prepare()
        self._checkers.prepare(self._tested_with(package))
        if package.settings.is_asked:
            self._servers.prepare(self._images.surroundings(package))

    def _keep(
        self, made: Made, server: ImageServer | None, clock: StageClock, folder: Path
    ) -> tuple[_Kept, str]:
        """Keep the package and push the image, once the image's server and the policy agree.

        The blobs, which nobody names yet, are sent meanwhile. Returns what was kept, and where the
        image is.
        """
        given = made.package.settings
        with ThreadPoolExecutor(2) as beside:
            sending = beside.submit(self._images.send, given, made.built)
            keeping = beside.submit(self._kept, made, folder)
            with clock.measure(Step.GOLDEN):
                if server is not None:
                    golden.compare(server.endpoint(), given.name, made.package.example)
            with clock.measure(Step.ATTEST):
                kept = keeping.result()
            with clock.measure(Step.PUSH):
                sending.result()
                return kept, self._images.push(given, made.built, made.commit)

    def _kept(self, made: Made, folder: Path) -> _Kept:
        """Attach to the package, ask the policy, and keep the package where servers find it."""
        report = self._vouched(made, folder)
        name, tag = made.package.settings.name, made.commit[:12]
        return _Kept(digest=self._registry.add(name, folder, tag=tag), report=report)

    def _vouched(self, made: Made, folder: Path) -> ScanReport:
        """Write the package with all that is attached to it, and ask the policy."""
        given = made.package.settings
        labels = {
            "org.opencontainers.image.title": given.name,
            "berth.image": made.built.digest,
            images.FORMAT: given.format.value,
        }
        layer, tag = made.built.model.data or b"", made.commit[:12]
        digest = images.write_package(folder, layer, labels=labels, tag=tag, durable=False)
        return self._attestor.package(made, folder, digest)

    def _attest(self, made: Made, report: ScanReport, folder: Path) -> None:
        """Attach all to the image, and push that beside it.

        This goes on while the package is already served: until it is done, who asks for a
        signature of the image finds none and refuses it.
        """
        if made.package.settings.image:
            self._attestor.image(made, folder, report)
            self._images.push_attached(made.package.settings, folder)

    def _tell(self, attested: Future[None], commit: str, journal: Journal) -> None:
        """Note in the journal when what is attached to an image could not be pushed."""
        try:
            attested.result()
        except BerthError as error:
            journal.append(
                Event(
                    at=self._clock.now(),
                    kind=Kind.UNATTESTED,
                    commit=commit,
                    reason=f"{error.message}; {error.fix}",
                )
            )

    def _lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())


def _released(events: Sequence[Event]) -> Digest | None:
    """Return the package that a delivery released, None where it did not come so far."""
    found = (event.package for event in reversed(events) if event.kind is Kind.RELEASED)
    return next(found, None)


def _described(
    files: Mapping[str, bytes], where: str
) -> tuple[ModelSettings, dict[str, weights.Weight]]:
    """Return what the files of a model say of it, and of its weights."""
    if settings.FILE not in files:
        message = f"{where} has no {settings.FILE}"
        raise RefusedError(message, fix="`berth model init NAME` writes one")
    given = settings.read(files[settings.FILE].decode(errors="replace"))
    return given, weights.read(files.get(settings.WEIGHTS_FILE, b"{}"))


def _holds_pickle(package: Package) -> bool:
    """Say whether a model has a file that is a pickle, as far as can be seen at once."""
    return any(weights.is_pickle(name, data) for name, data in package.files.items())


def _refuse_failed(name: str, judged: tuple[Gate, ...]) -> None:
    """Refuse a model whose tests do not all hold."""
    failed = [f"{gate.name}: {gate.said}" for gate in judged if not gate.holds]
    if failed:
        message = f"model {name!r} fails its tests: {'; '.join(failed)}"
        raise RefusedError(message, fix="repair the model, then push again", code="M004")
