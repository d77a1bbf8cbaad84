"""ECDSA P-256 keys in PEM files: made, read, used. The home of `cryptography`.

A private key is PKCS #8, encrypted where there is a passphrase; cosign takes it by
`cosign import-key-pair`, and its public key as it is. Neither keys nor passphrases are ever
logged or part of an error.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from engine.model.errors import NotFoundError, RefusedError

PASSPHRASE = "BERTH_SIGNING_PASSPHRASE"  # noqa: S105 - the name of a variable
PASSPHRASE_FILE = "BERTH_SIGNING_PASSPHRASE_FILE"  # noqa: S105 - as above
_KEY_BYTES_MAX = 64 << 10
_OTHERS = 0o077
_NEW = "make one with `berth image keys FILE`"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key. `identity` names it: the SHA-256 of its DER form."""

    _key: ec.EllipticCurvePublicKey

    @property
    def identity(self) -> str:
        """`sha256:` and 64 hexadecimal digits."""
        der = self._key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return f"sha256:{hashlib.sha256(der).hexdigest()}"

    @property
    def pem(self) -> bytes:
        """The key as a PEM file."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Return whether a signature of these bytes was made with the private half."""
        try:
            self._key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True, slots=True, repr=False)
class PrivateKey:
    """A private key."""

    _key: ec.EllipticCurvePrivateKey

    @property
    def public(self) -> PublicKey:
        """Its public half."""
        return PublicKey(self._key.public_key())

    def sign(self, data: bytes) -> bytes:
        """Return the signature (DER) of the SHA-256 of some bytes, the same for the same bytes.

        Deterministic (RFC 6979), so that an image packaged again gets the same attachments.
        """
        return self._key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def make(path: Path, *, passphrase: bytes | None) -> PublicKey:
    """Write a new private key (mode 0600) and its public half beside it, as `.pub`.

    Raises:
        RefusedError: when there is a file already.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    encryption = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    public = PublicKey(key.public_key())
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        path.with_suffix(".pub").write_bytes(public.pem)
    except OSError as error:
        message = f"{str(path)!r} cannot be written: {error.strerror}"
        raise RefusedError(message, fix="choose another file; keys are never replaced") from error
    return public


def read_private(path: Path, environment: Mapping[str, str]) -> PrivateKey:
    """Read a private key, with the passphrase that the environment gives or points to.

    Raises:
        NotFoundError: when the file cannot be read.
        RefusedError: when others may read it, it is no P-256 key, or the passphrase is wrong.
    """
    data = _read(path)
    if path.stat().st_mode & _OTHERS:
        message = f"the key {str(path)!r} can be read by others"
        raise RefusedError(message, fix=f"chmod 600 {path}")
    passphrase = passphrase_of(environment)
    try:
        key = serialization.load_pem_private_key(data, password=passphrase)
    except TypeError:
        wanted = "is encrypted and no passphrase was given" if not passphrase else ""
        message = f"the key {str(path)!r} {wanted or 'is not encrypted, but a passphrase is given'}"
        fix = f"set {PASSPHRASE_FILE} or {PASSPHRASE}" if wanted else f"unset {PASSPHRASE}"
        raise RefusedError(message, fix=fix) from None
    except ValueError:
        # Its words may hold parts of the key.
        message = f"{str(path)!r} is no private key, or the passphrase is wrong"
        raise RefusedError(message, fix=_NEW) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RefusedError(f"{str(path)!r} is no ECDSA P-256 key", fix=_NEW)
    return PrivateKey(key)


def read_public(path: Path) -> PublicKey:
    """Read a public key.

    Raises:
        NotFoundError: when the file cannot be read.
        RefusedError: when it is no P-256 key.
    """
    return parse_public(_read(path), str(path))


def parse_public(data: bytes, name: str) -> PublicKey:
    """Return the public key of a PEM text.

    Raises:
        RefusedError: when it is none.
    """
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{name!r} is no public key in PEM form", fix=_NEW) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise RefusedError(f"{name!r} is no ECDSA P-256 key", fix=_NEW)
    return PublicKey(key)


def passphrase_of(environment: Mapping[str, str]) -> bytes | None:
    """Return the passphrase that the environment gives, itself or as a file; None for none.

    Raises:
        NotFoundError: when the file cannot be read.
    """
    path = environment.get(PASSPHRASE_FILE)
    if path:
        return _read(Path(path)).strip(b"\r\n") or None
    return environment.get(PASSPHRASE, "").encode() or None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_KEY_BYTES_MAX)
    except OSError as error:
        raise NotFoundError(f"{str(path)!r} cannot be read: {error.strerror}", fix=_NEW) from error
