"""Whether signed images are accepted and all others refused, by skopeo, podman, openssl and Berth.

A heart-disease model is packaged twice by the built-in tasks, in two data folders with the same
key. It is pushed to Debian's docker-registry on loopback and signed by GPG; skopeo and podman pull
it under a policy that asks for that signature, then what is unsigned, tampered with, or signed by
another key. The signature in cosign's form is fetched back and verified by Berth and by openssl.
The model server's own way to a package is asked for the same cases. Bills of the image and of this
environment are validated by cyclonedx-python-lib. Hostile models and archives are scanned in a
confined process; so are harmless ones.
"""

import base64
import shutil
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import frame
from benchmarks.packaging import _hostile, _signing
from benchmarks.serving import _heart
from engine.model.errors import BerthError
from engine.model.identifiers import Digest
from engine.model.scans import FindingSeverity
from executors.packaging import images
from executors.packaging.registry import OciRegistry
from executors.packaging.security import attachments, sbom
from executors.packaging.security.attachments import Suffix
from executors.packaging.security.sandbox.calls import ConfinedScanner
from executors.packaging.security.signing import cosign, gpg, keys
from executors.serving.packages import Packages

PASSPHRASE = "of the benchmark"  # noqa: S105 - guards a key that lives for a minute
PEERS = Path.home() / ".cache" / "berth" / "peers"
NAME = _heart.PIPELINE
SAME = (Suffix.BILL, Suffix.SIGNATURES)


@dataclass(frozen=True, slots=True)
class World:
    """What all parts need: the packaged model, the registry, the keys."""

    scratch: Path
    home: Path
    address: str
    digest: Digest
    trusted: _signing.Gpg
    other: _signing.Gpg

    @property
    def layout(self) -> Path:
        """The layout of the model."""
        return OciRegistry(self.home / "models").layout(NAME)


def run(context: frame.Context) -> Iterator[frame.Figure]:
    """Yields the figures of all parts."""
    absent = _signing.missing()
    if absent:
        raise frame.BenchmarkError(f"not run: install {', '.join(absent)} of Debian")
    data = context.file("training/heart-disease*.csv")
    homes = [context.scratch / "first", context.scratch / "second"]
    homes[0].mkdir()
    keys.make(homes[0] / "signing.key", passphrase=None)
    homes[1].mkdir()
    shutil.copy2(homes[0] / "signing.key", homes[1] / "signing.key")
    digests = [_packaged(home, data) for home in homes]
    yield frame.at_most(
        "digests of the image packaged again that differ", digests[0] != digests[1], 0
    )
    yield frame.at_most(
        "bill and signature packaged again that differ", _differing(homes, digests[0]), 0
    )
    gpg_keys = [
        _signing.gpg_key(context.scratch, name, PASSPHRASE) for name in ("trusted", "other")
    ]
    try:
        with _signing.registry(context.scratch / "registry") as address:
            world = World(context.scratch, homes[0], address, digests[0], *gpg_keys)
            yield from pulls(world)
            yield from cosign_form(world)
    finally:
        for key in gpg_keys:
            _signing.stop_agent(key)
    yield from server(world)
    yield from bills(world)
    yield from scans(context.scratch / "scans")


def _packaged(home: Path, data: Path) -> Digest:
    """Packages the tree of the heart records; returns the image's digest."""
    heart = _heart.Heart(home, data)
    heart.package(("tree",), trials=2)
    return Digest(str(heart.ended["package-tree"].outputs["digest"]))


def _differing(homes: list[Path], digest: Digest) -> int:
    """Returns whether bills and signatures of the two images differ, as a count.

    Provenance does: it names the trained file, in which skops writes the time.
    """
    layouts = [OciRegistry(home / "models").layout(NAME) for home in homes]
    found = [[attachments.read(each, digest, suffix) for suffix in SAME] for each in layouts]
    return sum(first != second or not first for first, second in zip(*found, strict=True))


