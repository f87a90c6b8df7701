"""Carries a session out: reads, calls and settles as the state machine says, and reports the results to it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from app.delivery.caller import Caller
from app.delivery.lane_session import LaneSession
from app.delivery.reading import read_more
from app.delivery.session import End, Read, Settle, SliceOver, Wait
from app.errors import EpochEnded
from app.moments import hour_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from app.delivery.work import Result, Work


async def carry_out(work: Work) -> Result:
    """Work until the lane is empty, it is others' turn, or something stops the session.

    Raises: `LeaseLost`; redis-py's errors.
    """
    session = LaneSession(work)
    caller = Caller(session)
    try:
        while not isinstance(command := await session.next_command(), End):
            match command:
                case Settle():
                    await _settle(session, command)
                case SliceOver():
                    await session.slice_over()
                    session.contacts.forget_settled()
                case Read():
                    await _keeping_the_lane(session, read_more(session, command))
                case Wait():
                    caller.want(command.want)
                    await session.changed.wait(command.seconds)
    finally:
        session.end()
        await caller.leave()
    return session.result()


async def _keeping_the_lane(session: LaneSession, reading: Coroutine[Any, Any, None]) -> None:
    """Renew the lease during a read: opening the large profiles of many lanes may take longer than a lease."""
    task = asyncio.ensure_future(reading)
    try:
        while not (await asyncio.wait({task}, timeout=session.rest_seconds))[0]:
            await session.keep_lane()
    finally:
        task.cancel()
    await task


async def _settle(session: LaneSession, command: Settle) -> None:
    contacts, ledger = session.contacts, session.ledger
    if command.park_doubtful:
        contacts.park_doubtful()
    if ledger.pending and not session.epoch_ended:
        hour = hour_of(contacts.now_ms)  # Redis's time as of the last read, which saves asking again
        try:
            settling = session.work.lane.settling(ledger.take(), hour=hour)
            await session.run(settling, within_seconds=command.within_seconds)
        except EpochEnded:
            session.epoch_over()
    session.settled()
