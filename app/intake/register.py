"""The sources as one intake process knows them, which remain usable while Redis is away."""

from __future__ import annotations

import base64
import binascii
import logging
from typing import TYPE_CHECKING

import orjson

from app.errors import RequestRefused, SealBroken
from app.intake.sources import IntakeSource, SourceStore, digest_of
from app.logs import say_once

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.clock import RedisClock
    from app.sealing import KeyRing

TOKEN_PREFIX = "at_"  # noqa: S105  # distinguishes a token from a key
TOKEN_LIFE_SECONDS = 86_400
_TOKEN_PURPOSE = b"intake-token"
_OPENED_KEPT = 10_000
_MOST_LENGTH = 4_000

log = logging.getLogger(__name__)


class Register:
    """The known sources. One thread calls `refresh`; any thread may call the rest, which reads what was refreshed."""

    def __init__(self, store: SourceStore, ring: KeyRing, clock: RedisClock) -> None:
        self._store = store
        self._ring = ring
        self._clock = clock
        self._raw: dict[bytes, bytes] | None = None
        self._by_name: dict[str, IntakeSource] = {}
        self._by_digest: dict[str, IntakeSource] = {}
        self._locked: frozenset[str] = frozenset()
        self._opened: dict[str, tuple[str, int, int]] = {}

    @property
    def is_read(self) -> bool:
        """Whether the sources and the clock have been read."""
        return self._raw is not None

    @property
    def now_ms(self) -> int:
        """The time by Redis's clock, without asking Redis: an event loop must not wait. Only once `is_read`."""
        known_ms = self._clock.known_ms()
        assert known_ms is not None
        return known_ms

    def refresh(self) -> None:
        """Read the sources and the clock. Raises: redis-py's errors."""
        self._clock.now_ms()
        raw = self._store.raw()
        if raw == self._raw:
            return
        sources, locked = self._store.opening(raw)
        for name in locked:
            say_once(log, f"source:{name}", "The source %s does not open with any key of ACTIVATION_SECRET_KEYS.", name)
        self._by_name = {source.name: source for source in sources}
        self._by_digest = {key.digest: source for source in sources for key in source.keys}
        self._locked = frozenset(locked)
        self._raw = raw

    def of_key(self, presented: str) -> IntakeSource | None:
        """Return the source of a key or access token, or None."""
        if len(presented) > _MOST_LENGTH:
            return None
        if presented.startswith(TOKEN_PREFIX):
            return self._of_token(presented)
        return self._by_digest.get(digest_of(presented))

    def of_client(self, pairs: Iterable[tuple[str, str]]) -> IntakeSource | None:
        """Return the source whose name and key are one of these pairs, or None."""
        for name, key in pairs:
            source = self._by_name.get(name)
            if source is not None and source.has(key):
                return source
        return None

    def may_be_locked(self, presented: str) -> bool:
        """Return whether an unknown key or access token may belong to a source whose record no key opens."""
        if not self._locked or len(presented) > _MOST_LENGTH:
            return False
        if not presented.startswith(TOKEN_PREFIX):
            return True
        opened = self._open(presented)
        if opened is None:  # it may be sealed with the key that is missing here
            return True
        name, _, ends_ms = opened
        return name in self._locked and self.now_ms < ends_ms

    def has_locked(self, pairs: Iterable[tuple[str, str]]) -> bool:
        """Return whether one of these pairs names a source whose record no key opens."""
        return any(name in self._locked for name, _ in pairs)

    def make_token(self, source: IntakeSource) -> str:
        """Return an access token: name and times, sealed.

        It needs no storage, so it works after a restart and in every process.
        """
        now_ms = max(
            self.now_ms, source.tokens_since_ms
        )  # a clock that is slightly behind must not create an expired token
        clear = orjson.dumps([source.name, now_ms, now_ms + TOKEN_LIFE_SECONDS * 1000])
        return TOKEN_PREFIX + base64.urlsafe_b64encode(self._ring.seal(clear, _TOKEN_PURPOSE)).decode().rstrip("=")

    def _of_token(self, token: str) -> IntakeSource | None:
        opened = self._opened.get(token)
        if opened is None:
            opened = self._open(token)
            if opened is None:
                return None
            if len(self._opened) >= _OPENED_KEPT:
                self._opened.clear()
            self._opened[token] = opened
        name, made_ms, ends_ms = opened
        source = self._by_name.get(name)
        if source is None or made_ms < source.tokens_since_ms or self.now_ms >= ends_ms:
            return None
        return source

    def _open(self, token: str) -> tuple[str, int, int] | None:
        text = token.removeprefix(TOKEN_PREFIX)
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            name, made_ms, ends_ms = orjson.loads(self._ring.open(sealed, _TOKEN_PURPOSE))
        except (binascii.Error, ValueError, SealBroken):
            return None
        return name, made_ms, ends_ms


def check_destination(source: IntakeSource, destination_id: str, certified: frozenset[str]) -> None:
    """Check that a source may send to a destination, with this certificate.

    Raises: `RequestRefused` with 403, which Adobe Experience Platform repeats: nothing is lost if an operator fixes it at
    once.
    """
    if source.certificates and not certified.intersection(source.certificates):
        raise RequestRefused(
            "The proxy reported no valid client certificate with the name that this source must have.",
            status=403,
            code="certificate_needed",
            remedy="Have the proxy ask for the certificate and tell of it; docs/operations.md shows how.",
        )
    if destination_id not in source.destinations:
        raise RequestRefused(
            "This source may not send to this destination.",
            status=403,
            code="destination_not_permitted",
            remedy="`activation source add NAME --destination D` permits it.",
        )
