"""The contacts that a session works on: which wait, which are in flight, and what becomes of their entries."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from app.delivery.pending_contact import PendingContact
from app.delivery.plan import Group, Pair, Planner, Row, all_unknown, was_delivered
from app.errors import AddressRequired, CallError, ContactRefused, ContactUnknown, TransientFailure
from app.lanes import counters
from app.lanes.delivered import contact_tag, decode, encode
from app.lanes.lane import lane_of
from app.lanes.outcomes import Ledger, Outcome
from app.mapping.compiled import CompiledMapping
from app.mapping.update import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from app.destinations.model import Destination
    from app.lanes.entries import Entry
    from app.lanes.merge import Merged


MOST_ROWS = 500  # remembered for contacts that are finished


class Arrival(NamedTuple):
    """What one read of the lane found for a contact."""

    key: str
    tag: bytes
    group: Group


class WorkingSet:
    """Keeps every contact of a session in one place: waiting, waiting as backfill, in flight, or doubtful.

    A contact is doubtful after a call that failed transiently, until other calls show whether it or the destination was the
    cause. Entries that come in for it meanwhile wait behind.
    """

    def __init__(
        self,
        destination: Destination,
        mapping: CompiledMapping,
        ledger: Ledger,
        pepper: bytes,
        *,
        lane: int,
        move: Callable[[Entry, bytes, int], None],
    ) -> None:
        self.mapping = mapping
        self.live: dict[str, PendingContact] = {}
        self.backfill: dict[str, PendingContact] = {}
        self.in_flight: dict[str, PendingContact] = {}
        self.doubtful: dict[str, tuple[PendingContact, TransientFailure]] = {}
        self._create_unknown = destination.options.create_unknown
        self._planner = Planner(destination.options, mapping.email, pepper)
        self._ledger = ledger
        self._pepper = pepper
        self._lane = lane
        self._move = move
        self._rows: dict[bytes, Row] = {}
        self._told_ms, self._told_at = 0, time.monotonic()

    def told_time(self, now_ms: int) -> None:
        """Set the time by Redis's clock."""
        self._told_ms, self._told_at = now_ms, time.monotonic()

    @property
    def now_ms(self) -> int:
        """The time by Redis's clock, extrapolated from when it was last told."""
        return self._told_ms + int((time.monotonic() - self._told_at) * 1000)

    @property
    def waiting(self) -> int:
        return len(self.live) + len(self.backfill)

    def arrange(self, updates: Sequence[Pair]) -> list[Arrival]:
        """Group entries by contact. Pass each to `take_in`, once the rows of those in `unknown` are learned.

        An entry whose contact belongs to another lane, for example because the key was mapped anew, is moved there.
        """
        groups: dict[str, Group] = {}
        for entry, update in updates:
            groups.setdefault(update.contact_key, []).append((entry, update))
            if update.left_out:
                self._ledger.note_left_out(entry, tuple(map(str, update.left_out)))
        arrivals = []
        for key, group in groups.items():
            tag = contact_tag(key, self._pepper)
            if (lane := lane_of(tag)) == self._lane:
                arrivals.append(Arrival(key, tag, group))
                continue
            for entry, _ in group:
                self._move(entry, tag, lane)
        return arrivals

    def unknown(self, arrivals: Iterable[Arrival]) -> list[bytes]:
        """Return the tags of contacts whose delivered rows are not known yet."""
        return [arrival.tag for arrival in arrivals if arrival.tag not in self._rows]

    def learn(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Store the delivered rows of contacts, by tag."""
        for tag, row in rows.items():
            self._rows[tag] = decode(row)

    def forget_settled(self, *, most: int = MOST_ROWS) -> None:
        """Once there are more than `most` delivered rows, forget those of finished, settled contacts.

        They can be learned again.
        """
        if len(self._rows) <= most + self.waiting:
            return
        doubtful = (contact for contact, _ in self.doubtful.values())
        in_hand = chain(self.live.values(), self.backfill.values(), self.in_flight.values(), doubtful)
        needed = {contact.tag for contact in in_hand} | self._ledger.pending.delivered.keys()
        self._rows = {tag: row for tag, row in self._rows.items() if tag in needed}

    def take_in(self, arrival: Arrival) -> None:
        """Give a contact what came in for it, and plan its call if it is free."""
        key, tag, group = arrival
        if recovered := [pair for pair in group if pair[0].recovered]:
            # a worker that is gone may have called with them
            self._renote(tag, self._planner.without_what_these_replace(recovered, self._rows[tag]))
        busy = self.in_flight.get(key) or self._in_doubt(key)
        if busy is not None:
            busy.behind += group
            return
        queued = self.live.pop(key, None) or self.backfill.pop(key, None)
        if queued is None:
            self._plan(PendingContact(key, tag, group))
        elif queued.apart:
            queued.behind += group
            self.put_back(queued)
        else:
            self._plan(replace(queued, group=queued.group + group))

    def next(self) -> PendingContact:
        """Return the contact to call next, live ones first; it is in flight from now on."""
        source = self.live or self.backfill
        contact = source.pop(next(iter(source)))
        self.in_flight[contact.key] = contact
        return contact

    def put_back(self, contact: PendingContact) -> None:
        """Let the contact wait for its call."""
        (self.backfill if contact.backfill else self.live)[contact.key] = contact

    def call_again(self, contact: PendingContact) -> None:
        """Repeat a call that was not made or not taken; the next one also carries what came in meanwhile."""
        if contact.behind and not contact.apart:
            self._plan(replace(contact, group=contact.group + contact.behind, behind=[]))
        else:
            self.put_back(contact)

    def body(self, contact: PendingContact) -> bytes:
        """Return a contact's call as JSON."""
        values = self._planner.values(contact.merged, self._rows[contact.tag], post=contact.post)
        return self.mapping.body(contact.key, values)

    # -- what comes of a call ------------------------------------------------------------------------------------------

    def accept(self, contact: PendingContact) -> None:
        """Note that the call was accepted and its values are delivered."""
        for position in contact.merged.contributing:
            entry, update = contact.group[position]
            self._ledger.deliver(entry, update.values)
            for segment, status in update.statuses.items():
                field_of_segment = self.mapping.segment_fields.get(segment, "")
                if contact.merged.senders.get(field_of_segment) == position:
                    self._ledger.pending.count(counters.segment(segment, status))
        self._close_the_rest(contact.group, contact.merged)
        after = contact.merged.after
        if contact.post:  # of what it had before it was created, it has only what the call carried
            carried = self._planner.carried(contact.merged)
            after = {tag: item if tag in carried else item.unanswered(item.order) for tag, item in after.items()}
        self._note(contact.tag, after)
        self._plan(contact.rest(post=False))

    def refuse(self, contact: PendingContact, error: ContactRefused) -> None:
        """Handle a refused call: split a merged one and send each entry alone to find the culprit; a single entry fails.

        Entries with an address go first, as Marketing Cloud creates no contact without one.
        """
        if len(contact.group) > 1:
            first, *others = (
                [pair] for pair in sorted(contact.group, key=lambda pair: not self._planner.brings_email(pair))
            )
            self._plan(replace(contact, group=first, apart=(*others, *contact.apart)))
            return
        pair = entry, _ = contact.group[0]
        row = self._rows[contact.tag]
        is_sure = not isinstance(error, AddressRequired | ContactUnknown) or error.is_sure
        misread = was_delivered(row) and (contact.post or not is_sure)
        address_lacks = (
            isinstance(error, AddressRequired | ContactUnknown)
            and not misread
            and not self._planner.has_email(contact.merged)
        )
        if address_lacks and self._has_email_behind(contact):
            self._plan(contact.with_behind())
            return
        if address_lacks and self._planner.email_is_uncertain(row):
            self._ledger.retry_later([entry], error, now_ms=self.now_ms)
        elif address_lacks:
            self._ledger.exclude(entry, Reason.MISSING_EMAIL, "Marketing Cloud makes no contact without an address")
            if is_sure and not error.stored_in_part:  # there is no contact that could hold what was not answered
                self._note(contact.tag, {tag: item for tag, item in row.items() if item.certain})
        else:
            self._ledger.fail(entry, error, now_ms=self.now_ms)
            self._give_up_address(contact.tag, pair)
        self._plan(contact.rest(post=contact.post))

    def may_create(self, contact: PendingContact) -> bool:
        return not contact.post and self._create_unknown and self._planner.has_email(contact.merged)

    def create(self, contact: PendingContact, *, is_sure: bool) -> None:
        """Create a contact that does not exist, whatever was delivered before: POST everything known about it.

        If `is_sure` is False, what was delivered still counts, so that nothing older replaces it.
        """
        if is_sure:
            self._note(contact.tag, {})
        self._plan(replace(contact, post=True))

    def doubt(self, contact: PendingContact, error: TransientFailure) -> None:
        """Note a call that failed transiently."""
        self.doubtful[contact.key] = (contact, error)

    def park_doubtful(self) -> None:
        """Try the doubtful contacts' entries again later: other contacts succeed, so these are the cause.

        Entries behind them are tried now.
        """
        doubtful, self.doubtful = self.doubtful, {}
        for contact, error in doubtful.values():
            self.fence(contact)
            self.put_off(contact, error)
            self._plan(contact.rest(post=False))

    def leave_doubtful(self) -> None:
        """Leave the doubtful contacts' entries in the lane: the destination is the cause."""
        doubtful, self.doubtful = self.doubtful, {}
        for contact, _ in doubtful.values():
            self.fence(contact)

    def fence(self, contact: PendingContact) -> None:
        """Note that nothing older than this call may be sent: it may or may not have been carried out, in whole or in part."""
        row = contact.merged.uncertain
        self._note(contact.tag, all_unknown(row) if contact.post else row)

    def put_off(self, contact: PendingContact, error: CallError) -> None:
        """Try the entries of the contact's call again later; those that have used up their tries fail."""
        given_up = self._ledger.retry_later([entry for entry, _ in contact.group], error, now_ms=self.now_ms)
        for pair in contact.group:
            if pair[0] in given_up:
                self._give_up_address(contact.tag, pair)

    def distrust(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Note that a worker that is gone may have called for these contacts, nobody knows with what."""
        for tag, row in rows.items():
            self._renote(tag, all_unknown(self._rows[tag] if tag in self._rows else decode(row)))

    # -- planning ------------------------------------------------------------------------------------------------------

    def _give_up_address(self, tag: bytes, pair: Pair) -> None:
        """Note that an entry has failed: profiles without an address no longer wait for the one that it may have brought."""
        self._renote(tag, self._planner.without_address_of(pair, self._rows[tag]))

    def _in_doubt(self, key: str) -> PendingContact | None:
        known = self.doubtful.get(key)
        return None if known is None else known[0]

    def _plan(self, contact: PendingContact | None) -> None:
        """Plan a contact's calls: close what needs none, queue the first that does."""
        while contact is not None:
            row = self._rows[contact.tag]
            merged = self._planner.merge(contact.group, row)
            if not merged.send and not (contact.post and merged.full):
                self._close_the_rest(contact.group, merged)
                if merged.after != row:
                    self._note(contact.tag, merged.after)
            elif (lacks_email := self._planner.lacks_email(merged, row)) and self._has_email_behind(contact):
                contact = contact.with_behind()
                continue
            elif lacks_email:
                for entry, _ in contact.group:
                    self._ledger.exclude(entry, Reason.MISSING_EMAIL, "options.without_email is exclude")
            else:
                self.put_back(replace(contact, merged=merged))
                return
            contact = contact.rest(post=contact.post)

    def _has_email_behind(self, contact: PendingContact) -> bool:
        return any(self._planner.brings_email(pair) for pair in contact.behind)

    def _close_the_rest(self, group: Group, merged: Merged) -> None:
        self._ledger.close_all((group[position][0] for position in merged.unchanged), Outcome.UNCHANGED)
        self._ledger.close_all((group[position][0] for position in merged.superseded), Outcome.SUPERSEDED)

    def _renote(self, tag: bytes, after: Row) -> None:
        """Note a row if that changes anything."""
        if after != self._rows.get(tag, {}):
            self._note(tag, after)

    def _note(self, tag: bytes, after: Row) -> None:
        self._rows[tag] = after
        self._ledger.pending.delivered[tag] = encode(after, self.now_ms)
