"""The contacts of a session: each in one place, each entry with one outcome, whatever calls come to."""

from __future__ import annotations

from dataclasses import replace
from itertools import count, islice
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from app.delivery.pending_contact import PendingContact
from app.delivery.working_set import Arrival, WorkingSet
from app.errors import AddressRequired, ContactRefused, ContactUnknown, TransientFailure
from app.lanes.delivered import contact_tag
from app.lanes.entries import Entry, Origin
from app.lanes.lane import lane_of
from app.lanes.outcomes import Ledger
from app.lanes.settlement import Settlement
from app.mapping.compiled import compile_mapping
from app.mapping.update import ContactUpdate, LeftOut
from app.reporting.measures import Measures
from app.sealing import KeyRing, make_key
from app.settings import Settings
from tests.unit.mapping.campaign import (
    CATALOG,
    EMAIL,
    FIRST,
    FIRST_ROW,
    NOW,
    POINTS,
    POINTS_ROW,
    destination,
    profile_of,
)

PEPPER = b"pepper"
LANE = 3
KEYS = list(islice((k for n in count() if lane_of(contact_tag(k := f"c-{n}", PEPPER)) == LANE), 4))
DESTINATION = destination(FIRST_ROW, POINTS_ROW)
MAPPING = compile_mapping(DESTINATION, CATALOG)
REFUSED = ContactRefused("no", code="http_400")
NO_ADDRESS = AddressRequired("no address", code="address_required")
UNKNOWN = ContactUnknown("unknown", code="contact_unknown", is_sure=True)
PERHAPS_UNKNOWN = ContactUnknown("unknown", code="contact_unknown", is_sure=False)
LOST = TransientFailure("lost", code="connection_lost")


class Hand:
    """The contacts of one lane, with a ledger, and entries for them."""

    def __init__(self, **options: Any) -> None:
        settings = Settings.from_env()
        made = replace(DESTINATION, options=replace(DESTINATION.options, **options))
        self.ledger = Ledger("demo", KeyRing((make_key(),)), settings, Measures())
        self.moved: list[tuple[Entry, bytes, int]] = []
        self.contacts = WorkingSet(
            made, MAPPING, self.ledger, PEPPER, lane=LANE, move=lambda *what: self.moved.append(what)
        )
        self.contacts.told_time(NOW)
        self.delivered: dict[bytes, bytes] = {}  # what Redis has of it
        self._ids = count(1)

    def arrive(
        self,
        key: str,
        first_name: str,
        *,
        backfill: bool = False,
        occurred_at_ms: int | None = None,
        email: bool = True,
        force: bool = False,
        points: int | None = None,
        attempts: int = 0,
        recovered: bool = False,
        left_out: tuple[LeftOut, ...] = (),
    ) -> Entry:
        """An entry of the contact, with this value and, unless said otherwise, an address."""
        number = next(self._ids)
        origin = Origin(
            "job",
            NOW,
            NOW + number,
            number,
            ("b" if backfill else "") + ("x" if force else ""),
            contact_tag(key, PEPPER),
        )
        entry = Entry(f"{number}-0".encode(), backfill, origin, attempts, attempts, b"", recovered)
        profile = profile_of(identityMap={"contactKey": [{"id": key}]}, person={"name": {"firstName": first_name}})
        profile |= {"personalEmail": {"address": "a@mail.test"}} if email else {}
        profile |= {"loyalty": {"points": points}} if points is not None else {}
        update = MAPPING.resolve(
            profile, occurred_at_ms=occurred_at_ms or NOW + number, arrived_at_ms=NOW + number, now_ms=NOW + number
        )
        assert isinstance(update, ContactUpdate)
        arrivals = self.contacts.arrange([(entry, replace(update, left_out=left_out))])
        self.contacts.learn({tag: self.delivered.get(tag) for tag in self.contacts.unknown(arrivals)})
        for arrival in arrivals:
            self.contacts.take_in(arrival)
        return entry

    def call(self) -> PendingContact:
        contact = self.contacts.next()
        assert contact.key in self.contacts.body(contact).decode()
        return contact

    def lose(self, contact: PendingContact) -> None:
        """Its answer does not come, and others are well."""
        self.end(contact)
        self.contacts.doubt(contact, LOST)
        self.contacts.park_doubtful()

    def settle(self) -> Settlement:
        settlement = self.ledger.take()
        self.delivered |= settlement.delivered
        return settlement

    def end(self, contact: PendingContact) -> None:
        del self.contacts.in_flight[contact.key]