def pulls(world: World) -> Iterator[frame.Figure]:
    """Yields what skopeo and podman accept and refuse."""
    folder = world.scratch / "pulls"
    folder.mkdir()
    puller = _signing.Puller.trusting(folder, world.address, world.trusted.public)
    references = {
        case: f"{world.address}/heart/{case}:r-1"
        for case in ("signed", "unsigned", "tampered", "wrong-key", "broken")
    }
    for case, reference in references.items():
        source = _other_image(world) if case == "tampered" else world.layout
        _signing.push(source, "r-1", reference)
    began = time.perf_counter()
    _sign(world, puller, references["signed"], world.trusted)
    seconds = time.perf_counter() - began
    _sign(world, puller, references["wrong-key"], world.other)
    # The image was changed after it was signed: the signature is of the digest before.
    signature = _sign(world, puller, references["tampered"], world.trusted)
    changed = images.read_image(_other_image(world)).digest
    place = puller.lookaside / gpg.place_of(references["tampered"], changed)
    place.mkdir(parents=True)
    shutil.copy(signature, place / "signature-1")
    broken = _sign(world, puller, references["broken"], world.trusted)
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(bytes(data))
    for program in (puller.skopeo, puller.podman):
        yield from _judged(program.__name__, program, references)
    yield frame.informs("signing by GPG", seconds * 1000, unit="ms")


def _judged(
    name: str, pull: Callable[[str], str], references: dict[str, str]
) -> Iterator[frame.Figure]:
    """Yields whether a program accepts the signed image and refuses the others, for this reason."""
    told = {case: pull(reference) for case, reference in references.items()}
    yield frame.at_least(f"{name} accepts the signed image", not told["signed"], 1)
    for case in ("unsigned", "tampered", "wrong-key", "broken"):
        # A refusal for another reason, such as a registry that is gone, proves nothing.
        right = "signature" in told[case].lower() or "signed" in told[case].lower()
        yield frame.at_least(f"{name} refuses: {case}", bool(told[case]) and right, 1)


def _sign(world: World, puller: _signing.Puller, reference: str, key: _signing.Gpg) -> Path:
    """Signs the packaged model under a reference."""
    used = gpg.GpgKey(fingerprint=key.fingerprint, homedir=key.home, passphrase=PASSPHRASE.encode())
    return gpg.sign(puller.lookaside, reference, world.digest, used)


def _other_image(world: World) -> Path:
    """Returns a layout with the model's files, one byte of them changed."""
    layout = world.scratch / "tampered"
    if not layout.exists():
        image = images.read_image(world.layout, world.digest)
        files = dict(image.files)
        files["example.json"] += b"\n"
        images.write_image(layout, files, labels=image.labels, tag="r-1")
    return layout


def cosign_form(world: World) -> Iterator[frame.Figure]:
    """Yields what Berth and openssl say of the signature that the registry gives back."""
    tag = attachments.tag_of(world.digest, Suffix.SIGNATURES)
    reference = f"{world.address}/heart/signed:{tag}"
    _signing.push(world.layout / attachments.FOLDER, tag, reference)
    fetched = world.scratch / "fetched"
    fetched.mkdir()
    must = ("skopeo", "copy", "--insecure-policy", "--src-tls-verify=false")
    _signing.must(*must, f"docker://{reference}", f"oci:{fetched / attachments.FOLDER}:{tag}")
    key = keys.read_private(world.home / "signing.key", {})
    (world.scratch / "keys").mkdir()
    wrong = keys.make(world.scratch / "keys" / "wrong.key", passphrase=None)
    part = attachments.read(fetched, world.digest, Suffix.SIGNATURES)[0]
    signature = base64.b64decode(part.annotations[cosign.SIGNATURE])
    ours = {
        "accepts": bool(cosign.signers(fetched, world.digest, [key.public])),
        "refuses another key": not cosign.signers(fetched, world.digest, [wrong]),
        "refuses another digest": not cosign.signers(fetched, _moved(world, fetched), [key.public]),
    }
    for name, holds in ours.items():
        yield frame.at_least(f"cosign's form: Berth {name}", holds, 1)
    folder = world.scratch / "openssl"
    folder.mkdir()
    pem, payload = key.public.pem, part.data
    theirs = {
        "accepts": _signing.openssl_verifies(folder, pem, payload, signature),
        "refuses another key": not _signing.openssl_verifies(folder, wrong.pem, payload, signature),
        "refuses a changed payload": not _signing.openssl_verifies(
            folder, pem, payload + b" ", signature
        ),
    }
    for name, holds in theirs.items():
        yield frame.at_least(f"cosign's form: openssl {name}", holds, 1)


def _moved(world: World, fetched: Path) -> str:
    """Attaches the fetched signature to another digest; returns that."""
    parts = attachments.read(fetched, world.digest, Suffix.SIGNATURES)
    other = images.read_image(_other_image(world)).digest
    attachments.write(fetched, other, Suffix.SIGNATURES, parts)
    return other


