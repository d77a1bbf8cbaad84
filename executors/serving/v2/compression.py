"""Bodies in gzip or deflate, with a limit on what comes out, so that no bomb fills the memory."""

from __future__ import annotations

import zlib

from executors.serving.runtime.faults import RequestError

GZIP = "gzip"
DEFLATE = "deflate"
ANSWER_BYTES_MIN = 1024
"""Shorter answers are not worth compressing."""
_GZIP_BITS = 31
_ZLIB_BITS = 15
_RAW_BITS = -15
_LEVEL = 1


def decompress(body: bytes, coding: str, bytes_max: int) -> bytes:
    """Return a body as it was before it was compressed.

    Raises:
        RequestError: when the coding is unknown, the body is damaged, or it is too large.
    """
    if coding in {"", "identity"}:
        return body
    if coding == GZIP:
        return _inflate(body, _GZIP_BITS, bytes_max)
    if coding == DEFLATE:
        # Most clients send zlib's format, as the standard asks; some send the raw stream.
        bits = _ZLIB_BITS if body[:1] == b"\x78" else _RAW_BITS
        return _inflate(body, bits, bytes_max)
    message = f"the body is encoded as {coding!r}, expected {GZIP} or {DEFLATE}"
    raise RequestError(message, 415)


def compress(body: bytes, accepted: str) -> tuple[bytes, str]:
    """Return a body in a coding that the client accepts, with its name; "" for none."""
    if not accepted or len(body) < ANSWER_BYTES_MIN:
        return body, ""
    names = [part.partition(";")[0].strip() for part in accepted.lower().split(",")]
    for name, bits in ((GZIP, _GZIP_BITS), (DEFLATE, _ZLIB_BITS)):
        if name in names:
            packer = zlib.compressobj(_LEVEL, wbits=bits)
            return packer.compress(body) + packer.flush(), name
    return body, ""


def _inflate(body: bytes, bits: int, bytes_max: int) -> bytes:
    unpacker = zlib.decompressobj(bits)
    try:
        found = unpacker.decompress(body, bytes_max + 1)
    except zlib.error as error:
        raise RequestError(f"the compressed body is damaged: {error}") from error
    if len(found) > bytes_max:
        raise RequestError(f"the body has over {bytes_max} bytes when unpacked", 413)
    if not unpacker.eof:
        raise RequestError("the compressed body is cut off")
    return found
