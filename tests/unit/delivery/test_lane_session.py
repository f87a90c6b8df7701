"""What a session makes of what it is told, as far as it asks nobody."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest

from app.delivery.in_a_row import InARow
from app.delivery.lane_session import LaneSession
from app.delivery.pending_contact import PendingContact
from app.delivery.work import Result, Shared, Work
from app.destinations.store import Connected
from app.errors import DestinationBroken, TransientFailure
from app.event_loop import EVENT_LOOP
from app.lanes.entries import Entry, Origin
from app.lanes.lane import Lane
from app.mapping.compiled import compile_mapping
from app.reporting.measures import Measures
from app.sealing import KeyRing, make_key
from app.settings import Settings
from tests.unit.mapping.campaign import CATALOG, FIRST_ROW, destination

DESTINATION = destination(FIRST_ROW)
BROKEN = DestinationBroken("no such field", code="mapping_broken")
NOBODY: Any = None  # is asked
ENTRY = Entry(b"1-0", False, Origin("job", 0, 0, 0, "", b"tag"), 0, 0, b"")


def begin(*, is_probe: bool = False) -> LaneSession:
    """A session with one contact that waits."""
    shared = Shared(
        settings=Settings.from_env(), ring=KeyRing((make_key(),)), measures=Measures(), trips=NOBODY, mappings=NOBODY,
        staying=NOBODY, doubts=InARow(), refused_forms=InARow(), stopping=Event(),
    )  # fmt: skip
    lane = Lane(NOBODY, DESTINATION.id, 3, epoch="1", holdings="h", lease_seconds=15, margin_seconds=3)
    session = LaneSession(
        Work(
            shared=shared, lane=lane, connected=Connected(DESTINATION, b"pepper", "1"), generation="1 0",
            mapping=compile_mapping(DESTINATION, CATALOG), client=NOBODY, gate=NOBODY, is_probe=is_probe,
        )
    )  # fmt: skip
    session.contacts.live["c-1"] = PendingContact("c-1", b"tag", [(ENTRY, NOBODY)])
    return session


def test_a_probe_starts_one_call_and_another_if_that_told_nothing() -> None:
    session = begin(is_probe=True)
    assert session.may_start_call()
    session.call_begun()
    assert not session.may_start_call()
    session.call_told_nothing()
    assert session.may_start_call()


def test_a_session_without_waiting_contacts_starts_no_call() -> None:
    session = begin()
    session.contacts.live.clear()
    assert not session.may_start_call()


@pytest.mark.parametrize(
    ("happens", "result"),
    [
        (lambda session: session.end(), Result()),
        (lambda session: session.call_answered() or session.end(), Result(answered=1)),
        (lambda session: session.held(30.0), Result(wait_seconds=30.0)),
        (lambda session: session.failed(BROKEN), Result(error=BROKEN)),
        (lambda session: session.epoch_over(), Result(epoch_ended=True)),
    ],
)
def test_what_ends_a_session_starts_no_more_calls_and_is_told(happens: Any, result: Result) -> None:
    session = begin()
    happens(session)
    assert not session.may_start_call()
    assert session.result() == result


def test_a_session_ends_by_the_first_error_that_nobody_foresaw() -> None:
    session, first = begin(), KeyError("first")
    session.broken(first)
    session.broken(ValueError("second"))
    assert not session.may_start_call()
    with pytest.raises(KeyError) as raised:
        EVENT_LOOP.run(session.next_command())
    assert raised.value is first


def test_contacts_in_doubt_stay_in_the_lane_when_the_destination_fails() -> None:
    session = begin()
    contact = session.contacts.next()
    session.contacts.in_flight.clear()
    session.contacts.doubt(contact, TransientFailure("lost", code="connection_lost"))
    session.failed(BROKEN)
    assert not session.contacts.doubtful
    assert len(session.ledger.pending) == 0
