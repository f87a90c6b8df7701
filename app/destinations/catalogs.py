"""The cached catalogs: fetched from the account, kept in Redis for each destination, reread at most every few seconds."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, cast

import orjson

from app.errors import CallError, DestinationBroken
from app.keys import CATALOGS, DestinationKeys
from app.lua import write
from app.mapping.catalog import DEMOGRAPHICS, Attribute, Catalog, parse_definitions
from app.other_builds import known_fields

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations.model import Destination
    from app.sfmc import MarketingCloud

_REREAD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class RefreshFailure:
    """Why the last fetch of the definitions failed; the catalog is then older."""

    text: str
    at_ms: int


class CatalogStore:
    """The cached catalogs. Safe to share between threads; reads Redis at most every 5 seconds for each destination.

    Definitions are metadata of the account and hold no personal data, so they are stored in clear.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read: dict[str, tuple[float, bytes, Catalog]] = {}  # id -> (when (monotonic), bytes, parsed)

    def get(self, destination_id: str) -> Catalog | None:
        """Return the catalog; None if none was fetched yet."""
        known = self._read.get(destination_id)
        now = time.monotonic()
        if known is not None and now - known[0] < _REREAD_SECONDS:
            return known[2]
        raw = cast("bytes | None", self._redis.get(DestinationKeys(destination_id).catalog))
        if raw is None:
            self._read.pop(destination_id, None)
            return None
        catalog = known[2] if known is not None and known[1] == raw else _restore(raw)
        self._read[destination_id] = (now, raw, catalog)
        return catalog

    def put(self, destination_id: str, catalog: Catalog, *, if_connected: bool = False) -> None:
        """Store a catalog, and forget why an earlier fetch failed.

        `if_connected`: not if the destination was disconnected meanwhile.
        """
        raw = orjson.dumps(
            {"fetched_at_ms": catalog.fetched_at_ms, "attributes": [asdict(a) for a in catalog.attributes.values()]}
        )
        keys = DestinationKeys(destination_id)
        write(
            self._redis,
            ("SET", keys.catalog, raw),
            ("DEL", keys.catalog_failure),
            keys=[keys.catalog, keys.catalog_failure],
            only_with=keys.epoch if if_connected else "",
        )
        write(self._redis, ("ZADD", CATALOGS, catalog.fetched_at_ms, destination_id), keys=[CATALOGS])
        self._read[destination_id] = (time.monotonic(), raw, catalog)

    def note_failure(self, destination_id: str, text: str, *, at_ms: int) -> None:
        """Store why a fetch failed, beside the catalog that remains in use."""
        keys = DestinationKeys(destination_id)
        note = orjson.dumps({"text": text, "at_ms": at_ms})
        write(self._redis, ("SET", keys.catalog_failure, note), keys=[keys.catalog_failure], only_with=keys.epoch)
        write(self._redis, ("ZADD", CATALOGS, at_ms, destination_id), keys=[CATALOGS])

    def last_failure(self, destination_id: str) -> RefreshFailure | None:
        """Return the failure of the last fetch; None if it went well."""
        raw = cast("bytes | None", self._redis.get(DestinationKeys(destination_id).catalog_failure))
        return None if raw is None else RefreshFailure(**known_fields(RefreshFailure, orjson.loads(raw)))


def fetch(client: MarketingCloud, now_ms: int) -> Catalog:
    """Fetch the catalog. Raises: the `CallError` of the client; `DestinationBroken` if Email Demographics is missing."""
    catalog = parse_definitions(client.definitions(), fetched_at_ms=now_ms)
    if not any(attribute.set_name == DEMOGRAPHICS for attribute in catalog.attributes.values()):
        raise DestinationBroken(
            f"The account shows no attribute set {DEMOGRAPHICS}.",
            code="no_email_demographics",
            remedy="Check account.account_id, and that the installed package may read Email Studio's attributes "
            "(list_and_subscribers_read).",
        )
    return catalog


def refresh(destination: Destination, client: MarketingCloud, store: CatalogStore, now_ms: int) -> Catalog:
    """Fetch and store the catalog. On failure the old one stays, with a note of the reason. Raises: the `CallError`."""
    try:
        catalog = fetch(client, now_ms)
    except CallError as error:
        store.note_failure(destination.id, f"{error} {error.remedy}".strip(), at_ms=now_ms)
        raise
    store.put(destination.id, catalog, if_connected=True)
    return catalog


def _restore(raw: bytes) -> Catalog:
    stored = orjson.loads(raw)
    attributes = [
        Attribute(**known_fields(Attribute, item) | {"restricted_values": tuple(item.get("restricted_values", ()))})
        for item in stored["attributes"]
    ]
    return Catalog.of(attributes, fetched_at_ms=stored["fetched_at_ms"])
