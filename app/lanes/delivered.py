"""What we delivered to a contact: for each attribute, a digest of the value and its place in the order. Pure.

It is kept as one row of bytes per contact in the lane's `delivered` hash, under a keyed tag of the contact key; neither
keys nor values can be read back. A row holds the day of its last change (2 bytes, days since 2020-01-01), the number of its
orders (2), each order (16), and 12 bytes per attribute: 4 of its name's digest, 6 of its value's keyed digest, 2 for the
index of its order. Attributes of one profile share an order, so ten attributes take 140 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

from app.moments import DAY_MS

_HEAD = struct.Struct(">HH")
_ORDER = struct.Struct(">6sB6s3s")
_ATTRIBUTE = struct.Struct(">4s6sH")
_EPOCH_DAY = 18_262  # 2020-01-01
TAG_BYTES = 12
# Digests of a value that may or may not have been stored, since its call was not answered: for an attribute that was never
# delivered for certain, and for one that was
UNKNOWN, UNKNOWN_SINCE = b"\0\0\0\0\0\0", b"\0\0\0\0\0\1"
# Likewise, when the entry has failed since: nobody will try it again
GIVEN_UP, GIVEN_UP_SINCE = b"\0\0\0\0\0\2", b"\0\0\0\0\0\3"


class Order(NamedTuple):
    """The place of a value in the one total order of a contact's values: the greater one wins, whichever comes first.

    It compares the version (epoch milliseconds at which the value became true), then live over backfill, then the time of
    enqueueing.
    """

    version_ms: int
    live: bool
    stamp_ms: int
    stamp_number: int


class Delivered(NamedTuple):
    """One attribute as it was last delivered."""

    digest: bytes
    order: Order

    @property
    def certain(self) -> bool:
        """Whether the value is known; if not, the digest is `UNKNOWN`, `GIVEN_UP` or one of these `SINCE`."""
        return self.digest not in (UNKNOWN, UNKNOWN_SINCE, GIVEN_UP, GIVEN_UP_SINCE)

    @property
    def was_delivered(self) -> bool:
        """Whether a value was ever delivered for certain."""
        return self.digest not in (UNKNOWN, GIVEN_UP)

    @property
    def is_tried_again(self) -> bool:
        """Whether the value is unknown and its entry will be tried again."""
        return self.digest in (UNKNOWN, UNKNOWN_SINCE)

    def unanswered(self, order: Order) -> Delivered:
        """Return the attribute after an unanswered call with a value of this order."""
        return Delivered(UNKNOWN_SINCE if self.was_delivered else UNKNOWN, order)

    def given_up(self) -> Delivered:
        """Return the attribute once the entry of its unanswered call has failed."""
        return Delivered(GIVEN_UP_SINCE if self.was_delivered else GIVEN_UP, self.order)


def contact_tag(contact_key: str, pepper: bytes) -> bytes:
    """Return the name of a contact in Redis, which also decides its lane."""
    return blake2b(contact_key.encode(), digest_size=TAG_BYTES, key=pepper).digest()


def attribute_tag(qualified: str) -> bytes:
    return blake2b(qualified.encode(), digest_size=4).digest()


def value_digest(value: str | float | bool, pepper: bytes) -> bytes:
    """Return the digest of a value and its type: True, 1 and "1" are three values."""
    return blake2b(f"{type(value).__name__}:{value}".encode(), digest_size=6, key=pepper).digest()


def decode(row: bytes | None) -> dict[bytes, Delivered]:
    """Return what was delivered, by attribute tag; empty for an unknown contact."""
    if not row:
        return {}
    _, count = _HEAD.unpack_from(row)
    first = _HEAD.size + count * _ORDER.size
    orders = [
        Order(int.from_bytes(version), bool(live), int.from_bytes(stamp_ms), int.from_bytes(number))
        for version, live, stamp_ms, number in _ORDER.iter_unpack(row[_HEAD.size : first])
    ]
    return {tag: Delivered(digest, orders[index]) for tag, digest, index in _ATTRIBUTE.iter_unpack(row[first:])}


def encode(attributes: Mapping[bytes, Delivered], now_ms: int) -> bytes:
    orders = {order: index for index, order in enumerate(dict.fromkeys(item.order for item in attributes.values()))}
    parts = [_HEAD.pack(max(0, now_ms // DAY_MS - _EPOCH_DAY), len(orders))]
    parts += [
        _ORDER.pack(
            max(0, order.version_ms).to_bytes(6),
            order.live,
            order.stamp_ms.to_bytes(6),
            min(order.stamp_number, 0xFFFFFF).to_bytes(3),
        )
        for order in orders
    ]
    parts += [_ATTRIBUTE.pack(tag, item.digest, orders[item.order]) for tag, item in attributes.items()]
    return b"".join(parts)


def age_days(row: bytes, now_ms: int) -> int:
    """Return the days since the row last changed."""
    return now_ms // DAY_MS - _EPOCH_DAY - int.from_bytes(row[:2])
