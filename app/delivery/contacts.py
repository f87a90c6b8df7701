"""The contacts that a session works on: what is known of each, what its call must carry, and what waits behind it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.errors import AddressRequired, ContactRefused, ContactTroubled, ContactUnknown
from app.keys import LANES
from app.lanes.delivered import UNKNOWN, Delivered, contact_tag, decode, encode
from app.lanes.lane import lane_of
from app.lanes.merge import Merged, Tags, Update, merge
from app.lanes.outcomes import Ledger, Outcome
from app.mapping.compiled import CompiledMapping, ContactUpdate, Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from app.destinations.model import Destination
    from app.lanes.entries import Entry

HTML_ENABLED = "Email Addresses.HTML Enabled"

Pair = tuple["Entry", ContactUpdate]
Group = list[Pair]  # entries that are merged into one call, in order of arrival


@dataclass(slots=True)
class Contact:
    """What waits or is in flight for one contact.

    `post`: to be created. `apart`: entries of a call that was refused, each to be sent alone. `behind`: what came in meanwhile; it
    becomes one call when all before it is done.
    """

    key: str
    tag: bytes
    backfill: bool
    group: Group
    merged: Merged
    post: bool = False
    apart: deque[Group] = field(default_factory=deque)
    behind: Group = field(default_factory=list)


class Contacts:
    """Every contact of a session is in one place: waiting, waiting as backfill, in flight, or troubled.

    Troubled is a contact whose call came to no answer that counts: until it is known whether others are well it keeps its place, and
    what comes in for it waits behind.
    """

    def __init__(
        self,
        destination: Destination,
        mapping: CompiledMapping,
        ledger: Ledger,
        pepper: bytes,
        read_rows: Callable[[Sequence[bytes]], Mapping[bytes, bytes | None]],
        *,
        lane: int,
        move: Callable[[Entry, bytes, int], None],
    ) -> None:
        self.mapping = mapping
        self.now_ms = 0
        self.live: dict[str, Contact] = {}
        self.backfill: dict[str, Contact] = {}
        self.in_flight: dict[str, Contact] = {}
        self.troubled: dict[str, tuple[Contact, ContactTroubled]] = {}
        self._options = destination.options
        self._ledger = ledger
        self._pepper = pepper
        self._read_rows = read_rows
        self._lane = lane
        self._move = move
        self._tags = Tags()
        self._rows: dict[bytes, dict[bytes, Delivered]] = {}

    @property
    def waiting(self) -> int:
        return len(self.live) + len(self.backfill)

    def take_in(self, updates: Sequence[Pair]) -> None:
        """Give each update to its contact, and plan every contact that is free.

        A contact of another lane, as there are after the contact key was mapped anew, is moved there: a contact has one lane.
        """
        groups: dict[str, Group] = {}
        for entry, update in updates:
            groups.setdefault(update.contact_key, []).append((entry, update))
        tags = {key: contact_tag(key, self._pepper) for key in groups}
        for key, tag in list(tags.items()):
            if lane_of(tag, LANES) != self._lane:
                for entry, _ in groups.pop(key):
                    self._move(entry, tag, lane_of(tag, LANES))
                del tags[key]
        unknown = [tag for tag in tags.values() if tag not in self._rows]
        for tag, row in self._read_rows(unknown).items():
            self._rows[tag] = decode(row)
        for key, group in groups.items():
            busy = self.in_flight.get(key) or self._troubled(key)
            if busy is not None:
                busy.behind += group
                continue
            standing = self.live.pop(key, None) or self.backfill.pop(key, None)
            if standing is None:
                self._plan(key, tags[key], group)
            elif standing.apart:
                standing.behind += group
                self.put_back(standing)
            else:
                self._plan(key, tags[key], standing.group + group, behind=standing.behind)

    def next(self) -> Contact:
        """The contact to call next, live ones first; it is in flight from now on."""
        source = self.live or self.backfill
        contact = source.pop(next(iter(source)))
        self.in_flight[contact.key] = contact
        return contact

    def put_back(self, contact: Contact) -> None:
        """The contact waits for its call (again)."""
        (self.backfill if contact.backfill else self.live)[contact.key] = contact

    def body(self, contact: Contact) -> bytes:
        """What the call carries: the changes, the email along with them, and HTML Enabled as the destination says."""
        options, merged, email = self._options, contact.merged, self.mapping.email
        values = dict(merged.full if contact.post else merged.send)
        if options.send_email == "always" and email in merged.full:
            values[email] = merged.full[email]
        if email in values and options.html_enabled != "never":
            known = self._rows[contact.tag].get(self._tags[email])
            first = contact.post or known is None or known.digest == UNKNOWN
            if first or options.html_enabled == "always":
                values.setdefault(HTML_ENABLED, True)
        return self.mapping.body(contact.key, values)

    # -- what comes of a call ------------------------------------------------------------------------------------------

    def accept(self, contact: Contact) -> None:
        """The call was accepted: its values are delivered."""
        for position in contact.merged.contributing:
            entry, update = contact.group[position]
            self._ledger.close(entry, Outcome.DELIVERED)
            for segment, status in update.statuses.items():
                self._ledger.pending.count(f"segment:{segment}:{status}")
        self._close_the_rest(contact.group, contact.merged)
        self._note(contact.tag, contact.merged.after)
        self._next_of(contact)

    def refuse(self, contact: Contact, error: ContactRefused) -> None:
        """A merged call was refused: find the guilty entry by sending each alone; a single one fails."""
        if len(contact.group) > 1:
            singles = deque([pair] for pair in contact.group)
            self._plan(contact.key, contact.tag, singles.popleft(), apart=singles, behind=contact.behind)
            return
        entry, _ = contact.group[0]
        address_lacks = isinstance(error, AddressRequired | ContactUnknown) and not self._has_email(contact.merged)
        if address_lacks and self._email_is_on_its_way(contact):
            self._ledger.retry_later([entry], error, now_ms=self.now_ms)
        elif address_lacks:
            self._ledger.exclude(entry, Reason.MISSING_EMAIL)
        else:
            self._ledger.fail(entry, error, now_ms=self.now_ms)
        self._next_of(contact)

    def may_create(self, contact: Contact) -> bool:
        return not contact.post and self._options.create_unknown and self._has_email(contact.merged)

    def create(self, contact: Contact) -> None:
        """The contact does not exist, whatever was delivered once: POST all that is known of it."""
        self._rows[contact.tag] = {}
        self._plan(contact.key, contact.tag, contact.group, apart=contact.apart, behind=contact.behind)
        standing = self.live.get(contact.key) or self.backfill.get(contact.key)
        if standing is not None:
            standing.post = True

    def park_troubled(self) -> None:
        """Others are well, so these contacts are in trouble of their own: tried again later, the lane goes on.

        Their entries are out of the way; what came in meanwhile is tried.
        """
        troubled, self.troubled = self.troubled, {}
        for contact, error in troubled.values():
            self._fence(contact)
            self._ledger.retry_later([entry for entry, _ in contact.group], error, now_ms=self.now_ms)
            self._next_of(contact)

    def leave_troubled(self) -> None:
        """It is not the contacts' trouble: their entries stay in the lane."""
        troubled, self.troubled = self.troubled, {}
        for contact, _ in troubled.values():
            self._fence(contact)

    # -- planning ------------------------------------------------------------------------------------------------------

    def _fence(self, contact: Contact) -> None:
        """Nobody knows whether the call was carried out: nothing older than what it carried may be sent any more."""
        self._note(contact.tag, contact.merged.uncertain)

    def _troubled(self, key: str) -> Contact | None:
        known = self.troubled.get(key)
        return None if known is None else known[0]

    def _plan(
        self, key: str, tag: bytes, group: Group, *, apart: deque[Group] | None = None, behind: Group | None = None
    ) -> None:
        """Merge; what needs no call is done at once, the rest waits for its call."""
        apart, behind = apart or deque(), behind or []
        while True:
            row = self._rows[tag]
            updates = [Update(update.values, entry.origin.stamp, entry.origin.force) for entry, update in group]
            merged = merge(updates, row, pepper=self._pepper, tags=self._tags)
            if not merged.send:
                self._close_the_rest(group, merged)
                if merged.after != row:
                    self._note(tag, merged.after)
            elif self._options.without_email == "exclude" and not self._has_email(merged) and not _was_delivered(row):
                for entry, _ in group:
                    self._ledger.exclude(entry, Reason.MISSING_EMAIL)
            else:
                backfill = all(entry.backfill for entry, _ in group)
                self.put_back(Contact(key, tag, backfill, group, merged, apart=apart, behind=behind))
                return
            if apart:
                group = apart.popleft()
            elif behind:
                group, behind = behind, []
            else:
                return

    def _next_of(self, contact: Contact) -> None:
        """What came in meanwhile for this contact is next."""
        if contact.apart:
            first = contact.apart.popleft()
            self._plan(contact.key, contact.tag, first, apart=contact.apart, behind=contact.behind)
        elif contact.behind:
            self._plan(contact.key, contact.tag, contact.behind)

    def _has_email(self, merged: Merged) -> bool:
        return self.mapping.email in merged.full

    def _email_is_on_its_way(self, contact: Contact) -> bool:
        """An entry with a newer address was tried, its answer was lost, and it will be tried again."""
        known = self._rows[contact.tag].get(self._tags[self.mapping.email])
        return known is not None and not known.certain

    def _close_the_rest(self, group: Group, merged: Merged) -> None:
        self._ledger.close_all((group[position][0] for position in merged.unchanged), Outcome.UNCHANGED)
        self._ledger.close_all((group[position][0] for position in merged.superseded), Outcome.SUPERSEDED)

    def _note(self, tag: bytes, after: dict[bytes, Delivered]) -> None:
        self._rows[tag] = after
        self._ledger.pending.delivered[tag] = encode(after, self.now_ms)


def _was_delivered(row: Mapping[bytes, Delivered]) -> bool:
    """Whether anything of the contact was ever delivered for certain."""
    return any(item.digest != UNKNOWN for item in row.values())
