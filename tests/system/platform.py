"""A made-up audience platform that exports profiles as Adobe Experience Platform's HTTP API destination is documented to.

It gathers up to ten profiles for a call, sends whole profiles with every identity (namespaces in small letters, in any order, none
primary) and audiences that the destination does not name, gives no time for attributes, waits two seconds for an answer, and sends
again twice what was answered with one of some statuses, after 15 and 30 seconds (here in a scale). What it drops, it lists.
"""

from __future__ import annotations

import heapq
import json
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests

RETRIED = (403, 408, 409, 429, 500, 502, 503, 504)
RETRY_AFTER_SECONDS = (15.0, 30.0)
ANSWER_SECONDS = 2.0
TOGETHER = 10
OTHER_AUDIENCES = ("0e8f3a1c-1111-4d5e-9c3b-aaaaaaaaaaaa", "0e8f3a1c-2222-4d5e-9c3b-bbbbbbbbbbbb")


@dataclass
class Person:
    """A profile as the platform knows it now."""

    number: int
    revision: int = 0
    statuses: dict[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return f"c-{self.number}"


@dataclass(order=True)
class Call:
    due: float
    body: bytes = field(compare=False)
    people: list[int] = field(compare=False)
    attempt: int = field(compare=False, default=0)


class Platform:
    """`write` changes a profile; threads export it. `scale` shortens the waits before a call is sent again.

    Between it and the intake stands what a proxy does: a call goes to one of `bases`, and to the next when there is no connection.
    """

    def __init__(
        self, bases: list[str], destination: str, client: tuple[str, str], segments: list[str], *, basic: bool, scale: float,
        connections: int = 6, seed: int = 1,
    ) -> None:  # fmt: skip
        self.people: dict[int, Person] = {}
        self.lost: list[tuple[int, int]] = []  # status (0: none) and attempts
        self.statuses: dict[int, int] = {}
        self.jobs: set[str] = set()
        self.calls = self.repeats = self.tokens = 0
        self._bases, self._destination, self._client, self._basic = bases, destination, client, basic
        self._segments, self._scale = segments, scale
        self._dice = random.Random(seed)
        self._lock = threading.Condition()
        self._pending: dict[int, None] = {}  # in the order of their writes
        self._in_first_call: set[int] = set()  # a newer export of a profile waits until the one before was tried once
        self._retries: list[Call] = []
        self._busy = 0
        self._ended = False
        self._token = ""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(connections)]
        for thread in self._threads:
            thread.start()

    def write(self, number: int, *, segment: str | None = None) -> None:
        """Change an attribute of a profile, and its status in a segment if one is named."""
        with self._lock:
            person = self.people.setdefault(number, Person(number))
            person.revision += 1
            if segment is not None:
                status = "exited" if person.statuses.get(segment, ("",))[0] == "realized" else "realized"
                person.statuses[segment] = (
                    status,
                    datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                )
            self._pending[number] = None
            self._lock.notify()

    @property
    def quiet(self) -> bool:
        """Whether there is nothing more to send."""
        with self._lock:
            return not (self._pending or self._retries or self._busy)

    def end(self) -> None:
        with self._lock:
            self._ended = True
            self._lock.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with requests.Session() as session:
            while (call := self._next()) is not None:
                status = self._send(session, call)
                with self._lock:
                    self._answered(call, status)
                    self._busy -= 1
                    self._lock.notify_all()

    def _next(self) -> Call | None:
        with self._lock:
            while not self._ended:
                if self._retries and self._retries[0].due <= time.monotonic():
                    self._busy += 1
                    self.repeats += 1
                    return heapq.heappop(self._retries)
                free = [number for number in self._pending if number not in self._in_first_call][:TOGETHER]
                if free:
                    self._busy += 1
                    return self._gather(free)
                self._lock.wait(0.02)
        return None

    def _gather(self, numbers: list[int]) -> Call:
        for number in numbers:
            del self._pending[number]
        self._in_first_call.update(numbers)
        profiles = [self._export(self.people[number]) for number in numbers]
        document = profiles[0] if len(profiles) == 1 else profiles
        return Call(0.0, json.dumps(document).encode(), numbers)

    def _export(self, person: Person) -> dict[str, Any]:
        namespaces = [
            ("ecid", [{"id": f"{self._dice.getrandbits(60)}"} for _ in range(self._dice.randrange(1, 4))]),
            ("contactkey", [{"id": person.key}]),
            ("email_lc_sha256", [{"id": f"{self._dice.getrandbits(200):x}"}]),
        ]
        self._dice.shuffle(namespaces)
        memberships = {
            segment: {"status": status, "lastQualificationTime": when}
            for segment, (status, when) in person.statuses.items()
        }
        for other in OTHER_AUDIENCES:
            memberships[other] = {"status": "realized", "lastQualificationTime": "2026-01-11T21:24:39Z"}
        return {
            "person": {"name": {"firstName": f"revision {person.revision}", "lastName": "Doe"}},
            "personalEmail": {"address": f"{person.key}@mail.test"},
            "segmentMembership": {"ups": memberships},
            "identityMap": dict(namespaces),
        }

    def _send(self, session: requests.Session, call: Call) -> int:
        """The status of the answer; 0 when none came in time."""
        path = f"/v1/destinations/{self._destination}/profiles?source=platform"
        try:
            token = self._token or self._fetch_token(session)
            answer = self._post(
                session, path, data=call.body,
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            )  # fmt: skip
        except requests.RequestException:
            return 0
        if answer.status_code == 202:
            self.jobs.add(answer.json()["job"])
        return answer.status_code

    def _post(self, session: requests.Session, path: str, **what: Any) -> requests.Response:
        start = self._dice.randrange(len(self._bases))
        *others, last = self._bases[start:] + self._bases[:start]
        for base in others:
            try:
                return session.post(base + path, timeout=ANSWER_SECONDS, **what)
            except requests.Timeout:
                raise
            except requests.ConnectionError:
                continue
        return session.post(last + path, timeout=ANSWER_SECONDS, **what)

    def _fetch_token(self, session: requests.Session) -> str:
        form = {"grant_type": "client_credentials"}
        if not self._basic:
            form |= dict(zip(("client_id", "client_secret"), self._client, strict=True))
        answer = self._post(session, "/oauth/token", data=form, auth=self._client if self._basic else None)
        answer.raise_for_status()
        self.tokens += 1
        self._token = answer.json()["access_token"]
        return self._token

    def _answered(self, call: Call, status: int) -> None:
        self.calls += 1
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if call.attempt == 0:
            self._in_first_call.difference_update(call.people)
        if 200 <= status < 300:
            return
        if call.attempt < len(RETRY_AFTER_SECONDS) and (status == 0 or status in RETRIED):
            call.due = time.monotonic() + RETRY_AFTER_SECONDS[call.attempt] * self._scale
            call.attempt += 1
            heapq.heappush(self._retries, call)
        else:
            self.lost.append((status, call.attempt))
