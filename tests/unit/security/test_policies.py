"""What policies let through, and faults of policies with their places."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.model.errors import InvalidInputError, RefusedError
from engine.model.identifiers import Digest
from engine.model.scans import FindingSeverity
from executors.packaging import images
from executors.packaging.security import attachments, layouts
from executors.packaging.security.policies import judging
from executors.packaging.security.policies.gate import Gate
from executors.packaging.security.policies.policy import (
    AllowedFinding,
    AllowedPickle,
    Policy,
    RefusalReason,
    TrustedKey,
    Verdict,
)
from executors.packaging.security.policies.reading import read_policy
from executors.packaging.security.scanning.formats import Format
from executors.packaging.security.signing import cosign, keys, provenance
from tests.unit.security.conftest import Signed, package
from tests.unit.security.test_scanning import HOSTILE

PLAIN_PICKLE = b"\x80\x04K\x01."


def trusting(signed: Signed, **more: object) -> Policy:
    key = TrustedKey(name="team.pub", pem=signed.public.read_bytes())
    return Policy(**{"keys": (key,), **more})


def reasons(verdict: Verdict) -> set[RefusalReason]:
    return {refusal.reason for refusal in verdict.refusals}


def test_a_signed_image_is_allowed(signed: Signed) -> None:
    policy = trusting(signed, builders=(provenance.BUILDER,))
    verdict = judging.judge(signed.layout, policy)
    assert (verdict.is_allowed, verdict.signers) == (True, ("team.pub",))
    assert verdict.scanned == "attested"


def test_an_unsigned_image_is_refused_for_each_reason(signed: Signed) -> None:
    attachments.remove(signed.layout)
    policy = trusting(signed, builders=(provenance.BUILDER,))
    verdict = judging.judge(signed.layout, policy)
    assert reasons(verdict) == {RefusalReason.UNSIGNED, RefusalReason.PROVENANCE}
    assert verdict.scanned == "now"


def test_an_unsigned_image_is_fine_by_default(signed: Signed) -> None:
    attachments.remove(signed.layout)
    assert judging.judge(signed.layout, Policy()).is_allowed


def test_another_key_does_not_count(signed: Signed, tmp_path: Path) -> None:
    other = keys.make(tmp_path / "other.key", passphrase=None)
    policy = Policy(keys=(TrustedKey(name="other.pub", pem=other.pem),))
    assert reasons(judging.judge(signed.layout, policy)) == {RefusalReason.UNSIGNED}


def test_another_builder_does_not_count(signed: Signed) -> None:
    verdict = judging.judge(signed.layout, trusting(signed, builders=("https://other",)))
    assert reasons(verdict) == {RefusalReason.PROVENANCE}
    assert provenance.BUILDER in verdict.refusals[0].message


def test_attachments_of_another_image_do_not_count(signed: Signed) -> None:
    package(signed.folder / "other", more_txt=b"x")
    shutil.copytree(signed.layout / "attached", signed.folder / "other" / "attached")
    assert not judging.judge(signed.folder / "other", trusting(signed)).is_allowed


def test_a_finding_above_the_worst_is_refused(tmp_path: Path) -> None:
    package(tmp_path, requirements_txt=b"--extra-index-url https://x.example\n")
    assert reasons(judging.judge(tmp_path, Policy())) == {RefusalReason.FINDING}
    high = Policy(worst=FindingSeverity.HIGH)
    assert judging.judge(tmp_path, high).is_allowed
    allowed = AllowedFinding(code="requirement.index", because="ours")
    assert judging.judge(tmp_path, Policy(allowed=(allowed,))).is_allowed


def test_a_format_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    package(tmp_path)
    only_skops = Policy(formats=(Format.SKOPS,))
    assert reasons(judging.judge(tmp_path, only_skops)) == {RefusalReason.FORMAT}


def pickled(signed: Signed, data: bytes, *, sign: bool) -> tuple[Path, Digest]:
    layout = signed.folder / "pickled"
    digest = package(layout, model_pkl=data)
    if sign:
        cosign.sign(layout, digest, "heart", signed.key)
    return layout, digest


@pytest.mark.parametrize(("sign", "named"), [(False, False), (False, True), (True, False)])
def test_a_pickle_is_refused(signed: Signed, *, sign: bool, named: bool) -> None:
    layout, digest = pickled(signed, PLAIN_PICKLE, sign=sign)
    permission = AllowedPickle(digest=digest, by="root", because="old")
    policy = trusting(
        signed, pickles=(permission,) if named else (), worst=FindingSeverity.CRITICAL
    )
    assert RefusalReason.PICKLE in reasons(judging.judge(layout, policy))


def test_a_pickle_of_a_signed_digest_may_be_allowed(signed: Signed) -> None:
    layout, digest = pickled(signed, PLAIN_PICKLE, sign=True)
    permission = AllowedPickle(digest=digest, by="root", because="old")
    assert judging.judge(layout, trusting(signed, pickles=(permission,))).is_allowed


def test_a_pickle_that_runs_programs_is_never_allowed(signed: Signed) -> None:
    layout, digest = pickled(signed, HOSTILE["pickle-4.pkl"], sign=True)
    permission = AllowedPickle(digest=digest, by="root", because="old")
    verdict = judging.judge(layout, trusting(signed, pickles=(permission,)))
    assert reasons(verdict) == {RefusalReason.PICKLE}


def test_the_gate_names_every_reason(signed: Signed) -> None:
    (signed.folder / "policy.yaml").write_text(
        "policy: strict\nsignatures: {by: signing.pub}\nformats: [skops]\n"
    )
    attachments.remove(signed.layout)
    with pytest.raises(RefusedError) as caught:
        Gate({"BERTH_HOME": str(signed.folder)}).check(signed.layout)
    assert "strict" in caught.value.message
    assert "signatures" in caught.value.message
    assert "onnx" in caught.value.message


def test_the_gate_takes_a_changed_policy_at_once(signed: Signed) -> None:
    gate = Gate({"BERTH_HOME": str(signed.folder)})
    assert gate.check(signed.layout).policy == "default"
    (signed.folder / "policy.yaml").write_text("policy: onlyskops\nformats: [skops]\n")
    with pytest.raises(RefusedError):
        gate.check(signed.layout)


def test_a_policy_with_faults_lets_nothing_through(signed: Signed) -> None:
    path = signed.folder / "policy.yaml"
    path.write_text("policy: x\nworst: low\n")
    with pytest.raises(InvalidInputError):
        Gate({"BERTH_POLICY": str(path)}).check(signed.layout)


def test_a_policy_that_is_named_and_absent_lets_nothing_through(signed: Signed) -> None:
    with pytest.raises(InvalidInputError):
        Gate({"BERTH_POLICY": str(signed.folder / "absent.yaml")}).check(signed.layout)


def test_a_whole_policy_is_read(signed: Signed) -> None:
    text = f"""\