def test_a_contact_that_has_to_be_created_stays_so_when_more_comes_in() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    unknown = hand.call()
    hand.end(unknown)
    hand.contacts.create(unknown, is_sure=True)
    hand.arrive(KEYS[0], "Anna")
    again = hand.call()
    assert again.post
    assert set(again.merged.full) == {EMAIL, FIRST}


def test_a_creation_that_is_taken_apart_goes_on_as_one_until_one_is_accepted() -> None:
    hand = Hand()
    for name in ("Ann", "Anna", "Anne"):
        hand.arrive(KEYS[0], name)
    contact = hand.call()
    hand.end(contact)
    hand.contacts.create(contact, is_sure=True)
    posts = []
    for verdict in ("refuse", "refuse", "accept", "accept"):
        contact = hand.call()
        posts.append(contact.post)
        hand.end(contact)
        if verdict == "refuse":
            hand.contacts.refuse(contact, REFUSED)
        else:
            hand.contacts.accept(contact)
    assert posts == [True, True, True, False]


def test_what_came_in_behind_a_refused_creation_creates_the_contact() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    contact = hand.call()
    hand.end(contact)
    hand.contacts.create(contact, is_sure=True)
    contact = hand.call()
    hand.arrive(KEYS[0], "Bea")
    hand.end(contact)
    hand.contacts.refuse(contact, REFUSED)
    assert hand.call().post


@pytest.mark.parametrize("is_sure", [True, False])
def test_what_a_contact_had_before_it_was_made_anew_is_sent_when_it_comes_again(is_sure: bool) -> None:
    hand = delivered(points=7)
    hand.arrive(KEYS[0], "Anna")
    contact = hand.call()
    hand.end(contact)
    hand.contacts.create(contact, is_sure=is_sure)
    again = hand.call()
    assert again.post
    hand.end(again)
    hand.contacts.accept(again)
    hand.settle()
    hand.arrive(KEYS[0], "Old", occurred_at_ms=NOW - 1)
    assert not hand.contacts.waiting, "nothing older"
    hand.arrive(KEYS[0], "Anna", points=7)
    assert hand.call().merged.send == {POINTS: 7}, "it is not there any more, as far as anybody knows"


def delivered(*, points: int | None = None) -> Hand:
    """A contact that has its address, its first name and perhaps points."""
    hand = Hand()
    hand.arrive(KEYS[0], "Ann", points=points)
    contact = hand.call()
    hand.end(contact)
    hand.contacts.accept(contact)
    hand.settle()
    return hand


@pytest.mark.parametrize("force", [False, True])
def test_a_contact_that_may_be_unknown_is_created_with_all_that_is_known_of_it(force: bool) -> None:
    """The update is older than what was delivered, its address the same."""
    hand = delivered()
    hand.arrive(KEYS[0], "Ann" if force else "Old", points=7, force=force, occurred_at_ms=NOW - 10_000)
    contact = hand.call()
    hand.end(contact)
    assert hand.contacts.may_create(contact)
    hand.contacts.create(contact, is_sure=False)
    post = hand.call()
    assert post.merged.full.keys() == {EMAIL, POINTS, *([FIRST] if force else [])}
    hand.end(post)
    hand.contacts.refuse(post, NO_ADDRESS)
    settlement = hand.settle()
    assert (settlement.run["failed"], settlement.parked) == (1, []), (
        "it had an address: another try would fare the same"
    )


@pytest.mark.parametrize("is_sure", [True, False])
def test_what_was_delivered_counts_for_nothing_only_where_the_contact_is_surely_unknown(is_sure: bool) -> None:
    """The update is older than what was delivered."""
    hand = delivered()
    hand.arrive(KEYS[0], "Old", points=7, occurred_at_ms=NOW - 10_000)
    contact = hand.call()
    hand.end(contact)
    hand.contacts.create(contact, is_sure=is_sure)
    assert hand.call().merged.full.keys() == {EMAIL, POINTS, *([FIRST] if is_sure else [])}


