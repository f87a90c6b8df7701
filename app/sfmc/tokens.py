"""One access token per account and client, shared by every process and requested once in its life.

Salesforce wants no more than one token request in 20 minutes. The token is kept sealed in Redis and expires there by its
own time to live, so no two clocks are compared; each process keeps it opened until it is due. A process that finds none
takes a lock and requests one; the others look again every 50 ms. After 80 % of its life, whichever process gets the lock
requests the next one, while the others keep using the old. A refusal is remembered for as long as it would only be
repeated, and only for the secret that was refused: a corrected one is tried at once. A test of the credentials is answered
by the shared token as long as a new one would tell no more.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson
from redis.exceptions import RedisError

from app import lua
from app.errors import AccountThrottled, CallError, DestinationBroken, DestinationUnreachable, SealBroken, Throttle
from app.event_loop import EVENT_LOOP
from app.keys import AccountKeys
from app.locks import locked
from app.sfmc.hosts import trusted_rest_url
from app.sfmc.token_responses import judge_token

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Account
    from app.sealing import KeyRing
    from app.sfmc.http import Transport

_REFRESH_AT = 0.8
_SHARED_LIFE = 0.99  # its life in Redis begins later than its real life, and must not end later
_POLL_SECONDS = 0.05
_LOCK_MARGIN_SECONDS = 5.0
_RECHECK_SECONDS = 1.0  # how soon to look whether another process has the next token
# How long a failed request counts for all processes. A refusal of credentials is final until they change; an endpoint
# that does not answer is asked again soon.
_REFUSED_SECONDS = 30.0
_UNREACHABLE_SECONDS = 5.0
_THROTTLED_SECONDS = 10.0
_LONGEST_WAIT_SECONDS = 1200.0
YOUNG_SECONDS = (
    300.0  # how long a token tells what its secret and permissions are; a change of them takes up to 5 minutes to hold
)


@dataclass(frozen=True, slots=True)
class Token:
    """An access token, the base URL of the one host that it may go to, and what it allows."""

    value: str = field(repr=False)
    rest_base_url: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Held:
    """A token in this process; times are those of time.monotonic().

    `secret`: digest of the secret that it was granted to. `is_due`: its successor should have been requested.
    """

    token: Token
    granted_at: float
    refresh_at: float
    ends_at: float
    secret: str
    is_due: bool = False


class Tested(NamedTuple):
    """A token that shows what the credentials allow. `throttled`: why it is not as new as it should be."""

    token: Token
    throttled: AccountThrottled | None = None


class TokenSource:
    """The tokens of one account. Safe to share between threads. `transport` leads to the account's authentication host.

    `longest_request_seconds`: how long a token request can take (connect and read timeouts), and so how long a process that
      died with the lock can hold up the others.
    """

    def __init__(
        self, redis: Redis, ring: KeyRing, account: Account, transport: Transport, *, longest_request_seconds: float
    ) -> None:
        keys = AccountKeys(account.key)
        self._key = keys.token(account.client_tag)
        self._lock_key = keys.token_lock(account.client_tag)
        self._refused_key = keys.token_refused(account.client_tag)
        self._requests_key = keys.token_requests
        self._redis = redis
        self._ring = ring
        self._purpose = b"token:" + account.client_tag.encode()
        self._account = account
        self._transport = transport
        self._lock_ms = round((longest_request_seconds + _LOCK_MARGIN_SECONDS) * 1000)
        self._secret_digest = hashlib.sha256(f"{account.client_id}\0{account.client_secret}".encode()).hexdigest()
        self._delete_if = lua.script(redis, "app", "release")
        self._mutex = threading.Lock()
        self._held: _Held | None = None

    def get(self) -> Token:
        """Return a valid token; without Redis and without a lock while the one at hand is not due.

        Raises: `DestinationBroken`, `AccountThrottled` or `DestinationUnreachable`, as the token endpoint answered here or,
        moments ago, in another process.
        """
        held = self._held
        now = time.monotonic()
        if held is not None and now < held.refresh_at:
            return held.token
        may_wait = held is None or now >= held.ends_at
        if not self._mutex.acquire(blocking=may_wait):
            assert held is not None
            return held.token  # another thread fetches the next one
        try:
            held = self._held
            if held is not None and time.monotonic() < held.refresh_at:
                return held.token
            return self._renew()
        finally:
            self._mutex.release()

    def at_hand(self) -> tuple[Token | None, bool]:
        """Return this process's token, if it is valid, and whether to call `get`. For callers that must not wait."""
        held, now = self._held, time.monotonic()
        if held is None or now >= held.ends_at:
            return None, True
        return held.token, now >= held.refresh_at

    def drop(self, token_value: str) -> None:
        """Forget a token that was not accepted, here and in Redis, unless another one has already replaced it."""
        with self._mutex:  # throughout, so that no thread picks the token up again in between
            if self._held is not None and self._held.token.value == token_value:
                self._held = None
            sealed = cast("bytes | None", self._redis.get(self._key))
            if sealed is not None:
                clear = self._open(sealed)
                if clear is None or clear["token"] == token_value:
                    self._delete_if(keys=[self._key], args=[sealed])

    def test(self, needed: Collection[str], *, anew: bool) -> Tested:
        """Return the shared token if it tells as much as a new one would; else request one.

        It does if it was granted to the same secret in the last `YOUNG_SECONDS`, has the scopes `needed`, and no request has been
        refused since. An older one has to do while the endpoint is asked too often. `anew`: request one in any case. If none is
        granted, the one in use stays.

        Raises: as `get`.
        """
        with self._mutex:
            while True:
                with locked(self._redis, self._lock_key, self._lock_ms) as mine:
                    if mine:
                        self._held, throttled = self._test_locked(frozenset(needed), anew=anew)
                        return Tested(self._held.token, throttled)
                time.sleep(_POLL_SECONDS)

    def _test_locked(self, needed: frozenset[str], *, anew: bool) -> tuple[_Held, AccountThrottled | None]:
        held, refusal = self._look()
        throttled = refusal if isinstance(refusal, AccountThrottled) else None
        will_do = not anew and refusal is throttled and held is not None and held.secret == self._secret_digest
        if held is None or not will_do or not needed <= held.token.scopes:
            return self._request(), None
        if not held.is_due and time.monotonic() - held.granted_at < YOUNG_SECONDS:
            return held, None
        if throttled is not None:
            return held, throttled
        try:
            return self._request(), None
        except AccountThrottled as error:
            return held, error

    def forget(self) -> None:
        """Let the next `get` request a token, whatever was granted or refused before."""
        with self._mutex:
            self._held = None
            self._redis.delete(self._key, self._refused_key)

    def forget_refusal(self) -> None:
        """Let the next `get` request a token if there is none, because an operator says that the cause is fixed."""
        self._redis.delete(self._refused_key)

    def _renew(self) -> Token:
        give_up_at = time.monotonic() + 2 * self._lock_ms / 1000
        while True:
            held, refusal = self._look()
            self._held = held
            if held is not None and not held.is_due:
                return held.token
            if refusal is None:
                with locked(self._redis, self._lock_key, self._lock_ms) as mine:
                    if mine:
                        return self._renew_locked()
            if held is not None:
                return self._keep_for_now(held)
            if refusal is not None:
                raise refusal
            if time.monotonic() > give_up_at:
                raise DestinationUnreachable(
                    "No process that asked for an access token got an answer in time.", code="token_wait"
                )
            time.sleep(_POLL_SECONDS)

    def _renew_locked(self) -> Token:
        held, refusal = self._look()  # another process may have had the lock since our look, and left its result
        if held is None or held.is_due:
            try:
                if refusal is not None:
                    raise refusal
                held = self._request()
            except CallError:
                if held is None:
                    raise
                return self._keep_for_now(held)
        self._held = held
        return held.token

    def _keep_for_now(self, held: _Held) -> Token:
        """Keep using the old token while the next is on its way or refused; it is valid until its end."""
        again_at = min(time.monotonic() + _RECHECK_SECONDS, held.ends_at)
        self._held = replace(held, refresh_at=again_at, is_due=False)
        return held.token

    def _request(self) -> _Held:
        account = self._account
        question = {
            "grant_type": "client_credentials",
            "client_id": account.client_id,
            "client_secret": account.client_secret,
        }
        if account.account_id is not None:
            question["account_id"] = account.account_id
        began = time.monotonic()
        try:
            granted = judge_token(
                *EVENT_LOOP.run(self._transport.call("POST", "/v2/token", body=orjson.dumps(question)))
            )
            token = Token(granted.access_token, trusted_rest_url(account, granted.named_url), granted.scopes)
        except CallError as refusal:
            with suppress(RedisError):  # the refusal matters more
                self._remember(refusal)
                self._count("refused")
            raise
        with suppress(RedisError):  # a token that cannot be shared just now is still valid here
            self._count("granted")
            self._share(token, granted.life_seconds, began)
        life_seconds = granted.life_seconds
        return _Held(token, began, began + life_seconds * _REFRESH_AT, began + life_seconds, self._secret_digest)

    def _share(self, token: Token, life_seconds: float, began: float) -> None:
        """Give other processes the token."""
        ends_at = began + life_seconds  # counted from before the request, so never too long
        left_ms = int((ends_at - time.monotonic()) * 1000 * _SHARED_LIFE)
        if left_ms > 0:
            clear = {
                "token": token.value,
                "url": token.rest_base_url,
                "scopes": sorted(token.scopes),
                "life_ms": life_seconds * 1000,
                "secret": self._secret_digest,
            }
            sealed = self._ring.seal(orjson.dumps(clear), self._purpose)
            lua.write(
                self._redis,
                ("SET", self._key, sealed, "PX", left_ms),
                ("DEL", self._refused_key),
                keys=[self._key, self._refused_key],
            )

    def _count(self, what: str) -> None:
        """Count a token request. They are few, so each is counted at once."""
        lua.write(self._redis, ("HINCRBY", self._requests_key, what, 1), keys=[self._requests_key])

    def _look(self) -> tuple[_Held | None, CallError | None]:
        """Return what Redis holds for this account: the token, and the refusal of a request moments ago."""
        now = time.monotonic()
        pipeline = self._redis.pipeline()
        for key in (self._key, self._refused_key):
            pipeline.get(key)
            pipeline.pttl(key)
        sealed, left_ms, sealed_refusal, refusal_left_ms = pipeline.execute()
        return self._read(sealed, left_ms, now), self._read_refusal(sealed_refusal, refusal_left_ms)

    def _read(self, sealed: bytes | None, left_ms: int, now: float) -> _Held | None:
        left_ms -= 1  # Redis rounds it
        clear = None if sealed is None or left_ms <= 0 else self._open(sealed)
        if clear is None:
            return None
        token = Token(clear["token"], clear["url"], frozenset(clear["scopes"]))
        to_refresh_ms = left_ms - clear["life_ms"] * (_SHARED_LIFE - _REFRESH_AT)
        return _Held(
            token,
            now + (left_ms - clear["life_ms"] * _SHARED_LIFE) / 1000,
            now + to_refresh_ms / 1000,
            now + left_ms / 1000,
            clear.get("secret", ""),
            is_due=to_refresh_ms <= 0,
        )

    def _open(self, sealed: bytes) -> dict[str, Any] | None:
        """Return the content, or None if no key opens it: a token, unlike everything else that is sealed, is simply replaced."""
        try:
            return cast("dict[str, Any]", orjson.loads(self._ring.open(sealed, self._purpose)))
        except SealBroken:
            return None

    def _remember(self, refusal: CallError) -> None:
        """Tell every process about a refusal, so that those that wait do not each ask for the same answer."""
        if isinstance(refusal, AccountThrottled):
            life = refusal.wait_seconds or _THROTTLED_SECONDS
        elif isinstance(refusal, DestinationBroken):
            life = _REFUSED_SECONDS
        else:
            life = refusal.wait_seconds or _UNREACHABLE_SECONDS
        record = {
            "secret": self._secret_digest,
            "type": type(refusal).__name__,
            "kind": refusal.kind if isinstance(refusal, AccountThrottled) else None,
            "text": str(refusal),
            "code": refusal.code,
            "remedy": refusal.remedy,
            "http_status": refusal.http_status,
            "service_message": refusal.service_message,
        }
        sealed = self._ring.seal(orjson.dumps(record), self._purpose)
        life_ms = max(1, round(min(life, _LONGEST_WAIT_SECONDS) * 1000))
        lua.write(self._redis, ("SET", self._refused_key, sealed, "PX", life_ms), keys=[self._refused_key])

    def _read_refusal(self, sealed: bytes | None, left_ms: int) -> CallError | None:
        record = None if sealed is None or left_ms <= 0 else self._open(sealed)
        if record is None or record["secret"] != self._secret_digest:
            return None
        said: dict[str, Any] = {name: record[name] for name in ("remedy", "http_status", "service_message")}
        if record["type"] == "AccountThrottled":
            kind = Throttle(record["kind"])
            return AccountThrottled(record["text"], kind=kind, wait_seconds=left_ms / 1000, **said)
        if record["type"] == "DestinationBroken":
            return DestinationBroken(record["text"], code=record["code"], **said)
        return DestinationUnreachable(record["text"], code=record["code"], wait_seconds=left_ms / 1000, **said)
