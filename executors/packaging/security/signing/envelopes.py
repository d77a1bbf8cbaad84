"""DSSE envelopes, in which attestations are signed.

https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from engine.model.errors import DamagedError
from executors.packaging import images
from executors.packaging.security import layouts

if TYPE_CHECKING:
    from executors.packaging.security.signing.keys import PrivateKey, PublicKey

MEDIA_TYPE = "application/vnd.dsse.envelope.v1+json"
STATEMENT_TYPE = "application/vnd.in-toto+json"
_SIGNATURES_MAX = 16


def encoded(kind: str, payload: bytes) -> bytes:
    """Return the bytes that are signed (the pre-authentication encoding)."""
    return b"DSSEv1 %d %s %d %s" % (len(kind.encode()), kind.encode(), len(payload), payload)


def seal(statement: Mapping[str, Any], keys: Sequence[PrivateKey]) -> bytes:
    """Return the envelope of a statement; without keys it is valid, but says nothing of who."""
    payload = images.canonical(statement)
    signed = encoded(STATEMENT_TYPE, payload)
    signatures = [
        {"keyid": key.public.identity, "sig": base64.b64encode(key.sign(signed)).decode()}
        for key in keys
    ]
    envelope = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": STATEMENT_TYPE,
        "signatures": signatures,
    }
    return images.canonical(envelope)


def statement_of(envelope: bytes) -> dict[str, Any]:
    """Return the statement of an envelope, whoever signed it.

    Raises:
        DamagedError: when it is no envelope of a statement.
    """
    return layouts.json_object(_payload(envelope), "an attestation")


def signers(envelope: bytes, keys: Sequence[PublicKey]) -> frozenset[str]:
    """Return the identities of the keys that signed an envelope; what it says of them is ignored.

    Raises:
        DamagedError: when it is no envelope of a statement.
    """
    signed = encoded(STATEMENT_TYPE, _payload(envelope))
    listed = layouts.json_object(envelope, "an envelope").get("signatures")
    found: set[str] = set()
    for entry in cast("list[object]", listed if isinstance(listed, list) else [])[:_SIGNATURES_MAX]:
        text = cast("dict[str, object]", entry).get("sig") if isinstance(entry, dict) else None
        signature = _decoded(str(text))
        found |= {key.identity for key in keys if key.verifies(signature, signed)}
    return frozenset(found)


def _payload(envelope: bytes) -> bytes:
    document = layouts.json_object(envelope, "an envelope")
    if document.get("payloadType") != STATEMENT_TYPE:
        kind = document.get("payloadType")
        raise DamagedError(f"an envelope holds {kind!r}, expected {STATEMENT_TYPE!r}")
    return _decoded(str(document.get("payload")))


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise DamagedError("an envelope is not base64 inside") from error
