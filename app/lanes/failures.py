"""Profiles that could not be delivered, kept sealed with the reason until they are replayed, discarded or too old.

A record is the length of the sealed explanation (4 bytes), the explanation, and the profile still sealed as in its lane. So
even a profile that no key opens, or that nothing can read, is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.errors import SealBroken
from app.keys import DestinationKeys
from app.lanes.entries import Entry, Origin
from app.other_builds import known_fields

if TYPE_CHECKING:
    from redis import Redis

    from app.errors import CallError
    from app.sealing import KeyRing

_PAGE = 500
_READ_AT_ONCE = 50  # of up to a megabyte each
_LENGTH = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed profile, still sealed (`open`).

    Times are epoch milliseconds; `service_message` is Marketing Cloud's own text.
    """

    id: str
    failed_at_ms: int
    code: str
    text: str
    remedy: str
    service_message: str
    request_id: str
    http_status: int | None
    attempts: int
    first_tried_at_ms: int
    origin: Origin
    sealed: bytes

    def open(self, ring: KeyRing, destination_id: str) -> Any:
        """Return the profile. Raises: `SealBroken`."""
        return Entry(b"", False, self.origin, 0, 0, self.sealed).open(ring, destination_id)  # live


def _purpose(destination_id: str) -> bytes:
    return b"failure:" + destination_id.encode()


def seal_failure(entry: Entry, error: CallError, destination_id: str, ring: KeyRing, *, now_ms: int) -> bytes:
    """Return the record of a failed entry."""
    origin = entry.origin
    head = ring.seal(
        orjson.dumps(
            {
                "code": error.code,
                "text": str(error),
                "remedy": error.remedy,
                "service_message": error.service_message,
                "request_id": error.request_id,
                "http_status": error.http_status,
                "attempts": entry.attempts + 1,
                "first_tried_at_ms": entry.first_tried_at_ms or now_ms,
                "origin": [
                    origin.job_id,
                    origin.occurred_at_ms,
                    origin.stamp_ms,
                    origin.stamp_number,
                    origin.flags,
                    origin.tag.hex(),
                ],
            }
        ),
        _purpose(destination_id),
    )
    return len(head).to_bytes(_LENGTH) + head + entry.sealed


class FailureStore:
    """Lists and removes the failures of one destination."""

    def __init__(self, redis: Redis, ring: KeyRing, destination_id: str) -> None:
        self._redis = redis
        self._ring = ring
        self._destination_id = destination_id
        self._keys = DestinationKeys(destination_id)

    def __len__(self) -> int:
        return count_failures(self._redis, self._destination_id)

    def all(
        self, *, code: str | None = None, since_ms: int | None = None, until_ms: int | None = None
    ) -> Iterator[Failure]:
        """Yield failures, oldest first, filtered by code and time of failing.

        Those that no key opens have the code `seal_broken`.
        """
        low: int | str = "-inf" if since_ms is None else since_ms
        high: int | str = "+inf" if until_ms is None else until_ms
        ids: Any = self._redis.zrangebyscore(self._keys.failures, low, high, withscores=True)
        for start in range(0, len(ids), _READ_AT_ONCE):
            page = ids[start : start + _READ_AT_ONCE]
            records: Any = self._redis.hmget(self._keys.failed, [failure_id for failure_id, _ in page])
            for (failure_id, score), record in zip(page, records, strict=True):
                if record is None:
                    continue
                failure = self._read(failure_id.decode(), int(score), record)
                if code is None or failure.code == code:
                    yield failure

    def get(self, failure_id: str) -> Failure | None:
        """Return the failure with this id, or None if there is none (any more)."""
        with self._redis.pipeline() as pipeline:
            pipeline.zscore(self._keys.failures, failure_id)
            pipeline.hget(self._keys.failed, failure_id)
            score, record = pipeline.execute()
        return None if score is None or record is None else self._read(failure_id, int(score), record)

    def _read(self, failure_id: str, failed_at_ms: int, record: bytes) -> Failure:
        end = _LENGTH + int.from_bytes(record[:_LENGTH])
        try:
            head = orjson.loads(self._ring.open(record[_LENGTH:end], _purpose(self._destination_id)))
        except SealBroken as error:
            head = {
                "code": "seal_broken",
                "text": str(error),
                "remedy": error.remedy,
                "service_message": "",
                "request_id": "",
                "http_status": None,
                "attempts": 0,
                "first_tried_at_ms": 0,
                "origin": ["", 0, 0, 0, "", ""],
            }
        *origin, tag = head.pop("origin")
        return Failure(
            id=failure_id,
            failed_at_ms=failed_at_ms,
            **known_fields(Failure, head),
            origin=Origin(*origin, tag=bytes.fromhex(tag)),  # type: ignore[misc]  # a list of its first five
            sealed=record[end:],
        )

    def remove(self, failure_ids: Sequence[str]) -> None:
        """Remove failures page by page: one large transaction would block Redis for everybody."""
        for start in range(0, len(failure_ids), _PAGE):
            page = failure_ids[start : start + _PAGE]
            with self._redis.pipeline() as pipeline:
                pipeline.zrem(self._keys.failures, *page)
                pipeline.hdel(self._keys.failed, *page)
                pipeline.execute()

    def beyond(self, *, most: int, older_than_ms: int) -> list[str]:
        """Return the ids of failures that are too old or exceed `most`, oldest first."""
        old: Any = self._redis.zrangebyscore(self._keys.failures, "-inf", older_than_ms)
        excess = len(self) - most
        if excess > len(old):
            old = self._redis.zrange(self._keys.failures, 0, excess - 1)
        return [failure_id.decode() for failure_id in old]


def count_failures(redis: Redis, destination_id: str) -> int:
    """Return how many failed profiles of a destination are kept."""
    return int(redis.zcard(DestinationKeys(destination_id).failures))
