"""What every process of the pipeline works with, made from the settings in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from redis import Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry

from app.clock import RedisClock
from app.destinations.catalogs import CatalogStore
from app.destinations.state import StateStore
from app.destinations.store import DestinationStore
from app.errors import UsageError
from app.lanes.failures import FailureStore
from app.reporting.measures import Measures
from app.reporting.signs import SignsOfLife
from app.sealing import KeyRing

if TYPE_CHECKING:
    from redis.connection import AbstractConnection

    from app.destinations.model import Destination
    from app.settings import Settings
    from app.sfmc import MarketingCloud


@dataclass(frozen=True, slots=True)
class Resources:
    """Connections and stores; cheap to create, connects on first use."""

    settings: Settings
    redis: Redis
    clock: RedisClock
    ring: KeyRing
    destinations: DestinationStore
    catalogs: CatalogStore
    states: StateStore
    measures: Measures = field(default_factory=Measures)
    signs: SignsOfLife = field(default_factory=SignsOfLife)

    @classmethod
    def from_settings(cls, settings: Settings, redis: Redis | None = None) -> Resources:
        """Create them, with a new connection unless `redis` is given.

        Raises: `UsageError` if Redis or the keys are not named (`app.devstack.stack` fills both in for a private Redis).
        """
        if not settings.redis_url:
            raise UsageError(
                "ACTIVATION_REDIS_URL is not set.",
                remedy="Set it, or use the `activation` commands, which start a private Redis under ACTIVATION_HOME.",
            )
        redis = redis or connect(settings.redis_url)
        ring = KeyRing(settings.keys)
        return cls(
            settings=settings,
            redis=redis,
            clock=RedisClock(redis),
            ring=ring,
            destinations=DestinationStore(redis, ring),
            catalogs=CatalogStore(redis),
            states=StateStore(redis, settings),
        )

    def failures(self, destination_id: str) -> FailureStore:
        return FailureStore(self.redis, self.ring, destination_id)

    def client(self, destination: Destination) -> MarketingCloud:
        from app.pacing.account import tell_throttled
        from app.sfmc import MarketingCloud  # it imports aiohttp, a third of the start-up time of a pure producer

        return MarketingCloud(
            destination.account,
            self.redis,
            self.ring,
            connect_timeout_seconds=self.settings.connect_timeout_seconds,
            read_timeout_seconds=self.settings.read_timeout_seconds,
            measure=partial(self.measures.called, destination.id),
            when_throttled=partial(tell_throttled, self.redis, destination.account.key, destination.limits),
        )


MOST_CONNECTIONS = 1_000


def connect(url: str, *, answer_seconds: float = 10.0, retry: Retry | None = None) -> Redis:
    """Return a connection pool for the state; a command waits `answer_seconds` for its answer.

    redis-py repeats a command by itself if the connection broke (10 times by default in version 8). Three are enough to
    survive a reconnect, and all scripts are safe to repeat.
    """
    client = Redis.from_url(
        url,
        # redis-py's default is 100, then it raises; all threads of a worker may ask at once when Redis is slow
        max_connections=MOST_CONNECTIONS,
        socket_timeout=answer_seconds,
        socket_connect_timeout=min(3.0, answer_seconds),
        **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        health_check_interval=25,
        retry=retry or Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), 3),
    )
    pool = client.connection_pool
    pool.connection_class = _leaving_replicas(pool.connection_class)
    return client


@cache
def _leaving_replicas(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return a connection class that reconnects once the server says that it is no longer a master.

    A fail-over may cut no connections, and the address then leads to another server (redis-py does this only for Sentinel).
    """

    class Leaving(kind):  # type: ignore[misc,valid-type]  # depends on the URL: plain, TLS or a Unix socket
        is_left = False

        def connect(self) -> None:
            if self.is_left:
                self.disconnect()
                self.is_left = False
            super().connect()

        def read_response(self, *args: Any, **options: Any) -> Any:
            try:
                return super().read_response(*args, **options)
            except ReadOnlyError:
                self.is_left = True
                raise

    return Leaving
