"""Reading more of a lane into a session: entries are opened, mapped, and given to their contacts."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from app.delivery import session as state
from app.delivery.opening import locked, open_entry, set_aside
from app.errors import CallError, EpochEnded, SealBroken
from app.event_loop import EVENT_LOOP, LongComputation
from app.lanes.locked import read_locked_aside_ms

if TYPE_CHECKING:
    from app.delivery.in_hand import InHand
    from app.delivery.plan import Pair
    from app.lanes.entries import Entry
    from app.lanes.lane import Read

HAND_OVER_SPREAD_SECONDS = 0.4


async def read_more(in_hand: InHand, command: state.Read) -> None:
    """Read as the state machine says. Raises `LeaseLost` and redis-py's errors."""
    work, lane = in_hand.work, in_hand.work.lane
    try:
        step = lane.reading(live=command.live, backfill=command.backfill)
        read = await in_hand.outlast(lambda: work.trips.run(step))
    except EpochEnded:
        in_hand.session = state.epoch_over(in_hand.session)
        return
    found = len(read.live) + len(read.backfill)
    if state.takes_long(in_hand.session, found, in_hand.rules) and not await in_hand.outlast(work.stays):
        # one after another, or the other process would open all of them before its first call
        await in_hand.changed.wait(random.uniform(0, HAND_OVER_SPREAD_SECONDS))  # noqa: S311  # spread, not a secret
        in_hand.session = state.told_to_end(in_hand.session)
        return
    in_hand.read += found
    error = await _take_in(in_hand, read)
    in_hand.session = state.read_done(
        in_hand.session, command, live=len(read.live), backfill=len(read.backfill), recovered=read.recovered,
        now=time.monotonic(),
    )  # fmt: skip
    if error is not None:
        in_hand.fail(error)


async def _take_in(in_hand: InHand, read: Read) -> CallError | None:
    """Give what was read to its contacts. Returns the error of the destination as a whole when no key opens what waits."""
    work, contacts = in_hand.work, in_hand.contacts
    contacts.now_ms = read.now_ms
    updates, unopened = await _open(in_hand, read)
    if unopened:
        destination_id = work.destination.id
        aside_ms = await EVENT_LOOP.in_thread(read_locked_aside_ms, work.trips.redis, destination_id)
        if any(entry.origin.stamp_ms >= aside_ms for entry in unopened):
            return locked(destination_id)
        for entry in unopened:
            in_hand.ledger.fail(entry, set_aside(destination_id), now_ms=read.now_ms)
    arrivals = contacts.arrange(updates)
    if unknown := contacts.unknown(arrivals):
        contacts.learn(await in_hand.outlast(lambda: work.trips.run(work.lane.delivered(unknown))))
    async with LongComputation() as computation:
        for arrival in arrivals:
            contacts.take_in(arrival)
            await computation.pause()
    return None


async def _open(in_hand: InHand, read: Read) -> tuple[list[Pair], list[Entry]]:
    """What the entries would set, and those that no key opens."""
    work, mapping, ledger = in_hand.work, in_hand.contacts.mapping, in_hand.ledger
    updates: list[Pair] = []
    unopened: list[Entry] = []
    async with LongComputation() as computation:
        for entry in read.entries():
            try:
                update = open_entry(
                    entry, read, mapping, ledger, work.ring, work.destination.id,
                    crashes_allowed=work.settings.crashes_allowed,
                )  # fmt: skip
            except SealBroken:
                unopened.append(entry)
            else:
                if update is not None:
                    updates.append((entry, update))
            await computation.pause()
    return updates, unopened
