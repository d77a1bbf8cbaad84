"""Hostile models and archives are found, harmless ones are not, nothing is run."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path

import pytest

from benchmarks.packaging import _hostile
from engine.model.scans import FindingSeverity
from executors.packaging.security.components import Component
from executors.packaging.security.scanning import credentials, licences, pickles, requirements
from executors.packaging.security.scanning.limits import Limits
from executors.packaging.security.scanning.members import Walk
from executors.packaging.security.scanning.offline import OfflineScanner
from tests.unit.security.conftest import package

HOSTILE = _hostile.hostile(Path("/nonexistent/mark"))
HARMLESS = _hostile.harmless()
HIGH = FindingSeverity.HIGH.rank


def hostile(name: str) -> bytes:
    return HOSTILE[name] if name in HOSTILE else _hostile.BOMBS[name]()


@pytest.mark.parametrize("name", [*HOSTILE, *_hostile.BOMBS])
def test_a_hostile_file_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(hostile(name))
    worst = OfflineScanner().scan(tmp_path / name).worst
    assert worst is not None
    assert worst.rank >= HIGH


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_file_is_let_be(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(HARMLESS[name])
    found = OfflineScanner().scan(tmp_path / name).findings
    assert [f for f in found if f.severity.rank >= HIGH] == []


def test_globals_are_named_as_the_pickle_has_them() -> None:
    facts = pickles.follow(HOSTILE["memo.pkl"])
    assert facts.globals == [("posix", "system")]
    assert facts.stops == 1


def test_a_name_that_is_computed_is_critical() -> None:
    found = list(pickles.findings("a", b"\x80\x04NN\x93."))
    assert found[-1].severity is FindingSeverity.CRITICAL
    assert "computes" in found[-1].message


def test_a_name_with_dots_is_critical() -> None:
    data = b"\x80\x04\x8c\x05numpy\x8c\x09os.system\x93."
    assert {f.severity for f in pickles.findings("a", data)} >= {FindingSeverity.CRITICAL}


def test_a_pickle_of_plain_values_is_high_alone() -> None:
    data = pickle.dumps({"a": [1, 2.5, "text"]})
    assert [f.code for f in pickles.findings("a", data)] == ["pickle.file"]


def test_endless_instructions_end_with_a_finding() -> None:
    facts = pickles.follow(b"\x80\x04" + b"N0" * 1_000 + b"N.", instructions_max=100)
    assert "100" in facts.fault


def test_a_bomb_is_counted_not_believed() -> None:
    walk = Walk(Limits(ratio_bytes_min=1, ratio_max=10.0))
    assert len(list(walk.members("a", hostile("bomb.gz")))) == 1
    assert [f.code for f in walk.findings] == ["archive.bomb"]


def test_the_total_is_limited_over_all_members() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in "abc":
            entry = tarfile.TarInfo(name)
            entry.size = 600
            archive.addfile(entry, io.BytesIO(bytes(range(200)) * 3))
    walk = Walk(Limits(bytes_max=1_000))
    assert [m.place for m in walk.members("x", buffer.getvalue())] == ["x", "x!a"]
    assert [f.code for f in walk.findings] == ["archive.size"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("key = '" + "AKIA" + "ABCDEFGHIJKLMNOP'", "secret.aws-access-key"),
        ("gh" + "p_" + "a1B2" * 9, "secret.github-token"),
        ("postgres" + "://user:s3cretpw@db/x", "secret.password-in-an-address"),
        ("password" + " = 'Xk29vLq8ZmT4'", "secret.password"),
        ("-----BEGIN " + "PRIVATE KEY-----\n" + "MIGH" * 8, "secret.private-key"),
    ],
)
def test_a_credential_is_found_and_not_shown(text: str, code: str) -> None:
    (found,) = credentials.findings("a", b"\n" + text.encode())
    assert found.code == code
    assert "line 2" in found.message
    assert text not in found.message


@pytest.mark.parametrize("text", ["password = 'changeme-please'", "api_key: 'aaaaaaaaaaaa'"])
def test_a_placeholder_is_no_credential(text: str) -> None:
    assert list(credentials.findings("a", text.encode())) == []


@pytest.mark.parametrize(
    ("line", "codes"),
    [
        ("numpy", {"requirement.unpinned", "requirement.unhashed"}),
        ("numpy==2.*", {"requirement.unpinned", "requirement.unhashed"}),
        ("numpy==2.1 ; python_version > '3'", {"requirement.unhashed"}),
        ("numpy==2.1 --hash=sha256:ab", set()),
        ("--extra-index-url https://x.example", {"requirement.index"}),
        ("--trusted-host x", {"requirement.insecure"}),
        ("a @ git+https://x.example/a", {"requirement.unpinned", "requirement.unhashed"}),
        ("a @ git+https://x.example/a@" + "0a" * 20, {"requirement.unhashed"}),
        ("# numpy", set()),
    ],
)
def test_requirements_are_read_line_by_line(line: str, codes: set[str]) -> None:
    assert {f.code for f in requirements.findings("a", line.encode())} == codes


@pytest.mark.parametrize(
    ("expression", "codes"),
    [
        ("MIT", []),
        ("AGPL-3.0-only", ["licence.copyleft"]),
        ("MIT OR GPL-3.0-only", []),
        ("GPL-3.0-only WITH GCC-exception-3.1", []),
        ("LGPL-3.0-only", []),
        ("Proprietary", ["licence.closed"]),
        ("", ["licence.unknown"]),
    ],
)
def test_licences_that_bind_are_named(expression: str, codes: list[str]) -> None:
    component = Component(name="a", version="1", expression=expression)
    assert [f.code for f in licences.findings([component])] == codes


def test_files_of_the_system_are_not_opened(tmp_path: Path) -> None:
    package(tmp_path / "image", model_pkl=HOSTILE["pickle-4.pkl"])
    found = OfflineScanner().scan(tmp_path / "image").findings
    assert {f.place for f in found} == {"models/model.pkl"}


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").symlink_to("/etc/shadow")
    (found,) = OfflineScanner().scan(tmp_path).findings
    assert found.code == "archive.link.outside"