@pytest.mark.parametrize("is_refused", [True, False])
def test_an_address_that_has_failed_is_not_waited_for(is_refused: bool) -> None:
    """Its answer was lost. Then it is tried again and refused, or its tries are used up."""
    hand = Hand(without_email="exclude")
    hand.arrive(KEYS[0], "Ann", attempts=0 if is_refused else 1_000)
    lost = hand.call()
    hand.end(lost)
    hand.contacts.doubt(lost, LOST)
    hand.contacts.park_doubtful()
    if is_refused:
        hand.contacts.take_in(Arrival(lost.key, lost.tag, lost.group))
        again = hand.call()
        hand.end(again)
        hand.contacts.refuse(again, REFUSED)
    assert hand.settle().run["failed"] == 1
    hand.arrive(KEYS[0], "Bea", email=False, occurred_at_ms=NOW + 50)
    assert not hand.contacts.waiting
    assert hand.settle().run["excluded"] == 1


@pytest.mark.parametrize(
    ("recovered", "fresh", "sent"),
    [
        ((1,), (0,), 0),  # what was delivered is true again
        ((1, 0), (), 0),
        ((1,), (), 1),
        ((0,), (), None),  # it could have changed nothing
        ((0,), (0,), None),
        ((), (0,), None),
    ],
)
def test_what_a_worker_that_is_gone_may_have_sent_is_set_right(
    recovered: tuple[int, ...], fresh: tuple[int, ...], sent: int | None
) -> None:
    hand = delivered(points=0)
    for number, points in enumerate((*recovered, *fresh)):
        hand.arrive(KEYS[0], "Ann", points=points, occurred_at_ms=NOW + 50 + number, recovered=number < len(recovered))
    if sent is None:
        assert not hand.contacts.waiting
    else:
        assert hand.call().merged.send == {POINTS: sent}


def test_what_a_worker_that_is_gone_may_have_sent_is_noted_whatever_becomes_of_it() -> None:
    """Its entry may get its outcome without a call, as when its segment has ended, or without being opened."""
    hand = delivered(points=0)
    tag = contact_tag(KEYS[0], PEPPER)
    hand.contacts.distrust({tag: hand.delivered[tag]})
    hand.settle()
    hand.arrive(KEYS[0], "Old", points=0, occurred_at_ms=NOW - 1)
    assert not hand.contacts.waiting, "nothing older"
    hand.arrive(KEYS[0], "Ann", points=0, occurred_at_ms=NOW + 50)
    assert hand.call().merged.send == {EMAIL: "a@mail.test", FIRST: "Ann", POINTS: 0}


def test_who_brings_the_address_goes_first_where_a_call_is_taken_apart() -> None:
    """Without one Marketing Cloud makes no contact: the first name would be excluded beside its address."""
    hand = Hand()
    hand.arrive(KEYS[0], "Ann", email=False)
    hand.arrive(KEYS[0], "Anna")
    merged = hand.call()
    hand.end(merged)
    hand.contacts.refuse(merged, REFUSED)
    assert EMAIL in hand.call().merged.full


def test_an_address_that_came_in_meanwhile_goes_along() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann", email=False)
    alone = hand.call()
    hand.arrive(KEYS[0], "Bea")
    hand.end(alone)
    hand.contacts.refuse(alone, NO_ADDRESS)
    both = hand.call()
    assert EMAIL in both.merged.full
    hand.end(both)
    hand.contacts.accept(both)
    assert not hand.contacts.waiting
    assert hand.settle().run == {"delivered": 1, "superseded": 1}


def test_where_none_may_be_without_an_address_one_that_came_in_meanwhile_counts() -> None:
    hand = Hand(without_email="exclude")
    hand.arrive(KEYS[0], "Bad")
    hand.arrive(KEYS[0], "Ann", email=False)
    merged = hand.call()
    hand.end(merged)
    hand.contacts.refuse(merged, REFUSED)
    bad = hand.call()
    hand.arrive(KEYS[0], "Bea")
    hand.end(bad)
    hand.contacts.refuse(bad, REFUSED)
    assert [entry.id for entry, _ in hand.call().group] == [b"2-0", b"3-0"]


