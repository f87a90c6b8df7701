"""Messages from which no profile could be read, kept sealed and bounded so that an operator can see what was sent.

They belong to no known destination. The newest thousand are kept, each up to a maximum size; a counter says how many there
were.
"""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import orjson
from redis.exceptions import RedisError

from app.errors import SealBroken
from app.keys import REFUSED, REFUSED_COUNT
from app.logs import say_once
from app.lua import write
from app.reporting.alerts import Alert, raise_alert

if TYPE_CHECKING:
    from app.resources import Resources

KEPT = 1_000
MOST_BYTES = 65_536  # of one message; longer ones are cut
_PURPOSE = b"refused"
_REMEDY = "Look at it with `activation refused`, fix the sender (docs/enqueue.md) and send again."

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A refused message. `why`: what is wrong, quoting nothing. `content`: the message, or None if no key opens it."""

    id: str
    at_ms: int
    why: str
    length: int
    content: bytes | None


class RefusedMessages:
    """Keeps refused messages. While Redis is away, the last hundred wait in this process."""

    def __init__(self, resources: Resources) -> None:
        self._r = resources
        self._lock = Lock()
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=100)

    def keep(self, why: str, content: bytes) -> None:
        """Keep a message, count it, and raise an alert, neither of which quotes it. Never raises."""
        say_once(log, f"refused:{why}", "A message was refused: %s. %s", why, _REMEDY, level=logging.ERROR)
        try:
            with self._lock:
                self._waiting.append((why, content))
                while self._waiting:
                    self._write(*self._waiting[0])
                    self._waiting.popleft()
            raise_alert(
                self._r.redis,
                Alert("message_refused", "", f"A message was refused: {why}.", _REMEDY),
                now_ms=self._r.clock.now_ms(),
            )
        except RedisError as error:
            say_once(log, "refused:away", "Refused messages cannot be kept just now (%s).", type(error).__name__)

    def _write(self, why: str, content: bytes) -> None:
        sealed = self._r.ring.seal(content[:MOST_BYTES], _PURPOSE)
        write(
            self._r.redis,
            ("XADD", REFUSED, "MAXLEN", "~", KEPT, "*", "why", why, "length", len(content), "p", sealed),
            keys=[REFUSED],
        )
        write(self._r.redis, ("INCR", REFUSED_COUNT), keys=[REFUSED_COUNT])

    def count(self) -> int:
        """Return how many were refused since the beginning."""
        return int(self._r.redis.get(REFUSED_COUNT) or 0)

    def all(self) -> list[RefusedMessage]:
        """Return the messages, newest first."""
        found: Any = self._r.redis.xrevrange(REFUSED, count=KEPT)
        return [self._read(entry_id.decode(), fields) for entry_id, fields in found]

    def _read(self, entry_id: str, fields: dict[bytes, bytes]) -> RefusedMessage:
        try:
            content = self._r.ring.open(fields[b"p"], _PURPOSE)
        except SealBroken:
            content = None
        return RefusedMessage(
            entry_id, int(entry_id.partition("-")[0]), fields[b"why"].decode(), int(fields[b"length"]), content
        )

    def discard(self) -> int:
        """Drop all messages; returns how many."""
        count = int(self._r.redis.xlen(REFUSED))
        self._r.redis.delete(REFUSED)
        return count


def as_content(document: Any) -> bytes:
    """Return a decoded message in a form that can be kept."""
    try:
        return orjson.dumps(document, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(document).encode(errors="replace")