policy: production
signatures: {{by: signing.pub, at least: 1}}
provenance: {{builders: [https://a.example]}}
scan:
  worst: low
  allow:
    - {{code: licence.copyleft, because: not passed on}}
formats: [onnx]
pickle:
  - {{digest: {signed.digest}, by: root, because: old}}
"""
    found = read_policy(text, name="p", folder=signed.folder)
    assert found.keys[0].name == "signing.pub"
    assert found.worst is FindingSeverity.LOW
    assert found.formats == (Format.ONNX,)
    assert found.pickle_of(signed.digest) is not None
    assert found.allowed[0].because == "not passed on"


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("policy: x\nsignature: {}\n", 2, 1, "unknown key"),
        ("policy: x\nscan: {worst: bad}\n", 2, 15, "severity"),
        ("policy: x\nformats: [pickle]\n", 2, 11, "format"),
        ("policy: x\nsignatures: {by: absent.pub}\n", 2, 18, "absent"),
        ("policy: x\nprovenance: {builders: [a]}\n", 2, 13, "signatures"),
        ("policy: x\nsignatures: {by: signing.pub, at least: 2}\n", 2, 41, "asked for"),
        ("policy: x\npickle: [{digest: abc, by: a, because: b}]\n", 2, 19, "digest"),
        ("scan: {}\n", 1, 1, "missing"),
    ],
)
def test_a_fault_has_its_place(
    signed: Signed, text: str, line: int, column: int, message: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_policy(text, name="p", folder=signed.folder)
    (found,) = caught.value.faults
    assert message in found.message
    assert (found.line, found.column) == (line, column)


def test_a_server_judges_the_layers_that_it_reads(tmp_path: Path) -> None:
    package(tmp_path, model_pkl=PLAIN_PICKLE)
    package(tmp_path / "clean")
    shutil.copytree(tmp_path / "clean" / "blobs", tmp_path / "blobs", dirs_exist_ok=True)
    below, clean = (
        layouts.manifest_of(folder).document for folder in (tmp_path, tmp_path / "clean")
    )
    model = {**clean["layers"][0], "annotations": {"berth.layer": "model"}}
    data = images.canonical({**below, "layers": [below["layers"][0], model]})
    entry = {"mediaType": images.MANIFEST_TYPE, "digest": images.digest_of(data), "size": len(data)}
    images.write_file(images.blob_path(tmp_path, images.digest_of(data)), data)
    images.write_index(tmp_path, [entry])
    assert judging.judge(tmp_path, Policy(), whole=False).is_allowed
    assert not judging.judge(tmp_path, Policy()).is_allowed


def test_the_gate_notices_what_is_taken_away(signed: Signed) -> None:
    (signed.folder / "policy.yaml").write_text("policy: p\nsignatures: {by: signing.pub}\n")
    gate = Gate({"BERTH_HOME": str(signed.folder)})
    assert gate.check(signed.layout) == gate.check(signed.layout)
    attachments.remove(signed.layout)
    with pytest.raises(RefusedError):
        gate.check(signed.layout)
