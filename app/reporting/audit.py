"""The audit: who did what and when. Sealed, so that write access to Redis alone is not enough to forge or change an entry."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import SealBroken
from app.keys import AUDIT, AUDIT_REFUSED
from app.lua import write
from app.other_builds import known_fields

if TYPE_CHECKING:
    from redis import Redis

    from app.sealing import KeyRing

KEPT = 10_000
REFUSALS_KEPT = 1_000
_PURPOSE = b"audit"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Act:
    """An action. `what`: a stable word such as `replay`. `detail`: counts, codes and names, never profile data."""

    who: str
    what: str
    destination: str = ""
    detail: str = ""


def note_act(redis: Redis, ring: KeyRing, act: Act) -> None:
    """Record an action, here and in the log."""
    _note(redis, ring, act, AUDIT, KEPT)


def note_refusal(redis: Redis, ring: KeyRing, act: Act) -> None:
    """Record a refusal. A stranger can cause many, so they are kept apart and displace no record of what was done."""
    _note(redis, ring, act, AUDIT_REFUSED, REFUSALS_KEPT)


def _note(redis: Redis, ring: KeyRing, act: Act, key: str, most: int) -> None:
    sealed = ring.seal(orjson.dumps(asdict(act)), _PURPOSE)
    write(redis, ("XADD", key, "MAXLEN", "~", most, "*", "act", sealed), keys=[key])
    log.info("AUDIT %s: %s %s %s", act.who, act.what, act.destination, act.detail)


def read_acts(redis: Redis, ring: KeyRing, *, most: int = 200) -> list[tuple[int, Act]]:
    """Return the newest entries with their times in epoch milliseconds, newest first; at most a quarter are refusals.

    An entry that no key opens is shown as unreadable.
    """
    refusals = _read(redis, ring, AUDIT_REFUSED, most // 4)
    acts = _read(redis, ring, AUDIT, most - len(refusals))
    return sorted(acts + refusals, key=lambda noted: noted[0], reverse=True)


def _read(redis: Redis, ring: KeyRing, key: str, most: int) -> list[tuple[int, Act]]:
    entries: Any = redis.xrevrange(key, count=most) if most else []
    found = []
    for entry_id, fields in entries:
        try:
            act = Act(**known_fields(Act, orjson.loads(ring.open(fields[b"act"], _PURPOSE))))
        except (SealBroken, KeyError, TypeError):
            act = Act("?", "unreadable", detail="This entry was altered, or sealed with a key that is gone.")
        found.append((int(entry_id.split(b"-")[0]), act))
    return found