def test_an_address_whose_answer_was_lost_counts_where_none_may_be_without_one() -> None:
    hand = Hand(without_email="exclude")
    hand.arrive(KEYS[0], "Ann")
    hand.lose(hand.call())
    hand.arrive(KEYS[0], "Bea", email=False, occurred_at_ms=NOW + 50)
    assert set(hand.call().merged.full) == {FIRST}


@pytest.mark.parametrize(
    ("error", "address", "before", "outcome"),
    [
        (REFUSED, False, "", "failed"),
        (NO_ADDRESS, False, "", "excluded"),
        (NO_ADDRESS, True, "", "failed"),
        (NO_ADDRESS, False, "delivered", "excluded"),
        (UNKNOWN, False, "", "excluded"),
        (UNKNOWN, True, "", "failed"),
        (UNKNOWN, False, "delivered", "excluded"),
        (PERHAPS_UNKNOWN, False, "", "excluded"),
        (PERHAPS_UNKNOWN, False, "delivered", "failed"),  # its words are not about the contact
        # the address will be tried again, and goes first then
        (NO_ADDRESS, False, "lost", "retried"),
        (NO_ADDRESS, True, "lost", "failed"),
        (REFUSED, False, "lost", "failed"),
    ],
)
def test_what_becomes_of_a_profile_that_is_refused_alone(
    error: ContactRefused, address: bool, before: str, outcome: str
) -> None:
    hand = Hand()
    if before:
        hand.arrive(KEYS[0], "Ann")
        contact = hand.call()
        if before == "lost":
            hand.lose(contact)
        else:
            hand.end(contact)
            hand.contacts.accept(contact)
        hand.settle()
    hand.arrive(KEYS[0], "Bea", email=address, occurred_at_ms=NOW + 50)
    contact = hand.call()
    hand.end(contact)
    row = hand.contacts._rows[contact.tag]
    hand.contacts.refuse(contact, error)
    assert not hand.contacts.waiting
    settlement = hand.settle()
    assert settlement.run[outcome] == 1
    assert settlement.jobs.get("job", {}).get(outcome) == (None if outcome == "retried" else 1), "it has no outcome yet"
    assert hand.contacts._rows[contact.tag] == row


@pytest.mark.parametrize(
    ("create_unknown", "post", "address", "may"),
    [(True, False, True, True), (False, False, True, False), (True, True, True, False), (True, False, False, False)],
)
def test_who_may_be_created(create_unknown: bool, post: bool, address: bool, may: bool) -> None:
    hand = Hand(create_unknown=create_unknown)
    hand.arrive(KEYS[0], "Ann", email=address)
    assert hand.contacts.may_create(replace(hand.call(), post=post)) is may


def test_what_is_live_goes_first() -> None:
    hand = Hand()
    for key in KEYS[:2]:
        hand.arrive(key, "Ann", backfill=True)
    hand.arrive(KEYS[2], "Bea")
    assert list(hand.contacts.backfill) == KEYS[:2]
    hand.arrive(KEYS[1], "Anna")
    assert [hand.call().key for _ in range(3)] == [KEYS[2], KEYS[1], KEYS[0]]
    assert not hand.moved


def test_a_contact_of_another_lane_is_moved_there() -> None:
    hand = Hand()
    key = next(key for n in count() if lane_of(contact_tag(key := f"c-{n}", PEPPER)) != LANE)
    entry, tag = hand.arrive(key, "Ann"), contact_tag(key, PEPPER)
    assert hand.moved == [(entry, tag, lane_of(tag))]
    assert not hand.contacts.waiting


def test_what_is_left_out_is_counted_with_the_outcome() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann", left_out=(LeftOut("mapping[3]", "is not a date"),))
    contact = hand.call()
    assert not hand.settle().run
    hand.end(contact)
    hand.contacts.accept(contact)
    assert hand.settle().run == {"delivered": 1, "left_out:mapping[3]: is not a date": 1}


def test_the_time_goes_on() -> None:
    contacts = Hand().contacts
    contacts.told_time(NOW)
    while contacts.now_ms == NOW:
        pass
    assert 0 < contacts.now_ms - NOW < 60_000


