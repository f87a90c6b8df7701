"""A destination on a sandbox of its own tenant, worked on by deliveries of this very process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import pytest
import requests
from celery import Celery
from redis import Redis

from app.delivery.plan import Pair
from app.delivery.wakeup import Delivery
from app.delivery.working_set import WorkingSet
from app.destinations.file import load
from app.destinations.model import Destination
from app.keys import DestinationKeys
from app.lanes.lane import Batch, Lane
from app.lanes.outcomes import Ledger
from app.lanes.settlement import Settlement
from app.producer import Producer
from app.resources import Resources
from app.sealing import make_key
from app.settings import Settings
from app.wake_ups import Waker
from tests.system.rig import DESTINATION, SEGMENTS

_tenants = count(1)


class HeldLane(Lane):
    """A lane whose steps are taken one by one."""

    def read(self, *, live: int, backfill: int) -> Batch:
        return self.reading(live=live, backfill=backfill).run(self._redis)

    def settle(self, settlement: Settlement, *, hour: int) -> None:
        self.settling(settlement, hour=hour).run(self._redis)

    def renew(self) -> None:
        self.renewing().run(self._redis)

    def rows(self, tags: Sequence[bytes]) -> Mapping[bytes, bytes | None]:
        return self.delivered(tags).run(self._redis)


def take_in(contacts: WorkingSet, lane: HeldLane, updates: Sequence[Pair]) -> None:
    """As a session does it."""
    arrivals = contacts.arrange(updates)
    if unknown := contacts.unknown(arrivals):
        contacts.learn(lane.rows(unknown))
    for arrival in arrivals:
        contacts.take_in(arrival)


def waiting(job_id: str, stamp_ms: int) -> Any:
    """An entry as it lies in a lane."""
    return {"j": job_id, "o": stamp_ms, "s": f"{stamp_ms}-1", "f": "", "c": "c", "p": "p"}


class Bench:
    """One destination, one producer, any number of workers, and the wake-ups that are under way."""

    def __init__(self, redis_url: str, sandbox_port: int, **changes: Any) -> None:
        settings = replace(
            Settings.from_env(), redis_url=redis_url, secret_keys=make_key(), allow_local_hosts="true",
            **{"retry_base_seconds": 0.01, "retry_cap_seconds": 0.02, "crashes_allowed": 1_000, "sweep_seconds": 0.0,
               "read_timeout_seconds": 5.0, "connect_timeout_seconds": 1.0, **changes},
        )  # fmt: skip
        self.resources = Resources.from_settings(settings)
        self.redis = self.resources.redis
        self.redis.flushall()
        self.base = f"http://127.0.0.1:{sandbox_port}/t/bench{next(_tenants)}"
        self.destination = self.connect()
        self.keys = DestinationKeys("camp")
        self.celery = Celery("bench", broker="memory://", set_as_current=False)
        self.waker = Waker(self.resources, self.celery)
        self.producer = Producer(self.resources, self.waker)
        with self.celery.connection_for_read() as connection:
            connection.SimpleQueue("delivery").clear()
        self.workers = [Delivery(self.resources) for _ in range(2)]

    def ledger(self) -> Ledger:
        """Of a session that a test carries out itself."""
        return Ledger("camp", self.resources.ring, self.resources.settings, self.resources.measures)

    def connect(
        self, *, key: str = "contactKey", mapping_id: str = SEGMENTS["seg-1"], calls_per_minute: int = 600_000
    ) -> Destination:
        """Connect the destination, or replace it, with the contact key in this namespace and the first segment in this field."""
        text = DESTINATION.format(
            id="camp", tenant="bench", secret="sandbox-secret", base=self.base, calls_per_minute=calls_per_minute,
            max_in_flight=8, mapping_id=mapping_id,
        ).replace("IdentityMap: contactKey", f"IdentityMap: {key}")  # fmt: skip
        destination = load(text, environ={}, allow_local_hosts=True, where="camp")
        self.resources.destinations.save(destination)
        return destination

    def lane(self, number: int, *, redis: Redis | None = None, lease_seconds: float = 20) -> HeldLane:
        """A lane of the destination as it is connected now."""
        connected = self.resources.destinations.connected("camp")
        return HeldLane(
            redis or self.redis, "camp", number, epoch=connected.epoch, holdings=connected.destination.holdings,
            lease_seconds=lease_seconds, margin_seconds=lease_seconds / 5,
        )  # fmt: skip

    def hour(self) -> int:
        return self.resources.clock.now_ms() // 3_600_000

    def wake_ups(self) -> list[tuple[int, str]]:
        """Take every wake-up that was sent: lane and token."""
        found = []
        with self.celery.connection_for_read() as connection:
            queue = connection.SimpleQueue("delivery")
            while len(queue):
                message = queue.get_nowait()
                message.ack()
                args, kwargs, _ = message.payload
                found.append((args[1], kwargs.get("wake_up_token", "1")))
        return found

    def admin(self, method: str, path: str, document: Any = None) -> Any:
        answer = requests.request(method, f"{self.base}/_sandbox/{path}", json=document, timeout=10)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def close(self) -> None:
        for worker in self.workers:
            worker.give_back()
        self.resources.redis.close()


@pytest.fixture
def bench(redis_url: str, redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    yield made
    made.close()
