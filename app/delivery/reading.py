"""Reads more of a lane: opens and maps entries and gives them to their contacts."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from app.delivery.opening import locked, open_entry, set_aside
from app.errors import CallError, EpochEnded, SealBroken
from app.event_loop import EVENT_LOOP, LongComputation
from app.lanes.locked import read_locked_aside_ms

if TYPE_CHECKING:
    from app.delivery.lane_session import LaneSession
    from app.delivery.plan import Pair
    from app.delivery.session import Read
    from app.lanes.entries import Entry
    from app.lanes.lane import Batch

HAND_OVER_SPREAD_SECONDS = 0.4


async def read_more(session: LaneSession, command: Read) -> None:
    """Read as the state machine says. Raises: `LeaseLost`; redis-py's errors."""
    try:
        batch = await session.run(session.work.lane.reading(live=command.live, backfill=command.backfill))
    except EpochEnded:
        session.epoch_over()
        return
    if not await session.may_stay(batch):
        # spread out, or the other process would open all of these lanes before its first call
        await session.changed.wait(random.uniform(0, HAND_OVER_SPREAD_SECONDS))  # noqa: S311  # spread, not a secret
        session.end()
        return
    error = await _take_in(session, batch)
    session.read_done(command, batch)
    if error is not None:
        session.failed(error)


async def _take_in(session: LaneSession, batch: Batch) -> CallError | None:
    """Give a batch to its contacts. Returns the destination's error when no key opens the entries."""
    work, contacts = session.work, session.contacts
    contacts.told_time(batch.now_ms)
    updates, unopened, closed = await _open(session, batch)
    if tags := {entry.origin.tag for entry in (*closed, *unopened) if entry.recovered}:
        contacts.distrust(await session.run(work.lane.delivered([*tags])))
    if unopened:
        destination_id = work.destination.id
        aside_ms = await session.outlast(
            lambda: EVENT_LOOP.in_thread(read_locked_aside_ms, work.shared.trips.redis, destination_id)
        )
        if any(entry.origin.stamp_ms >= aside_ms for entry in unopened):
            return locked(destination_id)
        for entry in unopened:
            session.ledger.fail(entry, set_aside(destination_id), now_ms=batch.now_ms)
    arrivals = contacts.arrange(updates)
    if unknown := contacts.unknown(arrivals):
        contacts.learn(await session.run(work.lane.delivered(unknown)))
    async with LongComputation() as computation:
        for arrival in arrivals:
            contacts.take_in(arrival)
            await computation.pause()
    return None


async def _open(session: LaneSession, batch: Batch) -> tuple[list[Pair], list[Entry], list[Entry]]:
    """Return what the entries would set, those that no key opens, and those that have their outcome already."""
    work, mapping, ledger = session.work, session.contacts.mapping, session.ledger
    updates: list[Pair] = []
    unopened: list[Entry] = []
    closed: list[Entry] = []
    async with LongComputation() as computation:
        for entry in batch.entries():
            try:
                update = open_entry(
                    entry,
                    batch,
                    mapping,
                    ledger,
                    work.shared.ring,
                    work.destination.id,
                    crashes_allowed=work.shared.settings.crashes_allowed,
                )
            except SealBroken:
                unopened.append(entry)
            else:
                if update is None:
                    closed.append(entry)
                else:
                    updates.append((entry, update))
            await computation.pause()
    return updates, unopened, closed