@pytest.mark.parametrize("doubtful", [True, False])
def test_what_comes_in_for_a_contact_that_is_busy_waits_behind(doubtful: bool) -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    contact = hand.call()
    if doubtful:
        hand.end(contact)
        hand.contacts.doubt(contact, LOST)
    newer = hand.arrive(KEYS[0], "Anna")
    assert not hand.contacts.waiting
    assert [entry for entry, _ in contact.behind] == [newer]


def test_what_comes_in_while_a_call_is_taken_apart_waits_until_that_is_done() -> None:
    hand = Hand()
    for name in ("Ann", "Anna"):
        hand.arrive(KEYS[0], name)
    merged = hand.call()
    hand.end(merged)
    hand.contacts.refuse(merged, REFUSED)
    hand.arrive(KEYS[0], "Anne")
    ids = []
    for end in (hand.contacts.call_again, hand.contacts.accept, hand.contacts.accept, hand.contacts.accept):
        contact = hand.call()
        ids.append([entry.id for entry, _ in contact.group])
        hand.end(contact)
        end(contact)
    assert ids == [[b"1-0"], [b"1-0"], [b"2-0"], [b"3-0"]]


def test_a_live_update_does_not_wait_as_backfill_behind_backfill_of_its_contact() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann", backfill=True)
    contact = hand.call()
    hand.arrive(KEYS[0], "Bea")
    hand.end(contact)
    hand.contacts.put_back(contact)
    assert list(hand.contacts.live) == [KEYS[0]]


def test_a_live_update_does_not_wait_as_backfill_when_a_call_is_taken_apart() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann", backfill=True)
    hand.arrive(KEYS[0], "Bea")
    contact = hand.call()
    hand.end(contact)
    hand.contacts.refuse(contact, REFUSED)
    assert list(hand.contacts.live) == [KEYS[0]]


def test_a_call_that_is_made_again_carries_what_came_in_meanwhile() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    throttled = hand.call()
    hand.arrive(KEYS[0], "Anna")
    hand.end(throttled)
    hand.contacts.call_again(throttled)
    again = hand.call()
    assert again.merged.send[FIRST] == "Anna"
    hand.end(again)
    hand.contacts.accept(again)
    assert not hand.contacts.waiting


def test_what_is_there_already_is_noted_with_its_newer_version_alone() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    contact = hand.call()
    hand.end(contact)
    hand.contacts.accept(contact)
    hand.settle()
    for occurred_at_ms, is_noted in ((NOW + 2, True), (NOW + 1, False)):
        hand.arrive(KEYS[0], "Ann", occurred_at_ms=occurred_at_ms)
        assert not hand.contacts.waiting
        assert bool(hand.settle().delivered) is is_noted
    hand.arrive(KEYS[0], "Old", occurred_at_ms=NOW + 1)
    assert not hand.contacts.waiting, "nothing older"


def test_nothing_older_is_sent_than_what_may_have_been_stored_before_the_destination_failed() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    contact = hand.call()
    hand.end(contact)
    hand.contacts.doubt(contact, LOST)
    hand.contacts.leave_doubtful()
    assert hand.settle().delivered.keys() == {contact.tag}
    hand.arrive(KEYS[0], "Old", occurred_at_ms=NOW - 1_000)
    assert not hand.contacts.waiting


def test_nothing_older_is_sent_than_what_was_stored_in_part() -> None:
    hand = Hand()
    hand.arrive(KEYS[0], "Ann")
    contact = hand.call()
    hand.end(contact)
    hand.contacts.fence(contact)
    hand.contacts.refuse(contact, ContactRefused("in part", code="partly_stored", stored_in_part=True))
    hand.arrive(KEYS[0], "Old", occurred_at_ms=NOW - 1_000)
    assert not hand.contacts.waiting
    assert hand.ledger.pending.run["superseded"] == 1
    newer = hand.arrive(KEYS[0], "New")
    assert hand.call().group[0][0] is newer


