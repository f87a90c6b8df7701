"""Records what became of waiting profiles, for the next settlement: counters, delivered rows, parked and failed entries.

Every entry gets exactly one outcome here, or none yet (parked, or left in its lane).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING
from uuid import uuid4

from app.backoff import full_jitter, is_exhausted
from app.errors import CallError
from app.lanes import counters
from app.lanes.failures import seal_failure
from app.lanes.lane import lane_of
from app.lanes.settlement import Moved, Settlement
from app.tracing import TRACES

if TYPE_CHECKING:
    from app.lanes.entries import Entry
    from app.reporting.measures import Measures
    from app.sealing import KeyRing
    from app.settings import Settings


REPLAY = "Replay it once Marketing Cloud is well: `activation failures DESTINATION --replay`."

log = logging.getLogger(__name__)


class Outcome(StrEnum):
    DELIVERED = "delivered"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"
    EXCLUDED = "excluded"
    FAILED = "failed"


class Ledger:
    """Collects the outcomes of a session until they are settled."""

    def __init__(self, destination_id: str, ring: KeyRing, settings: Settings, measures: Measures) -> None:
        self._destination_id = destination_id
        self._ring = ring
        self._settings = settings
        self._measures = measures
        self.pending = Settlement()
        self.left = 0  # entries that have left the lane, or will with the next settlement
        self._left_out: dict[tuple[bool, bytes], Sequence[str]] = {}

    def take(self) -> Settlement:
        """Return what is to be settled now, and begin a new settlement."""
        settlement, self.pending = self.pending, Settlement()
        return settlement

    def count_calls(self, number: int) -> None:
        if number:
            self.pending.count(counters.CALLS, number)

    def note_left_out(self, entry: Entry, left_out: Sequence[str]) -> None:
        """Note the fields of an entry that are not sent with the rest; they are counted when the entry has its outcome."""
        self._left_out[entry.backfill, entry.id] = left_out

    def close(self, entry: Entry, outcome: Outcome) -> None:
        """Let the entry leave its lane with this outcome."""
        if self._left_out:
            for left_out in self._left_out.get((entry.backfill, entry.id), ()):
                self.pending.count(counters.LEFT_OUT + left_out)
        self._leave(entry)
        self._log(logging.DEBUG, "A profile is %s.", outcome, entry)
        self.pending.count(outcome)
        self.pending.count_job(entry.job_id, outcome)
        TRACES.settled(self._destination_id, entry.job_id, outcome, entry.enqueued_ms)

    def deliver(self, entry: Entry, fields: Collection[str]) -> None:
        """Note that Marketing Cloud accepted the entry's values of these fields."""
        self.close(entry, Outcome.DELIVERED)
        self._measures.accepted(self._destination_id, entry.enqueued_ms)
        self._measures.matched(self._destination_id, fields)

    def close_all(self, entries: Iterable[Entry], outcome: Outcome) -> None:
        for entry in entries:
            self.close(entry, outcome)

    def exclude(self, entry: Entry, reason: str, detail: str = "") -> None:
        self.close(entry, Outcome.EXCLUDED)
        self.pending.count_job(entry.job_id, counters.why(reason))
        self.pending.count(counters.why(reason, detail))

    def fail(self, entry: Entry, error: CallError, *, now_ms: int) -> None:
        """Keep the entry sealed for replay, with everything an operator needs to fix it."""
        self.close(entry, Outcome.FAILED)
        self._log(logging.INFO, "A profile failed: %s", error, entry, code=error.code, call=error.request_id)
        self.pending.count_job(entry.job_id, counters.why(error.code))
        self.pending.count(counters.why(error.code, str(error)))
        self.pending.failures.append(
            (uuid4().hex[:16], now_ms, seal_failure(entry, error, self._destination_id, self._ring, now_ms=now_ms))
        )

    def retry_later(self, entries: Sequence[Entry], error: CallError, *, now_ms: int) -> list[Entry]:
        """Park entries that were tried together, to be tried together again; fail those that have used up their tries.

        Returns those that failed.
        """
        failed = []
        settings = self._settings
        delay = full_jitter(
            max(entry.attempts for entry in entries) + 1,
            base_seconds=settings.retry_base_seconds,
            cap_seconds=settings.retry_cap_seconds,
        )
        due_ms = now_ms + int(max(delay, error.wait_seconds or 0) * 1000)
        for entry in entries:
            attempts = entry.attempts + 1
            if is_exhausted(attempts, entry.first_tried_at_ms or now_ms, now_ms, settings):
                self.fail(entry, exhausted(error, attempts), now_ms=now_ms)
                failed.append(entry)
                continue
            self._leave(entry)
            self.pending.parked.append((due_ms, entry.parked_fields(now_ms)))
            self.pending.count(counters.RETRIED)
        return failed

    def move(self, entry: Entry, lane: int, fields: list[bytes | str | int]) -> None:
        """Let the entry wait in another lane, to which its contact belongs."""
        self._leave(entry)
        self.pending.moved.append(Moved(lane, entry.backfill, fields))

    def _log(self, level: int, text: str, what: object, entry: Entry, **ids: str) -> None:
        """Log what became of a profile; the contact appears as the keyed digest of its key."""
        if log.isEnabledFor(level):
            tag = entry.origin.tag
            lane = lane_of(tag) if tag else None
            names = {"destination": self._destination_id, "job": entry.job_id, "lane": lane, "contact": tag.hex()}
            log.log(level, text, what, extra={**names, **ids})

    def _leave(self, entry: Entry) -> None:
        self.left += 1
        self._left_out.pop((entry.backfill, entry.id), None)
        (self.pending.backfill_ids if entry.backfill else self.pending.live_ids).append(entry.id)


def exhausted(error: CallError, attempts: int) -> CallError:
    """Return the reason for giving up an entry: the last error, after so many attempts."""
    return CallError(
        f"Given up after {attempts} tries; the last one: {error}",
        code="retries_exhausted",
        remedy=REPLAY if error.remedy == error.usual_remedy else error.remedy,
        http_status=error.http_status,
        service_message=error.service_message,
        request_id=error.request_id,
    )
