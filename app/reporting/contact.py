"""One contact of a destination: what was delivered when, what waits, what failed. Names and times, no values.

Delivered values are stored as digests and cannot be shown; `account_copy` reads on demand what the account itself holds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.errors import SealBroken, UsageError
from app.keys import DestinationKeys
from app.lanes.delivered import attribute_tag, contact_tag, decode
from app.lanes.entries import read_fields
from app.lanes.lane import lane_of
from app.mapping.catalog import ALWAYS_THERE
from app.mapping.compiled import CompiledMapping, compile_mapping
from app.mapping.update import ContactUpdate
from app.sfmc.reading import read_attributes

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.lanes.entries import Entry
    from app.lanes.failures import Failure
    from app.resources import Resources

PAGE = 1_000
LOOKED_AT = 100_000  # entries of a lane that are searched; more would keep an operator waiting
FAILURES_SHOWN = 100


@dataclass(frozen=True, slots=True)
class DeliveredAttribute:
    """A delivered attribute.

    `version_ms`: when the value became true. `enqueued_ms`: when it came. `certain`: False after a call without an answer.
    """

    name: str
    version_ms: int
    enqueued_ms: int
    live: bool
    certain: bool


@dataclass(frozen=True, slots=True)
class WaitingProfile:
    """A waiting profile. `kind`: live, backfill or parked. `attributes`: the names it would set; empty if it cannot be read."""

    kind: str
    job_id: str
    enqueued_ms: int
    attempts: int
    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Contact:
    """What is known about a contact. `incomplete`: the lane holds more entries than were searched."""

    lane: int
    tag: str
    delivered: tuple[DeliveredAttribute, ...]
    waiting: tuple[WaitingProfile, ...]
    failed: tuple[Failure, ...]
    incomplete: bool

    @property
    def known(self) -> bool:
        return bool(self.delivered or self.waiting or self.failed)


def read_contact(resources: Resources, destination_id: str, contact_key: str) -> Contact:
    """Return what is known about a contact. Raises: `UnknownDestination`; `SealBroken`; `UsageError` for an empty key."""
    if not contact_key.strip():
        raise UsageError("The contact key is empty.", remedy="Give the key as it is in Marketing Cloud.")
    connected = resources.destinations.connected(destination_id)
    destination, tag = connected.destination, contact_tag(contact_key, connected.pepper)
    lane = lane_of(tag)
    keys = DestinationKeys(destination_id).lane(lane)
    row: Any = resources.redis.hget(keys.delivered(destination.holdings), tag)
    names = {attribute_tag(name): name for name in _names(resources, destination)}
    delivered = (
        DeliveredAttribute(
            names.get(attribute, f"(a field that is gone: {attribute.hex()})"),
            item.order.version_ms,
            item.order.stamp_ms,
            item.order.live,
            item.certain,
        )
        for attribute, item in decode(row).items()
    )
    mapping = _mapping(resources, destination)
    waiting, incomplete = [], False
    for kind, stream in (("live", keys.live), ("backfill", keys.backfill), ("parked", keys.parked)):
        looked_at = 0
        for entry_id, fields in _entries(resources, stream):
            looked_at += 1
            entry = read_fields(entry_id, fields, backfill=kind == "backfill")
            if entry.origin.tag == tag:
                waiting.append(_waiting(resources, destination, mapping, entry, kind))
        incomplete |= looked_at >= LOOKED_AT
    failed = [item for item in resources.failures(destination_id).all() if item.origin.tag == tag]
    return Contact(
        lane,
        tag.hex(),
        tuple(sorted(delivered, key=lambda item: item.name)),
        tuple(waiting),
        tuple(failed[-FAILURES_SHOWN:]),
        incomplete,
    )


def account_copy(resources: Resources, destination_id: str, contact_key: str) -> dict[str, Any] | None:
    """Return the mapped attributes with the values that the account holds now; None if it has no such contact.

    Raises: the `CallError` of the account; `UsageError` if this process does not hold the account's secret.
    """
    destination = resources.destinations.get(destination_id)
    if not destination.account.client_secret:
        raise UsageError(
            "This process holds no key for accounts.", remedy="Ask on a machine that does: `activation contact`."
        )
    names = [name for name in _mapped(destination) if name]
    return read_attributes(resources.client(destination), contact_key, names)


def _mapped(destination: Destination) -> list[str]:
    rows = [row.target.qualified for row in destination.mapping if row.target.kind == "attribute"]
    return list(dict.fromkeys([*rows, *(segment.qualified for segment in destination.segments)]))


def _names(resources: Resources, destination: Destination) -> list[str]:
    catalog = resources.catalogs.get(destination.id)
    known = [] if catalog is None else list(catalog.attributes)
    return [*known, *_mapped(destination), *ALWAYS_THERE]


def _mapping(resources: Resources, destination: Destination) -> CompiledMapping | None:
    catalog = resources.catalogs.get(destination.id)
    if catalog is None:
        return None
    try:
        return compile_mapping(destination, catalog)
    except UsageError:
        return None


def _entries(resources: Resources, stream: str) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
    """Yield id and fields of a stream's entries, oldest first, at most `LOOKED_AT`."""
    first, seen = "-", 0
    while seen < LOOKED_AT:
        page: Any = resources.redis.xrange(stream, min=first, count=PAGE)
        yield from page
        seen += len(page)
        if len(page) < PAGE:
            return
        first = f"({page[-1][0].decode()}"


def _waiting(
    resources: Resources, destination: Destination, mapping: CompiledMapping | None, entry: Entry, kind: str
) -> WaitingProfile:
    names: tuple[str, ...] = ()
    origin = entry.origin
    if mapping is not None:
        try:
            found = mapping.resolve(
                entry.open(resources.ring, destination.id),
                occurred_at_ms=origin.occurred_at_ms,
                arrived_at_ms=origin.stamp_ms,
                now_ms=resources.clock.now_ms(),
            )
            names = tuple(sorted(found.values)) if isinstance(found, ContactUpdate) else ()
        except SealBroken:
            names = ()
    return WaitingProfile(kind, origin.job_id, origin.stamp_ms, entry.attempts, names)
