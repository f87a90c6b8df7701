"""Makes a session's calls, one whenever the gate grants its lane a start, and acts on each result."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, assert_never

from redis.exceptions import RedisError

from app.delivery.redis_away import AWAY
from app.delivery.reloading import Reloading
from app.delivery.verdict import (
    CALLS_REFUSED,
    Accept,
    Answered,
    CallAgain,
    Create,
    Doubt,
    EndSession,
    FailDestination,
    NotSent,
    PauseAccount,
    Refuse,
    ReloadCatalog,
    Silence,
    Verdict,
    judge,
    outage,
    refused_form,
)
from app.errors import AccountThrottled, CallError, ContactRefused, LeaseLost, TransientFailure
from app.pacing.place import Called, Place
from app.tracing import TRACES

if TYPE_CHECKING:
    from app.delivery.lane_session import LaneSession
    from app.delivery.pending_contact import PendingContact
    from app.sfmc.responses import Accepted

# How many starts in a row may be missed: fetching a token for every call must not keep all calls from going out
MISSED_IN_A_ROW = 20

log = logging.getLogger(__name__)


class Caller:
    """Makes the calls of one session."""

    def __init__(self, session: LaneSession) -> None:
        self._session = session
        self._work = session.work
        self._contacts = session.contacts
        self._place = Place(self._work.destination.id, self._call, self._hold)
        self._reloading = Reloading(self._reload_catalog)
        self._wanted = (0, False)  # (calls, backfill), as the gate was told
        self._missed = 0  # starts missed in a row
        self._left = False

    def want(self, count: int) -> None:
        """Tell the gate how many calls could start now."""
        wanted = (0 if self._reloading.is_under_way else count, not self._contacts.live)
        if wanted != self._wanted:
            self._wanted = wanted
            self._work.gate.want(self._place, wanted[0], backfill=wanted[1])

    async def leave(self) -> None:
        """Wait for the calls in flight without noting their results.

        The lane is held until then, so that nobody else calls these contacts.
        """
        session, lane = self._session, self._work.lane
        self._work.gate.leave(self._place)
        self._left = True
        is_ours = True
        while self._contacts.in_flight:
            await session.changed.wait(session.rest_seconds)
            if is_ours and lane.renewal_is_due:
                try:
                    with suppress(RedisError):
                        await self._work.shared.trips.run(lane.renewing())
                except LeaseLost:
                    is_ours = False

    # -- for the gate --------------------------------------------------------------------------------------------------

    def _hold(self, seconds: float) -> None:
        self._session.held(seconds)
        self._session.changed.set()

    async def _call(self, latest: float) -> Called | None:
        """Call the next contact. `latest`: the last moment, in time.monotonic(), at which the request may go out."""
        session, contacts = self._session, self._contacts
        self._wanted = (self._wanted[0] - 1, self._wanted[1])
        if self._reloading.is_under_way or not session.may_start_call():
            return None
        contact = contacts.next()
        session.call_begun()
        called = None
        sent: list[float] = []  # sent twice if the token had expired

        def check_before_sending() -> None:
            """Check once more right before the request goes out, when token and connection are ready."""
            if not self._work.lane.may_send():
                raise LeaseLost(
                    f"Lane {self._work.lane.number} of {self._work.destination.id} is not surely ours any more."
                )
            now = time.monotonic()
            if now > latest and self._missed < MISSED_IN_A_ROW:
                self._missed += 1
                raise NotSent
            self._missed = 0
            sent.append(now)

        try:
            result = await self._send(contact, contacts.body(contact), check_before_sending)
            sent_at = sent[-1] if sent else 0.0
            verdict = judge(
                result, may_create=contacts.may_create(contact), catalog_is_newer=self._reloading.concerns(sent_at)
            )
            if isinstance(verdict, Doubt) and verdict.error is not result and isinstance(result, Exception):
                log.error("A call ended in an unexpected error.", exc_info=result)
            if sent:
                called = Called(isinstance(verdict, Answered), time.monotonic() - sent[-1])
            if not self._left:
                session.ledger.count_calls(len(sent))
                if isinstance(result, ContactRefused) and result.stored_in_part:
                    contacts.fence(contact)
                await self._act(verdict, contact)
        except Exception as error:  # noqa: BLE001  # ends the session
            session.broken(error)
        finally:
            contacts.in_flight.pop(contact.key, None)
            session.changed.set()
        return called

    async def _send(
        self, contact: PendingContact, body: bytes, check_before_sending: Callable[[], None]
    ) -> Accepted | Exception:
        try:
            calls = self._work.client.contacts
            with TRACES.call(self._work.destination.id, [entry.job_id for entry, _ in contact.group]):
                return await (calls.post if contact.post else calls.patch)(body, before_sending=check_before_sending)
        except AWAY:
            return NotSent()
        except Exception as error:  # noqa: BLE001  # `judge` decides by its class
            return error

    # -- what comes of a call ------------------------------------------------------------------------------------------

    async def _act(self, verdict: Verdict, contact: PendingContact) -> None:
        session, contacts = self._session, self._contacts
        # the contact counts as in flight until the pause or reload is over
        if isinstance(verdict, PauseAccount):
            await self._pause(verdict.error)
        elif isinstance(verdict, ReloadCatalog):
            await self._reloading.wait()
        del contacts.in_flight[contact.key]
        is_on_the_way = isinstance(verdict, Create) and self._work.trouble_code == CALLS_REFUSED  # its POST will tell
        if isinstance(verdict, Silence) or is_on_the_way:
            session.call_told_nothing()
        elif isinstance(verdict, Answered):
            session.call_answered()
            self._work.shared.doubts.forget(self._work.destination.id)
            contacts.park_doubtful()
            if isinstance(verdict, Accept) or (isinstance(verdict, Refuse) and not verdict.error.is_of_form):
                self._work.shared.refused_forms.forget(self._work.destination.id)
        match verdict:
            case Accept():
                contacts.accept(contact)
            case Refuse(error):
                self._refuse(contact, error)
            case Create(is_sure):
                contacts.create(contact, is_sure=is_sure)
            case CallAgain() | PauseAccount() | ReloadCatalog():
                contacts.call_again(contact)
            case Doubt(error):
                self._doubt(contact, error)
            case FailDestination(error):
                session.failed(error)
            case EndSession(error):
                raise error
            case _:
                assert_never(verdict)

    async def _pause(self, throttled: AccountThrottled) -> None:
        """Make all lanes of the account wait."""
        kind, wait_seconds = throttled.kind, throttled.wait_seconds
        seconds = await self._session.outlast(lambda: self._work.gate.refused(kind, wait_seconds))
        self._session.held(seconds)

    async def _reload_catalog(self) -> bool:
        """Read the catalog again, because Marketing Cloud does not know an attribute that is in it.

        Returns False when the account has to be left alone first.
        """
        try:
            self._contacts.mapping = await self._session.outlast(
                lambda: self._work.shared.mappings.reload(self._work.destination)
            )
        except AccountThrottled as throttled:  # the account knows already
            seconds = throttled.wait_seconds or 0.0
            self._work.gate.pause(seconds)
            self._session.held(seconds)
            return False
        except CallError as error:
            self._session.failed(error)
        return True

    def _refuse(self, contact: PendingContact, error: ContactRefused) -> None:
        """Note a call that was refused, for what its contact carries or for what all calls have in common."""
        work, rows = self._work, self._work.shared.refused_forms
        trouble = None
        if error.is_of_form:
            in_a_row = rows.note(work.destination.id, work.generation, contact.key, time.monotonic())
            trouble = refused_form(error, in_a_row, trouble_code=work.trouble_code)
        if trouble is not None and work.is_probe:
            self._contacts.put_off(contact, error)  # the next probe takes another contact
        else:
            self._contacts.refuse(contact, error)
        if trouble is not None:
            rows.forget(work.destination.id)
            self._session.failed(trouble)

    def _doubt(self, contact: PendingContact, error: TransientFailure) -> None:
        """Note a call that failed transiently; the next calls tell whether the contact or the destination is the cause."""
        self._contacts.doubt(contact, error)
        work = self._work
        in_a_row = work.shared.doubts.note(work.destination.id, work.generation, contact.key, time.monotonic())
        if self._work.is_probe:
            # the next probe takes another contact: the cause may be this one
            self._contacts.park_doubtful()
        if (trouble := outage(error, in_a_row, is_probe=self._work.is_probe)) is not None:
            work.shared.doubts.forget(work.destination.id)
            self._session.failed(trouble)
