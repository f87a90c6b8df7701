"""Translates Redis's errors, once, into what they mean for those who must act on them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    ClusterCrossSlotError,
    ClusterDownError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.errors import ActivationError, ServiceUnreachable, StorageRefuses, UsageError
from app.memory import RESERVE


def full() -> StorageRefuses:
    """Return the error for a Redis without room for more profiles."""
    return StorageRefuses(
        f"Redis is full except for the last {RESERVE:.0%} of its maxmemory, which are reserved for delivering what waits.",
        remedy="Let the backlog drain (`activation destinations`), or give Redis more memory, then try again.",
    )


IS_CLUSTER = "a cluster, which spreads its keys over several servers"
NO_CLUSTER = "Name one server in ACTIVATION_REDIS_URL; it may have replicas. Redis Cluster is not supported."
# what a node says of SELECT, and of a key that a script names itself
_OF_CLUSTER = re.compile(r"\bcluster (?:mode|node)\b")
_WHY_NOT_TRUSTED = re.compile(r"CERTIFICATE_VERIFY_FAILED\].*?failed: (.+?)\.? \(_ssl")


def untrusted(server: str, said: str) -> ServiceUnreachable | None:
    """Return the error for a connection that failed over the certificate of `server`, by the error's text; None if it did not."""
    if "CERTIFICATE_VERIFY_FAILED" not in said:
        return None
    why = _WHY_NOT_TRUSTED.search(said)
    return ServiceUnreachable(
        f"The certificate of {server} is not trusted{f': {why[1]}' if why else ''}.",
        remedy="Name the file of its authority in SSL_CERT_FILE, and the server as the certificate does.",
    )


def explain(error: RedisError) -> ActivationError:
    """Return our error for one of redis-py's. Its text is not quoted, since it may hold what was to be written."""
    match error:
        case AuthenticationError() | AuthorizationError():
            return UsageError(
                "Redis does not accept this user and password.", remedy="Check those in ACTIVATION_REDIS_URL."
            )
        case RedisConnectionError() | RedisTimeoutError():
            return untrusted("Redis", str(error)) or ServiceUnreachable(
                "Redis does not answer.", remedy="Check ACTIVATION_REDIS_URL and that the server runs."
            )
        case OutOfMemoryError():
            return full()
        case ReadOnlyError():
            return StorageRefuses(
                "Redis is a read-only replica.",
                remedy="Name the master in ACTIVATION_REDIS_URL, or promote this server.",
            )
        case AskError() | TryAgainError() | ClusterCrossSlotError() | ClusterDownError():  # MOVED is an AskError
            return _cluster()
        case MasterDownError():
            return StorageRefuses("Redis has no master just now.", remedy="Its fail-over may take a while; try again.")
        case NoPermissionError():
            return _not_permitted()
        case ResponseError():
            if "ACL failure in script" in str(error):
                return _not_permitted()
            if _OF_CLUSTER.search(str(error)):
                return _cluster()
            code = str(error).partition(" ")[0]
            return StorageRefuses(
                f"Redis refused a command ({code if code.isupper() else 'ERR'}).",
                remedy="Its log and `redis-cli info` tell more.",
            )
    return ServiceUnreachable(f"Redis could not be asked ({type(error).__name__}).", remedy="Its log may tell more.")


def _cluster() -> StorageRefuses:
    return StorageRefuses(f"Redis is {IS_CLUSTER}.", remedy=NO_CLUSTER)


def _not_permitted() -> StorageRefuses:
    return StorageRefuses(
        "The Redis user may not do this.", remedy="Give it the rules that `activation acl` prints for its role."
    )


@contextmanager
def translated(*, partly: str = "") -> Iterator[None]:
    """Turn Redis's errors within the block into those of `app.errors`. `partly`: says what may already have been done."""
    try:
        yield
    except RedisError as error:
        raise _adding(explain(error), partly) from error
    except StorageRefuses as refused:
        raise _adding(refused, partly) from None


def _adding(error: ActivationError, partly: str) -> ActivationError:
    return type(error)(f"{error} {partly}".strip(), remedy=error.remedy)
