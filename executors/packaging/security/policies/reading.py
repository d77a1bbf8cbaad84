"""Policies from YAML; all faults come at once, each with line, column and fix."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.documents.codecs.base import Codec, Schema, Text, Whole, Word
from engine.documents.codecs.containers import Listed
from engine.documents.codecs.forms import Field, Form, Values, present
from engine.documents.sources import Node, TroubleError, fault, trouble
from engine.documents.yaml_text import parse_yaml
from engine.model.errors import BerthError, InvalidInputError
from engine.model.scans import FindingSeverity
from executors.packaging.security.policies.policy import (
    AllowedFinding,
    AllowedPickle,
    Policy,
    TrustedKey,
)
from executors.packaging.security.scanning.formats import Format
from executors.packaging.security.signing import keys

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class _DigestCodec(Codec[str]):
    """A digest."""

    def read(self, node: Node) -> str:
        """Return the digest."""
        text = Text("a digest").read(node)
        if not _DIGEST.fullmatch(text):
            message = f"{text!r} is no digest: `sha256:` and 64 hexadecimal digits"
            raise trouble("S004", node, message, fix="take it from `berth image verify`")
        return text

    def write(self, value: str) -> object:
        """Return the digest itself."""
        return value

    def schema(self) -> Schema:
        """Accept a digest."""
        return {"type": "string", "pattern": f"^{_DIGEST.pattern}$"}


@dataclass(frozen=True)
class _KeyCodec(Codec[TrustedKey]):
    """A file with a public key, relative to the policy's folder."""

    folder: Path

    def read(self, node: Node) -> TrustedKey:
        """Return the key; a file that is missing or no key is a fault."""
        name = Text("a file with a public key").read(node)
        try:
            key = keys.read_public(self.folder / name)
        except BerthError as error:
            raise trouble("S004", node, f"`{name}`: {error.message}", fix=error.fix) from error
        return TrustedKey(name=name, pem=key.pem)

    def write(self, value: TrustedKey) -> object:
        """Return the name of the file."""
        return value.name

    def schema(self) -> Schema:
        """Accept a path."""
        return {"type": "string", "minLength": 1}


def read_policy(text: str, *, name: str, folder: Path) -> Policy:
    """Read a policy from YAML.

    folder: where the files of keys are found.

    Raises:
        InvalidInputError: with all faults, each with line, column, caret length and code.
    """
    root, faults = parse_yaml(text, name)
    form = _form(folder)
    try:
        policy = form.read(root)
    except TroubleError as error:
        raise InvalidInputError(name, [*faults, *error.faults]) from error
    for key, wanted in (("provenance", policy.builders), ("pickle", policy.pickles)):
        if wanted and not policy.keys:
            node = (root.members or {}).get(key, root)
            message = f"`{key}` needs `signatures`: what nobody signed proves nothing"
            faults.append(fault("S003", node, message, fix="add `signatures: {by: KEY.pub}`"))
    if policy.keys and policy.signatures_min > len(policy.keys):
        node = root.find("signatures.at least") or root
        message = (
            f"{policy.signatures_min} signatures are asked for, and {len(policy.keys)} trusted"
        )
        faults.append(fault("S007", node, message, fix="list more keys under `by`"))
    if faults:
        raise InvalidInputError(name, faults)
    return policy


def load_policy(path: Path) -> Policy:
    """Read a file with a policy.

    Raises:
        InvalidInputError: when it cannot be read, or has faults.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = fault("U012", Node("", None), f"cannot be read: {error}", fix="see BERTH_POLICY")
        raise InvalidInputError(str(path), [found]) from error
    return read_policy(text, name=str(path), folder=path.parent)


def _form(folder: Path) -> Form[Policy]:
    """Return how a policy is written."""
    signatures = _plain(
        "the signatures",
        {
            "by": Field(Listed(_KeyCodec(folder), 64), "files with public keys", required=True),
            "at least": Field(Whole(1, 64), "how many of them must have signed"),
        },
    )
    provenance = _plain(
        "the provenance",
        {"builders": Field(Listed(Text("a builder"), 64), "whose word counts", required=True)},
    )
    severities = tuple(severity.value for severity in FindingSeverity)
    scan = _plain(
        "the scan",
        {
            "worst": Field(Word(severities, "severity"), "the worst that may be deployed"),
            "allow": Field(Listed(_ALLOWED, 1_000), "findings that do not count"),
        },
    )
    formats = tuple(kind.value for kind in Format if kind is not Format.PICKLE)
    return Form(
        "a policy",
        {
            "policy": Field(Text("a name", 100), "name of the policy", required=True),
            "signatures": Field(signatures, "who must have signed"),
            "provenance": Field(provenance, "who must have built it"),
            "scan": Field(scan, "what a scan may find"),
            "formats": Field(Listed(Word(formats, "format")), "formats of files in a package"),
            "pickle": Field(Listed(_PICKLE, 1_000), "signed images that may hold pickles"),
        },
        _build,
        _take,
    )


def _plain(what: str, fields: Mapping[str, Field]) -> Form[dict[str, Any]]:
    """Return a form whose value is what was written."""
    return Form(what, fields, dict, lambda value: value)


_ALLOWED: Form[AllowedFinding] = Form(
    "an allowed finding",
    {
        "code": Field(Text("a code", 100), "code of the finding", required=True),
        "because": Field(Text("a reason"), "why it does not count", required=True),
        "place": Field(Text("a place"), "where; anywhere when it is left out"),
    },
    lambda values: AllowedFinding(**values),
    lambda value: {"code": value.code, "because": value.because, "place": value.place or None},
)
_PICKLE: Form[AllowedPickle] = Form(
    "an allowed pickle",
    {
        "digest": Field(_DigestCodec(), "digest of the image", required=True),
        "by": Field(Text("a name", 200), "who allowed it", required=True),
        "because": Field(Text("a reason"), "why", required=True),
    },
    lambda values: AllowedPickle(**values),
    lambda value: {"digest": value.digest, "by": value.by, "because": value.because},
)


def _build(values: Values) -> Policy:
    signatures: Values = values.get("signatures", {})
    provenance: Values = values.get("provenance", {})
    scan: Values = values.get("scan", {})
    words: dict[str, Any] = {}
    if "worst" in scan:
        words["worst"] = FindingSeverity(scan["worst"])
    if "formats" in values:
        words["formats"] = tuple(map(Format, values["formats"]))
    return Policy(
        name=values["policy"],
        **present(signatures, keys="by", signatures_min="at least"),
        **present(provenance, builders="builders"),
        **words,
        **present(scan, allowed="allow"),
        **present(values, pickles="pickle"),
    )


def _take(policy: Policy) -> Values:
    scan = {"worst": policy.worst.value, "allow": policy.allowed or None}
    signatures = {"by": policy.keys, "at least": policy.signatures_min}
    return {
        "policy": policy.name,
        "signatures": signatures if policy.keys else None,
        "provenance": {"builders": policy.builders} if policy.builders else None,
        "scan": scan,
        "formats": tuple(kind.value for kind in policy.formats),
        "pickle": policy.pickles or None,
    }
