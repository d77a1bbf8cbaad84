"""What a request or a model can do wrong, with the HTTP status of each."""

from __future__ import annotations

from collections.abc import Mapping

GRPC_CODES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "RESOURCE_EXHAUSTED",
    415: "INVALID_ARGUMENT",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Names of the gRPC status codes that stand for HTTP's."""
_UNKNOWN = "UNKNOWN"


class RequestError(Exception):
    """A request that cannot be answered.

    status: the HTTP code it is answered with; retry_after_seconds: when to ask again, 0 if that
    does not help.
    """

    def __init__(self, message: str, status: int = 400, *, retry_after_seconds: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_seconds = retry_after_seconds

    @property
    def grpc_code(self) -> str:
        """Name of the gRPC status code."""
        return GRPC_CODES.get(self.status, _UNKNOWN)


def busy(message: str, status: int) -> RequestError:
    """Return the error of a full queue (429) or of a server that cannot answer now (503)."""
    return RequestError(message, status, retry_after_seconds=1)


def not_found(message: str) -> RequestError:
    """Return the error of a model or version that is not served."""
    return RequestError(message, 404)
