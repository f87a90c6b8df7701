"""Merging what waits for one contact with what it was given before, into at most one call. Pure.

Each attribute goes its own way: the newest version wins, whatever the order of arrival; on equal versions the later
arrival does, except that an entry which was parked or is replayed yields to what is there. From that every entry has its
outcome: it is *superseded* when newer values replaced all of its own, *unchanged* when what is left of it is there
already, and otherwise it *contributes* and shares the outcome of the call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.lanes.delivered import Delivered, attribute_tag, value_digest

Scalar = str | int | float | bool


class Versioned(Protocol):
    """A value and the time in ms at which it became true (`app.mapping.compiled.Value`)."""

    @property
    def value(self) -> Scalar: ...

    @property
    def version_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Update:
    """What one entry wants to set, in order of arrival."""

    values: Mapping[str, Versioned]  # by qualified name
    force: bool = False
    returned: bool = False


@dataclass(frozen=True, slots=True)
class Merged:
    """`send` is what a call must carry (empty: no call); `full` is every winner, also those that are there already.

    `contributing`, `unchanged` and `superseded` are positions in the sequence of updates; together they are all of them.
    `after` is the delivered state once the call was accepted, or at once when there is none.
    """

    send: dict[str, Scalar]
    full: dict[str, Scalar]
    contributing: list[int]
    unchanged: list[int]
    superseded: list[int]
    after: dict[bytes, Delivered]


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
    winners: dict[str, tuple[int, Versioned]] = {}
    for position, update in enumerate(updates):
        for name, item in update.values.items():
            standing = winners.get(name)
            if standing is None or _beats(item.version_ms, update, standing[1].version_ms):
                winners[name] = (position, item)

    forced = {
        name
        for update in updates
        if update.force
        for name, item in update.values.items()
        if (item.version_ms, item.value) == (winners[name][1].version_ms, winners[name][1].value)
    }
    send: dict[str, Scalar] = {}
    full: dict[str, Scalar] = {}
    after = dict(delivered)
    contributing: set[int] = set()
    present: set[int] = set()
    for name, (position, item) in winners.items():
        tag = tags[name]
        before = delivered.get(tag)
        digest = value_digest(item.value, pepper)
        same = before is not None and before.digest == digest
        if before is not None and not _beats(item.version_ms, updates[position], before.version_ms):
            if not same or item.version_ms != before.version_ms:
                continue
        else:
            after[tag] = Delivered(digest, item.version_ms)
        full[name] = item.value
        if same and name not in forced:
            present.add(position)
        else:
            send[name] = item.value
            contributing.add(position)

    unchanged, superseded = [], []
    for position, update in enumerate(updates):
        if position in contributing:
            continue
        if position in present or not update.values or _repeats(position, update, winners, contributing | present):
            unchanged.append(position)
        else:
            superseded.append(position)
    return Merged(send, full, sorted(contributing), unchanged, superseded, after)


def _beats(version_ms: int, update: Update, standing_ms: int) -> bool:
    return version_ms > standing_ms or (version_ms == standing_ms and not update.returned)


def _repeats(position: int, update: Update, winners: Mapping[str, tuple[int, Versioned]], standing: set[int]) -> bool:
    """A repeat of the very same value and version is no newer value: the entry is unchanged, not superseded."""
    return any(
        winners[name][0] != position
        and winners[name][0] in standing
        and winners[name][1].version_ms == item.version_ms
        and winners[name][1].value == item.value
        for name, item in update.values.items()
    )
