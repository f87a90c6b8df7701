"""API keys: what a program shows instead of a session. Only a digest is kept, sealed with the role."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.access.resealing import reseal
from app.access.roles import Actor, Role, read_role
from app.access.sessions import same
from app.errors import SealBroken, UsageError
from app.keys import API_KEYS
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PREFIX = "act"


@dataclass(frozen=True, slots=True)
class ApiKey:
    name: str
    role: Role
    created_ms: int


class ApiKeys:
    """The API keys of an installation; a key is `act_NAME_SECRET`."""

    def __init__(self, redis: Redis, ring: KeyRing) -> None:
        self._redis = redis
        self._ring = ring

    def add(self, name: str, role: Role, *, now_ms: int) -> str:
        """The key itself, which is told this once. One of this name that was there holds no more. Raises `UsageError`."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                "A key's name has 1 to 63 of a-z, 0-9 and -.", remedy="Choose such a name, such as nightly-replay."
            )
        secret = secrets.token_urlsafe(32)
        document = {"role": role, "created_ms": now_ms, "digest": _digest(secret)}
        sealed = self._ring.seal(orjson.dumps(document), _purpose(name))
        write(self._redis, ("HSET", API_KEYS, name, sealed), keys=[API_KEYS])
        return f"{_PREFIX}_{name}_{secret}"

    def all(self) -> list[ApiKey]:
        raw: Any = self._redis.hgetall(API_KEYS)
        found = ((name.decode(), self._read(name.decode(), sealed)) for name, sealed in raw.items())
        return sorted(
            (ApiKey(name, read_role(item["role"]), item["created_ms"]) for name, item in found if item is not None),
            key=lambda key: key.name,
        )

    def revoke(self, name: str) -> bool:
        """False when there was none of this name."""
        return bool(self._redis.hdel(API_KEYS, name))

    def reseal(self) -> int:
        """Seal all with the ring's first key; how many they are."""
        return reseal(self._redis, self._ring, API_KEYS, _purpose)

    def find(self, key: str) -> Actor | None:
        """Whose key it is; None when it does not hold."""
        prefix, _, rest = key.partition("_")
        name, _, secret = rest.partition("_")
        if prefix != _PREFIX or not _NAME.fullmatch(name):
            return None
        sealed: Any = self._redis.hget(API_KEYS, name)
        known = None if sealed is None else self._read(name, sealed)
        if known is None or not same(_digest(secret), known["digest"]):
            return None
        return Actor(f"key {name}", read_role(known["role"]))

    def _read(self, name: str, sealed: bytes) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = orjson.loads(self._ring.open(sealed, _purpose(name)))
        except SealBroken:
            return None
        return found


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()  # 256 random bits need no slow hash


def _purpose(name: str) -> bytes:
    return b"api-key:" + name.encode()
