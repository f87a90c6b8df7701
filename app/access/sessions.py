"""Sessions, one-time links, and limits on tries to sign in.

A browser holds a random token. Redis holds its digest as the key's name and, sealed, whose session it is. So neither
reading Redis nor writing to it is enough to obtain a session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import orjson

from app.access.roles import Actor, Role, read_role
from app.errors import SealBroken
from app.keys import session, sign_in_link, sign_in_tries
from app.other_builds import known_fields

if TYPE_CHECKING:
    from redis import Redis

    from app.access.users import User, Users
    from app.sealing import KeyRing

SESSION_SECONDS = 12 * 3600
IDLE_SECONDS = 3600
LINK_SECONDS = 3600
TRIES_SECONDS = 300
TRIES_OF_NAME, TRIES_OF_ADDRESS = 10, 50  # within TRIES_SECONDS


class Pace(StrEnum):
    """How the next try to sign in is handled."""

    FREE = "free"
    SLOW = "slow"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Session:
    """A session.

    `local`: the user is looked up at each request (`generation`); users of single sign-on stay as they were when they
      signed in.
    """

    actor: Actor
    csrf: str
    began_ms: int
    local: bool
    generation: int


class Sessions:
    """Begins, finds and ends sessions. Safe to share between threads."""

    def __init__(self, redis: Redis, ring: KeyRing, users: Users) -> None:
        self._redis = redis
        self._ring = ring
        self._users = users

    def begin(self, actor: Actor, *, now_ms: int, user: User | None = None) -> str:
        """Begin a session; returns its token."""
        token = secrets.token_urlsafe(32)
        made = Session(actor, secrets.token_urlsafe(24), now_ms, user is not None, user.generation if user else 0)
        key = session(_digest(token))
        self._redis.set(key, self._ring.seal(orjson.dumps(asdict(made)), key.encode()), ex=IDLE_SECONDS)
        return token

    def find(self, token: str, *, now_ms: int, extend: bool = True) -> Session | None:
        """Return the session of a token; None if it has ended. `extend`: keep it for another hour, at most twelve in total."""
        key = session(_digest(token))
        document = self._open(key, self._redis.get(key))
        if document is None:
            return None
        told = document["actor"]
        actor = Actor(told["name"], read_role(told["role"]))
        found = Session(**known_fields(Session, document) | {"actor": actor})
        left = SESSION_SECONDS - (now_ms - found.began_ms) // 1000
        if left <= 0 or (found.local and not self._holds(found)):
            self._redis.delete(key)
            return None
        if extend:
            self._redis.expire(key, min(IDLE_SECONDS, left))
        return found

    def _holds(self, found: Session) -> bool:
        user = self._users.get(found.actor.name)
        return user is not None and user.generation == found.generation

    def end(self, token: str) -> None:
        self._redis.delete(session(_digest(token)))

    def make_link(self, name: str, role: Role, *, asks_password: bool) -> str:
        """Return a token that signs in once, within the hour.

        `asks_password`: the user of this name must choose a password first; the link ends if the user's role changes, a
          password is chosen, or the user is removed.
        """
        token = secrets.token_urlsafe(32)
        key = sign_in_link(_digest(token))
        user = self._users.get(name) if asks_password else None
        document = {
            "name": name,
            "role": role,
            "asks_password": asks_password,
            "generation": user.generation if user else None,
        }
        self._redis.set(key, self._ring.seal(orjson.dumps(document), key.encode()), ex=LINK_SECONDS)
        return token

    def read_link(self, token: str, *, use: bool) -> tuple[Actor, bool] | None:
        """Return who a link signs in, and whether a password must be chosen; None if it was used or is too old.

        `use`: use it up.
        """
        key = sign_in_link(_digest(token))
        document = self._open(key, self._redis.getdel(key) if use else self._redis.get(key))
        if document is None:
            return None
        if not document["asks_password"]:
            return Actor(document["name"], read_role(document["role"])), False
        user = self._users.get(document["name"])
        if user is None or user.generation != document.get("generation"):
            return None
        return Actor(user.name, user.role), True

    def _open(self, key: str, sealed: Any) -> dict[str, Any] | None:
        """Return the content of a key; None if there is none, or none that we sealed for it."""
        if sealed is None:
            return None
        try:
            document: dict[str, Any] = orjson.loads(self._ring.open(sealed, key.encode()))
        except SealBroken:
            return None
        return document

    def count_try(self, name: str, address: str) -> Pace:
        """Count another try to sign in with this name from this address."""
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in _tries(name, address):
                pipeline.incr(key)
                pipeline.expire(key, TRIES_SECONDS, nx=True)  # after incr, so that no count is left without an expiry
            of_name, _, of_address, _ = pipeline.execute()
        return pace_of(int(of_name), int(of_address))

    def take_back_try(self, name: str, address: str) -> None:
        """Undo the name's part of `count_try`; the address is still counted."""
        of_name, _ = _tries(name, address)
        self._redis.decr(of_name)

    def forget_tries(self, name: str, address: str) -> None:
        for key in _tries(name, address):
            self._redis.delete(key)


def pace_of(of_name: int, of_address: int) -> Pace:
    """Return how to handle a try.

    Many people may share an address, and one of them must not lock out the others, only slow them down.
    """
    if of_name > TRIES_OF_NAME:
        return Pace.REFUSED
    return Pace.SLOW if of_address > TRIES_OF_ADDRESS else Pace.FREE


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()[:40]


def _tries(name: str, address: str) -> tuple[str, str]:
    return sign_in_tries(_digest(f"name {name.casefold()}")), sign_in_tries(_digest(f"address {address}"))


def same(given: str, expected: str) -> bool:
    """Compare two secrets in a time that reveals nothing about them."""
    return hmac.compare_digest(given.encode(), expected.encode())
