"""The instant for which something is asked, by whichever face."""

from __future__ import annotations

from engine.model.errors import Fault, InvalidInputError

LAST_SECONDS = 4_102_444_800.0
"""The begin of 2100: what is planned or forecast from there still has dates."""


def as_of(given: float | None, *, otherwise: float) -> float:
    """Return the instant given, in seconds since 1970, or another one where none is.

    Raises:
        InvalidInputError: when it is no number, or not within 1970 to 2099.
    """
    if given is None:
        return otherwise
    if not 0 <= given < LAST_SECONDS:
        message = f"`as_of` is {given:g}, which is no instant of 1970 to 2099"
        fix = f"give seconds since 1970 in UTC, 0 to {LAST_SECONDS:.0f}"
        fault = Fault(code="S007", message=message, path="as_of", fix=fix)
        raise InvalidInputError("the request", [fault])
    return given
