"""Signatures of images in cosign's form: a small payload that names the digest, signed by a key.

https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. The signature is an
annotation of the payload, the attachment `.sig` of the image. No certificate and no log is used.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.model.errors import DamagedError
from executors.packaging import images
from executors.packaging.security import attachments, layouts
from executors.packaging.security.attachments import Part, Suffix

if TYPE_CHECKING:
    from executors.packaging.security.signing.keys import PrivateKey, PublicKey

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"
_KIND = "cosign container image signature"


def payload_of(reference: str, digest: str) -> bytes:
    """Return what is signed: that an image of this digest goes by this name."""
    return images.canonical(
        {
            "critical": {
                "identity": {"docker-reference": reference},
                "image": {"docker-manifest-digest": digest},
                "type": _KIND,
            },
            "optional": {"creator": "berth"},
        }
    )


def sign(
    layout: Path, digest: str, reference: str, key: PrivateKey, *, durable: bool = True
) -> Part:
    """Sign an image of a layout and attach the signature.

    reference: the name under which it is deployed (`registry/repository`), or the model's.
    """
    payload = payload_of(reference, digest)
    signature = base64.b64encode(key.sign(payload)).decode()
    part = Part(media_type=PAYLOAD_TYPE, data=payload, annotations={SIGNATURE: signature})
    attachments.add(layout, digest, Suffix.SIGNATURES, [part], durable=durable)
    return part


def signers(layout: Path, digest: str, keys: Sequence[PublicKey]) -> frozenset[str]:
    """Return the identities of the keys that signed an image of a layout.

    Raises:
        DamagedError: when the attachment is not what it says.
    """
    found: set[str] = set()
    for part in attachments.read(layout, digest, Suffix.SIGNATURES):
        if part.media_type == PAYLOAD_TYPE and _names(part.data, digest):
            signature = _decoded(part.annotations)
            found |= {key.identity for key in keys if key.verifies(signature, part.data)}
    return frozenset(found)


def _names(payload: bytes, digest: str) -> bool:
    """Return whether a payload is about an image of this digest."""
    try:
        critical: Any = layouts.json_object(payload, "a signature").get("critical")
        named = critical["image"]["docker-manifest-digest"]
        return bool(critical["type"] == _KIND and named == digest)
    except (DamagedError, KeyError, TypeError):
        return False


def _decoded(annotations: Mapping[str, str]) -> bytes:
    try:
        return base64.b64decode(annotations.get(SIGNATURE, ""), validate=True)
    except (binascii.Error, ValueError):
        return b""
