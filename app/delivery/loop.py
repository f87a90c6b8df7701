"""Carrying a session out: reading, calling and settling as the state machine says, and telling it what came of that."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from app.delivery import session as state
from app.delivery.calls import Calls
from app.delivery.in_hand import InHand
from app.delivery.reading import read_more
from app.errors import EpochEnded

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from app.delivery.work import Result, Work


async def carry_out(work: Work) -> Result:
    """Work until the lane is empty, it is time for others or something stops it. Raises `LeaseLost` and redis-py's errors."""
    in_hand = InHand(work)
    calls = Calls(in_hand)
    try:
        while not isinstance(command := await _next_command(in_hand), state.End):
            match command:
                case state.Settle():
                    await _settle(in_hand, close_doubtful=command.close_doubtful)
                case state.LookAround():
                    goes_on = await in_hand.goes_on()
                    in_hand.session = state.slice_over(in_hand.session, in_hand.rules, goes_on=goes_on)
                    in_hand.contacts.forget_settled()
                case state.Read():
                    await _keeping_the_lane(in_hand, read_more(in_hand, command))
                case state.Wait():
                    calls.want(command.want)
                    await in_hand.changed.wait(command.seconds)
    finally:
        in_hand.session = state.told_to_end(in_hand.session)
        await calls.leave()
    return in_hand.result()


async def _next_command(in_hand: InHand) -> state.Command:
    work = in_hand.work
    if in_hand.error is not None:
        raise in_hand.error
    if work.lane.renewal_is_due:
        await in_hand.outlast(lambda: work.trips.run(work.lane.renewing()))
    if work.stopping.is_set():
        in_hand.session = state.told_to_end(in_hand.session)
    return state.next_command(in_hand.session, in_hand.load(), time.monotonic(), in_hand.rules)


async def _keeping_the_lane(in_hand: InHand, reading: Coroutine[Any, Any, None]) -> None:
    """Large profiles of many lanes, which are opened one after another, take longer than a lease."""
    work = in_hand.work
    task = asyncio.ensure_future(reading)
    try:
        while not (await asyncio.wait({task}, timeout=work.settings.lease_seconds / 20))[0]:
            if work.lane.renewal_is_due:
                await in_hand.outlast(lambda: work.trips.run(work.lane.renewing()))
    finally:
        task.cancel()
    await task


async def _settle(in_hand: InHand, *, close_doubtful: bool) -> None:
    work, ledger = in_hand.work, in_hand.ledger
    if close_doubtful:
        in_hand.contacts.park_doubtful()
    if ledger.pending and not in_hand.session.epoch_ended:
        # few outcomes can wait for others to travel with
        few = not close_doubtful and len(ledger.pending) < state.SETTLE_AT_ENTRIES
        step = work.lane.settling(ledger.take(), hour=in_hand.hour())
        try:
            within_seconds = state.COMPANY_SECONDS if few else 0.0
            await in_hand.outlast(lambda: work.trips.run(step, within_seconds=within_seconds))
        except EpochEnded:
            in_hand.session = state.epoch_over(in_hand.session)
    in_hand.session = state.settled(in_hand.session, time.monotonic())
