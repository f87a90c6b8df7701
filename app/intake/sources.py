"""Who may send by HTTP: sources, their keys (as digests) and destinations. Sealed, so that nobody without a key can add one."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import OtherBuild, UsageError
from app.ids import SOURCE_NAME
from app.keys import SOURCES
from app.other_builds import understood_fields
from app.sealed_records import Resealed, SealedRecords

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

KEY_PREFIX = "ak_"
KEY_ID_LENGTH = 8


@dataclass(frozen=True, slots=True)
class Key:
    """A source's key, as a digest whose first characters serve as its id."""

    digest: str = field(repr=False)
    created_at_ms: int = 0

    @property
    def id(self) -> str:
        return self.digest[:KEY_ID_LENGTH]


@dataclass(frozen=True, slots=True)
class IntakeSource:
    """A sender that may send profiles to `destinations`.

    `certificates`: names, one of which a proxy must have found in the client's certificate, in addition to the key.
      `profiles_per_second`: 0 for no limit. `tokens_since_ms`: access tokens made before then are no longer valid.
    """

    name: str
    destinations: tuple[str, ...]
    keys: tuple[Key, ...] = ()
    certificates: tuple[str, ...] = ()
    profiles_per_second: int = 0
    tokens_since_ms: int = 0

    def has(self, key: str) -> bool:
        digest = digest_of(key)
        return any(secrets.compare_digest(known.digest, digest) for known in self.keys)


def digest_of(key: str) -> str:
    """Return a key's digest. A key has 32 random bytes, so a plain digest reveals nothing."""
    return hashlib.sha256(key.encode()).hexdigest()


class SourceStore:
    """The sources of this installation, in Redis."""

    def __init__(self, redis: Redis, ring: KeyRing) -> None:
        self._redis = redis
        self._records = SealedRecords(redis, ring, SOURCES, "source")

    def all(self) -> tuple[list[IntakeSource], list[str]]:
        """Return the sources that can be read, and the names of the others; both sorted."""
        return self.opening(self.raw())

    def raw(self) -> dict[bytes, bytes]:
        """Return the sealed records, to see whether anything changed."""
        return self._records.raw()

    def opening(self, raw: dict[bytes, bytes]) -> tuple[list[IntakeSource], list[str]]:
        """Do the same as `all` with records that were already read."""
        opened, locked = self._records.opening(raw)
        found = []
        for name, clear in opened:
            try:
                found.append(_load(clear))
            except OtherBuild:
                locked.append(name)
        return found, sorted(locked)

    def add(
        self,
        name: str,
        destinations: Iterable[str],
        *,
        certificates: Iterable[str] = (),
        profiles_per_second: int | None = None,
    ) -> tuple[IntakeSource, str]:
        """Add a key to a source, creating the source if need be; destinations and certificates are added to those it has.

        Returns the source and the key, which is stored nowhere.

        Raises: `UsageError`; `SealBroken`.
        """
        SOURCE_NAME.check(name)
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        made = Key(digest_of(key), self._now_ms())

        def change(known: IntakeSource | None) -> IntakeSource:
            # tokens of a revoked source of the same name stay invalid
            source = known or IntakeSource(name, (), tokens_since_ms=self._now_ms())
            return replace(
                source,
                destinations=tuple(dict.fromkeys((*source.destinations, *destinations))),
                keys=(*source.keys, made),
                certificates=tuple(dict.fromkeys((*source.certificates, *(word.lower() for word in certificates)))),
                profiles_per_second=source.profiles_per_second if profiles_per_second is None else profiles_per_second,
            )

        return self._change(name, change), key

    def revoke_key(self, name: str, key_id: str, *, tokens: bool) -> IntakeSource:
        """Drop one key of a source. `tokens`: also end the tokens made so far. Raises: `UsageError`."""

        def change(known: IntakeSource | None) -> IntakeSource:
            source = _known(name, known)
            kept = tuple(key for key in source.keys if key.id != key_id)
            if len(kept) == len(source.keys):
                raise UsageError(
                    f"{name} has no such key.", remedy="`activation source list` names the keys of each source."
                )
            return replace(source, keys=kept, tokens_since_ms=self._now_ms() if tokens else source.tokens_since_ms)

        return self._change(name, change)

    def revoke(self, name: str) -> None:
        """Drop a source with its keys and tokens. Raises: `UsageError` if it does not exist."""
        if not self._records.remove(name):
            raise _unknown(name)

    def reseal(self) -> Resealed:
        """Seal all records with the ring's first key."""
        return self._records.reseal()

    def _change(self, name: str, change: Callable[[IntakeSource | None], IntakeSource]) -> IntakeSource:
        """Change a source. Raises: `SealBroken`; what `change` raises."""

        def change_clear(clear: bytes | None) -> bytes:
            return orjson.dumps(asdict(change(None if clear is None else _load(clear))))

        return _load(self._records.change(name, change_clear))

    def _now_ms(self) -> int:
        seconds, micros = self._redis.time()
        return int(seconds * 1000 + micros // 1000)


def _load(clear: bytes) -> IntakeSource:
    """Restore a source. Raises: `OtherBuild` if it needs what only a newer build knows."""
    raw: dict[str, Any] = orjson.loads(clear)
    keys = (understood_fields(Key, key, "A key of a source") for key in raw.get("keys", ()))
    return IntakeSource(
        **understood_fields(IntakeSource, raw, f"The source {raw['name']}")
        | {
            "destinations": tuple(raw["destinations"]),
            "keys": tuple(Key(**key) for key in keys),
            "certificates": tuple(raw.get("certificates", ())),
        }
    )


def _known(name: str, source: IntakeSource | None) -> IntakeSource:
    if source is None:
        raise _unknown(name)
    return source


def _unknown(name: str) -> UsageError:
    return UsageError(f"No source {name[:63]!r} is known.", remedy="`activation source list` names those that are.")