def test_a_session_remembers_no_more_contacts_than_it_needs() -> None:
    hand = Hand()
    for key in KEYS:
        hand.arrive(key, "Ann")
    hand.contacts.accept(settled := hand.call())
    hand.end(settled)
    hand.settle()
    hand.contacts.accept(unsettled := hand.call())
    hand.end(unsettled)
    hand.call()
    needed = [contact_tag(key, PEPPER) for key in KEYS if key != settled.key]
    hand.contacts.forget_settled(most=3)
    assert not hand.contacts.unknown([Arrival(settled.key, settled.tag, [])]), "so few do no harm"
    hand.contacts.forget_settled(most=2)
    assert hand.contacts.unknown([Arrival("", tag, []) for tag in [settled.tag, *needed]]) == [settled.tag]


class Work(RuleBasedStateMachine):
    """Arrivals and answers in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.hand = Hand()
        self.entries: list[Entry] = []
        self.done: list[bytes] = []  # ids with an outcome, in order
        self.there: dict[str, object] = {}  # first names that are surely at Marketing Cloud, by contact

    @property
    def contacts(self) -> WorkingSet:
        return self.hand.contacts

    @rule(key=st.sampled_from(KEYS), name=st.sampled_from(["Ann", "Bea", "Cia"]), backfill=st.booleans())
    def arrive(self, key: str, name: str, backfill: bool) -> None:
        self.entries.append(self.hand.arrive(key, name, backfill=backfill))

    @precondition(lambda self: self.contacts.waiting)
    @rule()
    def call(self) -> None:
        live = bool(self.contacts.live)
        contact = self.hand.call()
        assert contact.backfill is not live
        if contact.key in self.there and not contact.post:
            assert contact.merged.send.get(FIRST) != self.there[contact.key], "it is there already"

    @precondition(lambda self: self.contacts.in_flight)
    @rule(what=st.sampled_from(["accept", "refuse", "create", "doubt", "again"]), data=st.data())
    def answer(self, what: str, data: st.DataObject) -> None:
        contact = self.contacts.in_flight[data.draw(st.sampled_from(sorted(self.contacts.in_flight)))]
        self.hand.end(contact)
        match what:
            case "accept":
                self.contacts.accept(contact)
                self.there[contact.key] = contact.merged.full[FIRST]
            case "refuse":
                self.contacts.refuse(contact, REFUSED)
            case "create" if self.contacts.may_create(contact):
                self.contacts.create(contact, is_sure=True)
                self.there.pop(contact.key, None)
            case "doubt":
                self.contacts.doubt(contact, LOST)
                self.there.pop(contact.key, None)
            case _:
                self.contacts.call_again(contact)

    @rule()
    def park(self) -> None:
        self.contacts.park_doubtful()

    @rule()
    def settle(self) -> None:
        settlement = self.hand.settle()
        self.done += settlement.live_ids + settlement.backfill_ids

    @rule()
    def forget(self) -> None:
        self.contacts.forget_settled(most=0)

    @invariant()
    def each_contact_is_in_one_place(self) -> None:
        places = [*self.contacts.live, *self.contacts.backfill, *self.contacts.in_flight, *self.contacts.doubtful]
        assert len(places) == len(set(places))

    @invariant()
    def each_entry_is_in_hand_or_has_one_outcome(self) -> None:
        pending = self.hand.ledger.pending
        done = [*self.done, *pending.live_ids, *pending.backfill_ids]
        held = [
            entry.id
            for contact in (
                *self.contacts.live.values(), *self.contacts.backfill.values(), *self.contacts.in_flight.values(),
                *(contact for contact, _ in self.contacts.doubtful.values()),
            )
            for group in (contact.group, *contact.apart, contact.behind)
            for entry, _ in group
        ]  # fmt: skip
        assert sorted(done + held) == sorted(entry.id for entry in self.entries)

    def teardown(self) -> None:
        self.contacts.park_doubtful()
        while self.contacts.waiting or self.contacts.in_flight:
            contact = next(iter(self.contacts.in_flight.values())) if self.contacts.in_flight else self.hand.call()
            self.hand.end(contact)
            self.contacts.accept(contact)
        self.each_entry_is_in_hand_or_has_one_outcome()
        assert len(self.done) + len(self.hand.ledger.pending) == len(self.entries)


TestContacts = Work.TestCase
TestContacts.settings = hypothesis_settings(max_examples=60, stateful_step_count=30, deadline=None)
