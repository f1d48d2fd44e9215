"""What can go wrong with a registry, as exceptions.

In: status, headers and body of a reply. Out: the exception that stands for it, with the registry's
own words in the message.

    RegistryError
    ├── NotFoundError        404: repository, manifest or blob is not there
    ├── UnauthorizedError    401: no credentials, or wrong ones
    ├── DeniedError          403: the credentials are good but do not suffice
    ├── RateLimitedError     429: too many requests; `after` seconds if the registry said so
    ├── UnreachableError     no connection, or it broke, or took too long
    ├── ServerError          5xx
    ├── TooLargeError        the reply is larger than we accept, or the registry refused our size
    ├── DigestMismatchError  the bytes are not those that the digest promises
    └── UnexpectedReplyError anything else
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_MAX_MESSAGE: Final = 500
_MAX_RETRY_AFTER: Final = 60.0


class RegistryError(Exception):
    """Base of all registry errors; `str()` is a sentence for a user, `host` the registry."""

    def __init__(self, message: str, *, host: str = "") -> None:
        super().__init__(message)
        self.host = host


class NotFoundError(RegistryError):
    """The repository, manifest or blob does not exist."""


class UnauthorizedError(RegistryError):
    """The registry wants credentials, or other ones."""


class DeniedError(RegistryError):
    """The registry refuses this action to these credentials."""


class UnreachableError(RegistryError):
    """No usable connection to the registry."""


class ServerError(RegistryError):
    """The registry failed to answer (5xx)."""


class TooLargeError(RegistryError):
    """More bytes than accepted."""


class DigestMismatchError(RegistryError):
    """Content does not have the digest it was asked by."""


class UnexpectedReplyError(RegistryError):
    """The reply does not follow the distribution specification."""


class RateLimitedError(RegistryError):
    """Too many requests; `after` is the registry's Retry-After in seconds, if it gave one."""

    def __init__(self, message: str, *, host: str = "", after: float | None = None) -> None:
        super().__init__(message, host=host)
        self.after = after


_BY_STATUS: Final[Mapping[int, type[RegistryError]]] = {
    401: UnauthorizedError,
    403: DeniedError,
    404: NotFoundError,
    413: TooLargeError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A whole reply: status, headers with lower-case names, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def error_of(reply: Reply, *, host: str, doing: str) -> RegistryError:
    """The exception for a reply that is not a success.

    Args:
        reply: the reply.
        host: the registry.
        doing: what was attempted, for the message: "get manifest app:1".
    """
    said = registry_message(reply.body) or f"status {reply.status}"
    message = f"registry {host}: {doing}: {said}"
    if reply.status == 429:
        return RateLimitedError(message, host=host, after=_retry_after(reply.headers))
    if reply.status >= 500:
        return ServerError(message, host=host)
    return _BY_STATUS.get(reply.status, UnexpectedReplyError)(message, host=host)


def registry_message(body: bytes) -> str:
    """The text of a distribution error document, `code: message; …`; "" if it is none."""
    try:
        errors = json.loads(body)["errors"]
        parts = [": ".join(filter(None, (e.get("code"), e.get("message")))) for e in errors]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return "; ".join(parts)[:_MAX_MESSAGE]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    value = headers.get("retry-after", "")
    return min(float(value), _MAX_RETRY_AFTER) if value.isascii() and value.isdigit() else None
