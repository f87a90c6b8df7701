"""The audit: who did what when. Sealed, so that nobody who can only write to Redis makes up or changes an entry."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import SealBroken
from app.keys import AUDIT
from app.lua import write

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

KEPT = 10_000
_PURPOSE = b"audit"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Act:
    """`what` is a stable word such as `replay`; `detail` holds counts, codes and names, never profile data."""

    who: str
    what: str
    destination: str = ""
    detail: str = ""


def note_act(redis: Redis, ring: KeyRing, act: Act) -> None:
    """Write it down, and to the log as well."""
    sealed = ring.seal(orjson.dumps(asdict(act)), _PURPOSE)
    write(redis, ("XADD", AUDIT, "MAXLEN", "~", KEPT, "*", "act", sealed), keys=[AUDIT])
    log.info("AUDIT %s: %s %s %s", act.who, act.what, act.destination, act.detail)


def read_acts(redis: Redis, ring: KeyRing, *, most: int = 200) -> list[tuple[int, Act]]:
    """The newest with their time in epoch ms, newest first. One that no key opens is shown as such."""
    entries: Any = redis.xrevrange(AUDIT, count=most)
    found = []
    for entry_id, fields in entries:
        try:
            act = Act(**orjson.loads(ring.open(fields[b"act"], _PURPOSE)))
        except (SealBroken, KeyError, TypeError):
            act = Act("?", "unreadable", detail="This entry was altered, or sealed with a key that is gone.")
        found.append((int(entry_id.split(b"-")[0]), act))
    return found
