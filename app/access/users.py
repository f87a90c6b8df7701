"""Users of the console, kept sealed, so that write access to Redis without a key is not enough to create one.

A user signs in with a password (argon2id), or by single sign-on, which stores no user here. A new user gets a link that
signs in once and asks for a password.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.access.roles import Role, read_role
from app.access.turns import Turns
from app.errors import UsageError
from app.ids import USER_NAME
from app.keys import USERS
from app.other_builds import known_fields
from app.sealed_records import Resealed, SealedRecords

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 256
HASHES_AT_ONCE, HASHES_WAITING, HASH_WAIT_SECONDS = 2, 8, 1.0  # each takes 64 MiB and all processors


@dataclass(frozen=True, slots=True)
class User:
    """A user.

    `password_hash`: '' until a password was chosen. `generation`: ends sessions and links when it changes. A value never
      recurs, even if a user is removed and another gets the name.
    """

    name: str
    role: Role
    created_ms: int
    generation: int = 0
    password_hash: str = field(default="", repr=False)


class Users:
    """The users of an installation. Safe to share between threads."""

    def __init__(self, redis: Redis, ring: KeyRing, hasher: PasswordHasher | None = None) -> None:
        self._records = SealedRecords(redis, ring, USERS, "user")
        self._hasher = hasher or PasswordHasher()  # RFC 9106, second recommended option
        self._turns = Turns(HASHES_AT_ONCE, waiting=HASHES_WAITING, seconds=HASH_WAIT_SECONDS)
        self._dummy = self._hasher.hash("nobody has this password")

    def all(self) -> list[User]:
        """Return the users by name, without those that no key opens."""
        opened, _ = self._records.opening(self._records.raw())
        return [_load(clear) for _, clear in opened]

    def get(self, name: str) -> User | None:
        """Return a user; None also if no key opens the record."""
        clear = self._records.get(name)
        return None if clear is None else _load(clear)

    def add(self, name: str, role: Role, *, now_ms: int) -> User:
        """Add a user without a password, or change the role of an existing one, whose sessions then end. Raises: `UsageError`."""
        USER_NAME.check(name)

        def change(known: User | None) -> User:
            if known is None:
                return User(name, role, now_ms, generation=now_ms)
            return replace(known, role=role, generation=known.generation + (known.role is not role))

        return self._change(name, change)

    def remove(self, name: str) -> bool:
        """Remove a user and end their sessions. Returns False if there was none of this name."""
        return self._records.remove(name)

    def reseal(self) -> Resealed:
        """Seal all with the ring's first key."""
        return self._records.reseal()

    def choose_password(self, name: str, password: str, *, before: Callable[[], None] | None = None) -> User:
        """Set a user's password and end earlier sessions.

        `before`: called just before the change is written; its errors are passed on.

        Raises: `UsageError` for an invalid password, an unknown user, or one who was removed or changed meanwhile;
        `TooBusy`.
        """
        user = self.get(name)
        if user is None:
            raise UsageError(f"There is no user {name[:100]!r}.", remedy="`activation user list` names them.")
        self.check_password(name, password)
        with self._turns.one():
            password_hash = self._hasher.hash(password)  # slow: others may change the user meanwhile
        if before is not None:
            before()

        def change(known: User | None) -> User:
            if known is None or known.generation != user.generation:
                raise UsageError(
                    f"{name} was changed or removed meanwhile.",
                    remedy="`activation user link NAME` prints another link.",
                )
            return replace(known, password_hash=password_hash, generation=known.generation + 1)

        return self._change(name, change)

    @staticmethod
    def check_password(name: str, password: str, *, again: str | None = None) -> None:
        """Check that a password may be chosen and, if given, that `again` equals it. Raises: `UsageError`."""
        if again is not None and again != password:
            raise UsageError("The two passwords differ.", remedy="Write the same one twice.")
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise UsageError(
                f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.",
                remedy="A few unrelated words are easy to remember.",
            )
        if password.casefold() == name.casefold():
            raise UsageError("The password is the same as the name.", remedy="Choose another one.")

    def verify(self, name: str, password: str) -> User | None:
        """Return the user if the password is right. Takes as long for a name that nobody has. Raises: `TooBusy`."""
        with self._turns.one():
            user = self.get(name) if USER_NAME.allows(name) else None
            known = user.password_hash if user is not None and user.password_hash else self._dummy
            try:
                self._hasher.verify(known, password[:LONGEST_PASSWORD])
            except (VerificationError, InvalidHashError):
                return None
            if user is None or not user.password_hash:
                return None
            if self._hasher.check_needs_rehash(known):
                password_hash = self._hasher.hash(password)
                with suppress(_Changed):
                    return self._change(name, lambda now: _rehashed(user, now, password_hash))
            return user

    def _change(self, name: str, change: Callable[[User | None], User]) -> User:
        """Change a user; one that no key opens counts as none. Raises: what `change` raises."""

        def change_clear(clear: bytes | None) -> bytes:
            return orjson.dumps(asdict(change(None if clear is None else _load(clear))))

        return _load(self._records.change(name, change_clear, locked_is_none=True))


class _Changed(Exception):
    """A user is no longer as it was read."""


def _rehashed(read: User, now: User | None, password_hash: str) -> User:
    """Return the same user with another hash of the same password. Raises: `_Changed`."""
    if now != read:
        raise _Changed
    return replace(read, password_hash=password_hash)


def _load(clear: bytes) -> User:
    document: dict[str, Any] = orjson.loads(clear)
    return User(**known_fields(User, document) | {"role": read_role(document["role"])})
