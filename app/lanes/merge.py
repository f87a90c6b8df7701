"""Merges the entries that wait for one contact with what was delivered to it, into at most one call. Pure.

Each attribute is decided on its own: the value that is last in the one total order (`Order`) wins, whatever the order of
arrival and however often it was tried. Each entry's outcome follows: it is *superseded* if newer values replaced all of its
own, *unchanged* if what remains of it is in Marketing Cloud already; otherwise it *contributes* and shares the outcome of
the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from app.lanes.delivered import UNKNOWN, Delivered, Order, attribute_tag, value_digest
from app.mapping.update import Value
from app.mapping.values import Scalar


class Stamp(NamedTuple):
    """The place of an entry among those of the same version: live over backfill, then time and number of enqueueing."""

    live: bool
    ms: int
    number: int


@dataclass(frozen=True, slots=True)
class Update:
    """What one entry wants to set."""

    values: Mapping[str, Value]  # by qualified name
    stamp: Stamp
    force: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """The result of a merge.

    `send`: what the call must carry; empty for no call. `senders`: the position of the update that each of these is of. `full`: every
      winner, including those already delivered.
    `contributing`, `unchanged`, `superseded`: positions in the sequence of updates; each update is in one of them.
    `after`: the delivered state once the call is accepted, or at once without a call.
    `uncertain`: the delivered state if the call was made and its result is unknown: nothing older than what it carried may
      be sent.
    """

    send: dict[str, Scalar]
    full: dict[str, Scalar]
    contributing: list[int]
    unchanged: list[int]
    superseded: list[int]
    after: dict[bytes, Delivered]
    before: Mapping[bytes, Delivered]
    sent_tags: frozenset[bytes]
    senders: Mapping[str, int]

    @property
    def uncertain(self) -> dict[bytes, Delivered]:
        fenced = dict(self.before)
        for tag in self.sent_tags:
            order = self.after[tag].order
            fenced[tag] = fenced[tag].unanswered(order) if tag in fenced else Delivered(UNKNOWN, order)
        return fenced


class Tags:
    """Digests of attribute names, each computed once."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def __getitem__(self, qualified: str) -> bytes:
        tag = self._known.get(qualified)
        if tag is None:
            tag = self._known[qualified] = attribute_tag(qualified)
        return tag


def merge(updates: Sequence[Update], delivered: Mapping[bytes, Delivered], *, pepper: bytes, tags: Tags) -> Merged:
    """Find the winning values, and which of them are worth a call."""
    winners: dict[str, tuple[Order, int, Value]] = {}
    for position, update in enumerate(updates):
        for name, item in update.values.items():
            order = Order(item.version_ms, *update.stamp)
            known = winners.get(name)
            if known is None or order > known[0]:
                winners[name] = (order, position, item)

    forced = {
        name
        for update in updates
        if update.force
        for name, item in update.values.items()
        if (item.version_ms, item.value) == (winners[name][2].version_ms, winners[name][2].value)
    }
    send: dict[str, Scalar] = {}
    full: dict[str, Scalar] = {}
    after = dict(delivered)
    sent_tags: set[bytes] = set()
    senders: dict[str, int] = {}
    present: set[int] = set()
    for name, (won, position, item) in winners.items():
        order = won
        tag = tags[name]
        before = delivered.get(tag)
        digest = value_digest(item.value, pepper)
        same = before is not None and before.digest == digest
        if before is not None and (order < before.order or (order == before.order and before.certain)):
            if not same:
                continue
            order = before.order  # the newer one already delivered has the same value
        after[tag] = Delivered(digest, order)
        full[name] = item.value
        if same and name not in forced:
            present.add(position)
        else:
            send[name] = item.value
            if not same:  # a value already delivered stays, whatever becomes of the call
                sent_tags.add(tag)
            senders[name] = position

    contributing = set(senders.values())
    unchanged, superseded = [], []
    for position, update in enumerate(updates):
        if position in contributing:
            continue
        if position in present or not update.values or _repeats(update, winners, contributing | present):
            unchanged.append(position)
        else:
            superseded.append(position)
    return Merged(
        send, full, sorted(contributing), unchanged, superseded, after, delivered, frozenset(sent_tags), senders
    )


def _repeats(update: Update, winners: Mapping[str, tuple[Order, int, Value]], counted: set[int]) -> bool:
    """Return whether the update repeats a counted winner's exact value and version; then it is unchanged, not superseded."""
    for name, item in update.values.items():
        _, winner, won = winners[name]
        if winner in counted and (won.version_ms, won.value) == (item.version_ms, item.value):
            return True
    return False
