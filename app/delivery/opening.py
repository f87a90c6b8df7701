"""Opens and maps the entries that were read; one that can never be sent gets its outcome here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from app.errors import CallError, DestinationBroken, SealBroken
from app.lanes.append import seal_origin
from app.mapping.update import Excluded

if TYPE_CHECKING:
    from app.lanes.entries import Entry
    from app.lanes.lane import Batch
    from app.lanes.outcomes import Ledger
    from app.mapping.compiled import CompiledMapping
    from app.mapping.update import ContactUpdate
    from app.sealing import KeyRing


def open_entry(
    entry: Entry,
    batch: Batch,
    mapping: CompiledMapping,
    ledger: Ledger,
    ring: KeyRing,
    destination_id: str,
    *,
    crashes_allowed: int,
) -> ContactUpdate | None:
    """Return what an entry of this batch would set; None when it already has its outcome.

    Raises: `SealBroken` when no key opens it.
    """
    if batch.deaths_alone >= crashes_allowed > 0:
        ledger.fail(entry, _killer(batch), now_ms=batch.now_ms)
        return None
    try:
        profile = entry.open(ring, destination_id)
    except SealBroken as broken:
        if not broken.tampered:
            raise
        ledger.fail(entry, _tampered(broken), now_ms=batch.now_ms)
        return None
    update = mapping.resolve(
        profile,
        occurred_at_ms=entry.origin.occurred_at_ms,
        arrived_at_ms=entry.origin.stamp_ms,
        now_ms=batch.now_ms,
    )
    if isinstance(update, Excluded):
        ledger.exclude(entry, update.reason, update.detail)
        return None
    return update


def seal_for_lane(entry: Entry, tag: bytes, ring: KeyRing, destination_id: str) -> list[bytes | str | int]:
    """Return the fields of an entry, sealed anew for the lane that its contact now belongs to."""
    clear = orjson.dumps(entry.open(ring, destination_id))
    fields = seal_origin(clear, entry.origin, tag, destination_id, ring)
    if entry.attempts:
        fields += ["n", entry.attempts, "t", entry.first_tried_at_ms]
    return fields


def _killer(batch: Batch) -> CallError:
    return CallError(
        f"{batch.deaths} workers died while they had this contact, {batch.deaths_alone} of them with this contact alone.",
        code="worker_killed",
        remedy="Export it with `activation failures DESTINATION --export FILE`, find what is special about it, then replay.",
    )


def _tampered(broken: SealBroken) -> CallError:
    return CallError(str(broken), code="seal_tampered", remedy=broken.remedy)


def locked(destination_id: str) -> DestinationBroken:
    return DestinationBroken(
        "No key of ACTIVATION_SECRET_KEYS opens the waiting profiles.",
        code="seal_broken",
        remedy="Add the key they were sealed with back to the end of ACTIVATION_SECRET_KEYS and restart the workers. If it is "
        f"lost for good, `activation resume {destination_id} --set-locked-aside` makes failures of them.",
    )


def set_aside(destination_id: str) -> CallError:
    return CallError(
        "No key of ACTIVATION_SECRET_KEYS opens it, and an operator has set it aside.",
        code="seal_broken",
        remedy="Should the key be found, add it to the end of ACTIVATION_SECRET_KEYS, restart the workers and run "
        f"`activation failures {destination_id} --replay`.",
    )
