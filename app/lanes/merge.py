"""Merging what waits for one contact with what it was given before, into at most one call. Pure.

Each attribute goes its own way: the value that is last in the one total order (`Order`) wins, whatever the order of arrival and
however often it was tried meanwhile. From that every entry has its outcome: it is *superseded* when newer values replaced all
of its own, *unchanged* when what is left of it is there already, and otherwise it *contributes* and shares the outcome of
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
    """What places an entry among those of the same version: live over backfill, then the time and number of its enqueueing."""

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
    """`send` is what a call must carry (empty: no call); `full` is every winner, also those that are there already.

    `contributing`, `unchanged` and `superseded` are positions in the sequence of updates; together they are all of them.
    `after` is the delivered state once the call was accepted, or at once when there is none. `uncertain` is the delivered state
    once the call was made and nobody knows what became of it: nothing older than what it carried may be sent any more.
    """

    send: dict[str, Scalar]
    full: dict[str, Scalar]
    contributing: list[int]
    unchanged: list[int]
    superseded: list[int]
    after: dict[bytes, Delivered]
    before: Mapping[bytes, Delivered]
    sent_tags: frozenset[bytes]

    @property
    def uncertain(self) -> dict[bytes, Delivered]:
        fenced = dict(self.before)
        for tag in self.sent_tags:
            order = self.after[tag].order
            fenced[tag] = fenced[tag].unanswered(order) if tag in fenced else Delivered(UNKNOWN, order)
        return fenced


class Tags:
    """Digests of attribute names, worked out once per name."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def __getitem__(self, qualified: str) -> bytes:
        tag = self._known.get(qualified)
        if tag is None:
            tag = self._known[qualified] = attribute_tag(qualified)
        return tag


def merge(updates: Sequence[Update], delivered: Mapping[bytes, Delivered], *, pepper: bytes, tags: Tags) -> Merged:
    """Find the winners, and what of them is worth a call."""
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
    contributing: set[int] = set()
    present: set[int] = set()
    for name, (won, position, item) in winners.items():
        order = won
        tag = tags[name]
        before = delivered.get(tag)
        digest = value_digest(item.value, pepper)
        same = before is not None and before.digest == digest
        if before is not None and (order < before.order or (order == before.order and before.certain and not same)):
            if not same:
                continue
            order = before.order  # the newer one that is there has this very value
        after[tag] = Delivered(digest, order)
        full[name] = item.value
        if same and name not in forced:
            present.add(position)
        else:
            send[name] = item.value
            if not same:  # what is there already stays there, whatever becomes of the call
                sent_tags.add(tag)
            contributing.add(position)

    unchanged, superseded = [], []
    for position, update in enumerate(updates):
        if position in contributing:
            continue
        if position in present or not update.values or _repeats(position, update, winners, contributing | present):
            unchanged.append(position)
        else:
            superseded.append(position)
    return Merged(send, full, sorted(contributing), unchanged, superseded, after, delivered, frozenset(sent_tags))


def _repeats(position: int, update: Update, winners: Mapping[str, tuple[Order, int, Value]], counted: set[int]) -> bool:
    """A repeat of the very same value and version is no newer value: the entry is unchanged, not superseded."""
    for name, item in update.values.items():
        _, winner, won = winners[name]
        if winner != position and winner in counted and (won.version_ms, won.value) == (item.version_ms, item.value):
            return True
    return False
