"""Keys, envelopes, statements and signatures: what is signed verifies, nothing else does."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

import pytest

from engine.model.errors import DamagedError, NotFoundError, RefusedError
from executors.packaging import images
from executors.packaging.security import attaching, attachments
from executors.packaging.security.attachments import Part, Suffix
from executors.packaging.security.signing import cosign, envelopes, gpg, keys, provenance
from tests.unit.security.conftest import BUILD, Signed, package


def test_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    keys.make(tmp_path / "a.key", passphrase=b"words")
    assert (tmp_path / "a.key").stat().st_mode & 0o777 == 0o600
    assert b"ENCRYPTED" in (tmp_path / "a.key").read_bytes()


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    keys.make(tmp_path / "a.key", passphrase=None)
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(RefusedError):
        keys.make(tmp_path / "a.key", passphrase=None)
    assert (tmp_path / "a.key").read_bytes() == before


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys.make(tmp_path / "a.key", passphrase=None)
    (tmp_path / "a.key").chmod(0o644)
    with pytest.raises(RefusedError, match="others"):
        keys.read_private(tmp_path / "a.key", {})


@pytest.mark.parametrize(
    "environment", [{}, {keys.PASSPHRASE: "wrong"}], ids=["without", "with a wrong one"]
)
def test_a_passphrase_is_needed_and_never_told(
    tmp_path: Path, environment: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keys.make(tmp_path / "a.key", passphrase=b"open sesame")
    with pytest.raises(RefusedError) as caught:
        keys.read_private(tmp_path / "a.key", environment)
    said = f"{caught.value.message} {caught.value.fix} {caplog.text}"
    assert "sesame" not in said
    assert "wrong'" not in said


def test_a_passphrase_may_stand_in_a_file(tmp_path: Path) -> None:
    keys.make(tmp_path / "a.key", passphrase=b"words")
    (tmp_path / "pass").write_text("words\n")
    found = keys.read_private(tmp_path / "a.key", {keys.PASSPHRASE_FILE: str(tmp_path / "pass")})
    assert found.public.identity == keys.read_public(tmp_path / "a.pub").identity


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pub").write_text("no key")
    with pytest.raises(RefusedError, match="PEM"):
        keys.read_public(tmp_path / "a.pub")
    with pytest.raises(NotFoundError):
        keys.read_public(tmp_path / "b.pub")


def test_a_signature_is_the_same_each_time(signed: Signed) -> None:
    assert signed.key.sign(b"data") == signed.key.sign(b"data")
    assert signed.key.public.verifies(signed.key.sign(b"data"), b"data")
    assert not signed.key.public.verifies(signed.key.sign(b"data"), b"date")


def test_the_encoding_of_dsse_is_that_of_its_specification() -> None:
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert envelopes.encoded("http://example.com/HelloWorld", b"hello world") == expected


def test_an_envelope_tells_who_signed_it(signed: Signed, tmp_path: Path) -> None:
    other = keys.make(tmp_path / "other.key", passphrase=None)
    sealed = envelopes.seal({"a": 1}, [signed.key])
    public = signed.key.public
    assert envelopes.signers(sealed, [public, other]) == {public.identity}
    assert envelopes.statement_of(sealed) == {"a": 1}


def test_a_changed_envelope_has_no_signer(signed: Signed) -> None:
    document = json.loads(envelopes.seal({"a": 1}, [signed.key]))
    document["payload"] = base64.b64encode(b'{"a":2}').decode()
    assert not envelopes.signers(images.canonical(document), [signed.key.public])


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"payloadType": "x"}', b"[" * 100_000])
def test_what_is_no_envelope_is_damaged(data: bytes) -> None:
    with pytest.raises(DamagedError):
        envelopes.statement_of(data)


def test_everything_is_attached_under_tags_of_cosign(signed: Signed) -> None:
    stem = f"sha256-{signed.digest.removeprefix('sha256:')}"
    assert attachments.tags(signed.layout) == (f"{stem}.att", f"{stem}.sbom", f"{stem}.sig")


def test_provenance_names_image_builder_and_run(signed: Signed) -> None:
    parts = attachments.read(signed.layout, signed.digest, Suffix.ATTESTATIONS)
    statement = envelopes.statement_of(parts[0].data)
    assert provenance.is_about(statement, signed.digest, provenance.PREDICATE)
    assert not provenance.is_about(statement, "sha256:" + "0" * 64, provenance.PREDICATE)
    assert provenance.builder_of(statement) == provenance.BUILDER
    assert statement["predicate"]["runDetails"]["metadata"] == {"invocationId": "r-1"}


def test_a_signature_counts_for_its_image_alone(signed: Signed) -> None:
    public = signed.key.public
    assert cosign.signers(signed.layout, signed.digest, [public]) == {public.identity}
    other = package(signed.folder / "other", more_txt=b"x")
    parts = attachments.read(signed.layout, signed.digest, Suffix.SIGNATURES)
    attachments.write(signed.folder / "other", other, Suffix.SIGNATURES, parts)
    assert not cosign.signers(signed.folder / "other", other, [public])


@pytest.mark.parametrize(
    "part",
    [
        Part(media_type=cosign.PAYLOAD_TYPE, data=b"{}"),
        Part(media_type=cosign.PAYLOAD_TYPE, data=b"x", annotations={cosign.SIGNATURE: "!"}),
        Part(media_type="text/plain", data=b"{}"),
    ],
)
def test_a_senseless_signature_is_passed_over(signed: Signed, part: Part) -> None:
    attachments.write(signed.layout, signed.digest, Suffix.SIGNATURES, [part])
    assert not cosign.signers(signed.layout, signed.digest, [signed.key.public])


def test_attaching_again_changes_nothing(signed: Signed) -> None:
    before = (signed.layout / "attached" / "index.json").read_bytes()
    environment = {"BERTH_HOME": str(signed.folder)}
    attaching.attach(signed.layout, signed.digest, BUILD, environment=environment)
    assert (signed.layout / "attached" / "index.json").read_bytes() == before


def test_without_a_key_nothing_is_signed(tmp_path: Path) -> None:
    digest = package(tmp_path / "image")
    attaching.attach(tmp_path / "image", digest, BUILD, environment={"BERTH_HOME": str(tmp_path)})
    assert not attachments.read(tmp_path / "image", digest, Suffix.SIGNATURES)
    assert attachments.read(tmp_path / "image", digest, Suffix.BILL)


def test_a_damaged_attachment_is_told(signed: Signed) -> None:
    blobs = signed.layout / "attached" / "blobs" / "sha256"
    bill = attachments.read(signed.layout, signed.digest, Suffix.BILL)[0].data
    (blobs / images.digest_of(bill).removeprefix("sha256:")).write_bytes(b"!" * len(bill))
    with pytest.raises(DamagedError):
        attachments.read(signed.layout, signed.digest, Suffix.BILL)


@pytest.mark.parametrize("reference", ["heart", "host/", "host/../x:1", "/x"])
def test_a_reference_without_a_repository_is_refused(reference: str) -> None:
    with pytest.raises(RefusedError):
        gpg.place_of(reference, "sha256:ab")


def test_the_place_in_a_lookaside_is_that_of_its_specification() -> None:
    assert gpg.place_of("host:5000/a/b:tag", "sha256:ab") == "a/b@sha256=ab"