def server(world: World) -> Iterator[frame.Figure]:
    """Yields what the model server loads under a policy that asks for a signature."""
    key = keys.read_private(world.home / "signing.key", {}).public
    folder = world.scratch / "policy"
    folder.mkdir()
    (folder / "team.pub").write_bytes(key.pem)
    (folder / "other.pub").write_bytes(keys.make(folder / "other.key", passphrase=None).pem)
    asked = "policy: {0}\nsignatures: {{by: {0}.pub}}\nprovenance: {{builders: {1}}}\n"
    builder = "https://berth.dev/builders/local"
    for name in ("team", "other"):
        (folder / f"{name}.yaml").write_text(asked.format(name, builder), encoding="utf-8")
    bare = world.scratch / "bare"
    shutil.copytree(world.layout, bare)
    attachments.remove(bare)
    tampered = world.scratch / "tampered-with-signature"
    shutil.copytree(_other_image(world), tampered)
    shutil.copytree(world.layout / attachments.FOLDER, tampered / attachments.FOLDER)
    pickled = world.scratch / "pickled"
    images.write_image(
        pickled, {"model.pkl": next(iter(_hostile.hostile(pickled).values()))}, labels={}
    )
    cases = {
        "loads the signed package": ("team", world.layout, True),
        "refuses: unsigned": ("team", bare, False),
        "refuses: tampered": ("team", tampered, False),
        "refuses: wrong key": ("other", world.layout, False),
        "loads an unsigned package under the default policy": ("", bare, True),
        "refuses: a pickle under the default policy": ("", pickled, False),
    }
    for name, (policy, layout, wanted) in cases.items():
        environment = {"BERTH_POLICY": str(folder / f"{policy}.yaml")} if policy else {}
        yield frame.at_least(f"the server {name}", _loads(layout, environment) is wanted, 1)
    packages = Packages(NAME, {"BERTH_POLICY": str(folder / "team.yaml")})
    began = time.perf_counter()
    packages.load(world.digest, world.layout)
    yield frame.informs("loading it, verified", (time.perf_counter() - began) * 1000, unit="ms")


def _loads(layout: Path, environment: dict[str, str]) -> bool:
    try:
        Packages(NAME, environment).load("", layout)
    except BerthError:
        return False
    return True


def bills(world: World) -> Iterator[frame.Figure]:
    """Yields whether the bills validate."""
    command = _signing.validator(PEERS)
    site = Path(sysconfig.get_path("purelib"))
    began = time.perf_counter()
    documents = {
        "the image": sbom.of_image(world.layout, world.digest),
        "here": sbom.of_folder(site),
    }
    seconds = time.perf_counter() - began
    if command is None:
        raise frame.BenchmarkError("not run: cyclonedx-python-lib cannot be installed here")
    for name, document in documents.items():
        path = world.scratch / "bill.json"
        path.write_bytes(images.canonical(document))
        done = _signing.run(*command, str(path))
        count = len(document["components"])
        yield frame.at_least(
            f"bill of {name} validates (CycloneDX 1.6)",
            done.returncode == 0,
            1,
            anchor=f"{count} components",
        )
    again = sbom.of_image(world.layout, world.digest) == documents["the image"]
    yield frame.at_least("bill written again is the same", again, 1)
    yield frame.informs(
        "writing both bills", seconds, unit="s", anchor="cyclonedx-bom 6.2 s for 62"
    )


def scans(folder: Path) -> Iterator[frame.Figure]:
    """Yields how many hostile files are found, and how many harmless ones are not."""
    mark = folder / _hostile.HARM
    bombs = {name: make() for name, make in _hostile.BOMBS.items()}
    made = {"hostile": _hostile.hostile(mark) | bombs, "harmless": _hostile.harmless()}
    for kind, files in made.items():
        place = folder / kind
        place.mkdir(parents=True)
        for name, data in files.items():
            (place / name).write_bytes(data)
    scanner = ConfinedScanner()
    report = scanner.scan(folder / "hostile")
    high = FindingSeverity.HIGH.rank
    found = {f.place.partition("!")[0] for f in report.findings if f.severity.rank >= high}
    missed = sorted(set(made["hostile"]) - found)
    yield frame.at_most(
        f"hostile files of {len(made['hostile'])} that are not refused",
        len(missed),
        0,
        anchor=", ".join(missed),
    )
    calm = scanner.scan(folder / "harmless")
    wrong = sorted({f.place for f in calm.findings if f.severity.rank >= high})
    yield frame.at_most(
        f"harmless files of {len(made['harmless'])} that are refused",
        len(wrong),
        0,
        anchor=", ".join(wrong),
    )
    yield frame.at_most("hostile files that did harm", mark.exists(), 0)
    missing = len([each for each in report.not_run if each.startswith("confined without")])
    yield frame.informs("measures of confinement not applied", missing)
