"""API keys, which programs use instead of a session. Only a digest is kept, sealed with the role."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.access.roles import Actor, Role, read_role
from app.access.sessions import same
from app.ids import KEY_NAME
from app.keys import API_KEYS
from app.sealed_records import Resealed, SealedRecords

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

_PREFIX = "act"


@dataclass(frozen=True, slots=True)
class ApiKey:
    name: str
    role: Role
    created_ms: int


class ApiKeys:
    """The API keys of an installation; a key is `act_NAME_SECRET`."""

    def __init__(self, redis: Redis, ring: KeyRing) -> None:
        self._records = SealedRecords(redis, ring, API_KEYS, "api-key")

    def add(self, name: str, role: Role, *, now_ms: int) -> str:
        """Create a key and return it, this once; an existing key of this name becomes invalid. Raises: `UsageError`."""
        KEY_NAME.check(name)
        secret = secrets.token_urlsafe(32)
        document = {"role": role, "created_ms": now_ms, "digest": _digest(secret)}
        self._records.put(name, orjson.dumps(document))
        return f"{_PREFIX}_{name}_{secret}"

    def all(self) -> list[ApiKey]:
        """Return the keys by name, without those that no key opens."""
        opened, _ = self._records.opening(self._records.raw())
        found = ((name, orjson.loads(clear)) for name, clear in opened)
        return [ApiKey(name, read_role(item["role"]), item["created_ms"]) for name, item in found]

    def revoke(self, name: str) -> bool:
        """Revoke a key. Returns False if there was none of this name."""
        return self._records.remove(name)

    def reseal(self) -> Resealed:
        """Seal all with the ring's first key."""
        return self._records.reseal()

    def find(self, key: str) -> Actor | None:
        """Return whose key it is; None if it is invalid."""
        prefix, _, rest = key.partition("_")
        name, _, secret = rest.partition("_")
        if prefix != _PREFIX or not KEY_NAME.allows(name):
            return None
        clear = self._records.get(name)
        if clear is None:
            return None
        known: dict[str, Any] = orjson.loads(clear)
        return Actor(f"key {name}", read_role(known["role"])) if same(_digest(secret), known["digest"]) else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # 256 random bits need no slow hash
