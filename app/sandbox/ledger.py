"""What was called, when, and with what result: the evidence that tests, benchmarks and the demo read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

NO_ANSWER = 0
"""The status of a call whose connection was aborted."""


@dataclass(slots=True)
class Entry:
    """One call. Times are Unix seconds. `body`: the request as sent (never that of a token request)."""

    n: int
    route: str
    method: str
    status: int
    contact_key: str | None
    started: float
    ended: float
    fault: str | None
    stored: bool
    body: bytes | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for the admin route; a body that is not JSON becomes text."""
        body: Any = None
        if self.body is not None:
            try:
                body = orjson.loads(self.body)
            except orjson.JSONDecodeError:
                body = self.body.decode("utf-8", "replace")
        return {
            "n": self.n,
            "route": self.route,
            "method": self.method,
            "status": self.status,
            "contact_key": self.contact_key,
            "started": self.started,
            "ended": self.ended,
            "fault": self.fault,
            "stored": self.stored,
            "body": body,
        }


class Ledger:
    """The calls of a tenant in the order in which they ended, with running totals."""

    def __init__(self) -> None:
        self._in_flight: dict[str, int] = {}
        self.contacts_in_flight = 0
        self.clear()

    def clear(self) -> None:
        """Forget every call that has ended; those under way are still tracked."""
        self._entries: list[Entry] = []
        self._by_status: Counter[int] = Counter()
        self._per_second: Counter[int] = Counter()
        self._token_requests = self._contact_calls = self._contact_ok = 0
        self._max_concurrent = self._overlaps = self._identical_repeats = 0
        self._first_call: float | None = None
        self._last_call: float | None = None

    def contact_began(self) -> None:
        """Count a contact call that begins."""
        self.contacts_in_flight += 1
        self._max_concurrent = max(self._max_concurrent, self.contacts_in_flight)

    def contact_named(self, contact_key: str) -> None:
        """Note the key of a contact call under way; two at once for one key are an overlap."""
        others = self._in_flight.get(contact_key, 0)
        self._overlaps += others > 0
        self._in_flight[contact_key] = others + 1

    def contact_ended(self, contact_key: str | None) -> None:
        """Count a contact call that ends."""
        self.contacts_in_flight -= 1
        if contact_key is not None:
            left = self._in_flight[contact_key] - 1
            if left:
                self._in_flight[contact_key] = left
            else:
                del self._in_flight[contact_key]

    def add(
        self,
        *,
        route: str,
        method: str,
        status: int,
        contact_key: str | None,
        started: float,
        ended: float,
        fault: str | None,
        stored: bool,
        accepted: bool,
        repeats: bool,
        body: bytes | None,
    ) -> None:
        """Record a call that has ended. `accepted`: its client was told of success. `repeats`: no value was new."""
        entries = self._entries
        entries.append(Entry(len(entries), route, method, status, contact_key, started, ended, fault, stored, body))
        if route == "contacts":
            self._contact_calls += 1
            self._by_status[status] += 1
            if self._first_call is None or started < self._first_call:
                self._first_call = started
            self._last_call = ended
            if accepted:
                self._contact_ok += 1
                self._identical_repeats += repeats
                self._per_second[int(ended)] += 1
        elif route == "token":
            self._token_requests += 1

    def since(self, n: int) -> tuple[Iterator[dict[str, Any]], int]:
        """Return the calls from number `n` on, and the number that the next one will get."""
        return (one.as_json() for one in self._entries[max(n, 0) :]), len(self._entries)

    def summary(self) -> dict[str, Any]:
        """Return the totals. `by_status` and `throttled` count contact calls; status 0 is an aborted connection."""
        return {
            "token_requests": self._token_requests,
            "contact_calls": self._contact_calls,
            "contact_ok": self._contact_ok,
            "by_status": {str(status): count for status, count in sorted(self._by_status.items())},
            "throttled": self._by_status[429],
            "max_concurrent": self._max_concurrent,
            "overlaps": self._overlaps,
            "identical_repeats": self._identical_repeats,
            "per_second": {str(second): count for second, count in sorted(self._per_second.items())},
            "first_call": self._first_call,
            "last_call": self._last_call,
        }
