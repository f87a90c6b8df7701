"""Works out a contact's call from everything that waits for it and what was delivered before. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from app.lanes.delivered import Delivered, Order, value_digest
from app.lanes.merge import Merged, Tags, Update, merge
from app.mapping.catalog import HTML_ENABLED
from app.mapping.update import ContactUpdate, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.destinations.model import Options
    from app.lanes.entries import Entry

Pair = tuple["Entry", ContactUpdate]
Group = list[Pair]  # entries that are merged into one call, in order of arrival
Row = dict[bytes, Delivered]  # what was delivered to a contact, by attribute tag

_HTML_ENABLED = HTML_ENABLED.qualified


@dataclass(frozen=True, slots=True)
class Planner:
    """The rules of one destination: its options, the attribute that holds the email address, and the key of its digests."""

    options: Options
    email: str
    pepper: bytes
    tags: Tags = field(default_factory=Tags)

    def merge(self, group: Group, row: Row) -> Merged:
        updates = [Update(update.values, entry.origin.stamp, entry.origin.force) for entry, update in group]
        return merge(updates, row, pepper=self.pepper, tags=self.tags)

    def lacks_email(self, merged: Merged, row: Row) -> bool:
        """Return whether the call is forbidden for want of an address: none is known, and none was or may have been delivered."""
        return (
            self.options.without_email == "exclude"
            and not self.has_email(merged)
            and not was_delivered(row)
            and not self.email_is_uncertain(row)
        )

    def brings_email(self, pair: Pair) -> bool:
        """Return whether an entry carries an address."""
        return self.email in pair[1].values

    def has_email(self, merged: Merged) -> bool:
        return self.email in merged.full

    def email_is_uncertain(self, row: Row) -> bool:
        """Return whether a newer address was tried, its answer was lost, and it will be tried again."""
        known = row.get(self.tags[self.email])
        return known is not None and known.is_tried_again

    def without_address_of(self, pair: Pair, row: Row) -> Row:
        """Return the row once an entry has failed: an address of it that may have been stored is not tried again."""
        tag = self.tags[self.email]
        known, value = row.get(tag), pair[1].values.get(self.email)
        if known is None or value is None or not known.is_tried_again:
            return row
        # that of another entry may still be tried again
        is_of_this = known.order == _order(pair[0], value) or (pair[0].recovered and known.was_delivered)
        return row | {tag: known.given_up()} if is_of_this else row

    def without_what_these_replace(self, group: Group, row: Row) -> Row:
        """Return the row where a call with these entries may have been accepted, and nobody knows: what they replace is unknown.

        What is left out of an entry by now may have been in that call.
        """
        if any(update.left_out for _, update in group):
            return all_unknown(row)
        unknown: Row = {}
        for entry, update in group:
            for name, value in update.values.items():
                known = row.get(self.tags[name])
                if known is None or not known.certain or _order(entry, value) <= known.order:
                    continue
                if value_digest(value.value, self.pepper) != known.digest:
                    unknown[self.tags[name]] = known.unanswered(known.order)
        return row | unknown

    def carried(self, merged: Merged) -> frozenset[bytes]:
        """Return the tags of what a POST of the contact carries."""
        return frozenset(self.tags[name] for name in merged.full)

    def values(self, merged: Merged, row: Row, *, post: bool) -> Mapping[str, Any]:
        """Return what the call carries: the changes, with the email and HTML Enabled as the options say."""
        options = self.options
        values = dict(merged.full if post else merged.send)
        if options.send_email == "always" and self.email in merged.full:
            values[self.email] = merged.full[self.email]
        if self.email in values and self._sends_html(row, post=post):
            values.setdefault(_HTML_ENABLED, True)
        return values

    def _sends_html(self, row: Row, *, post: bool) -> bool:
        """Return whether HTML Enabled is sent with the address."""
        match self.options.html_enabled:
            case "first":
                known = row.get(self.tags[self.email])
                return post or known is None or not known.was_delivered
            case "create":
                return post
            case "always":
                return True
            case "never":
                return False


def _order(entry: Entry, value: Value) -> Order:
    return Order(value.version_ms, *entry.origin.stamp)


def all_unknown(row: Row) -> Row:
    """Return the row where nobody knows what is there by now; nothing older replaces it all the same."""
    return {tag: item.given_up() if item.certain else item for tag, item in row.items()}


def was_delivered(row: Row) -> bool:
    """Return whether anything was ever delivered to the contact for certain."""
    return any(item.was_delivered for item in row.values())
