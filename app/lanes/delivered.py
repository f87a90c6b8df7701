"""What Marketing Cloud holds of a contact by our own doing: per attribute a digest of the value and its version.

Kept as one row of bytes per contact in the lane's `delivered` hash, under a keyed tag of the contact key: neither keys nor
values can be read back. A row is the day of its last change (2 bytes, days since 2020-01-01) and 16 bytes an attribute:
4 of its name's digest, 6 of its value's keyed digest, 6 of its version in ms. Ten attributes take 162 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from hashlib import blake2b
from typing import NamedTuple

_ATTRIBUTE = struct.Struct(">4s6s6s")
_EPOCH_DAY = 18_262  # 2020-01-01
_DAY_MS = 86_400_000
TAG_BYTES = 12


class Delivered(NamedTuple):
    """One attribute as it was last delivered."""

    digest: bytes
    version_ms: int


def contact_tag(contact_key: str, pepper: bytes) -> bytes:
    """The name of a contact in Redis; also decides its lane."""
    return blake2b(contact_key.encode(), digest_size=TAG_BYTES, key=pepper).digest()


def attribute_tag(qualified: str) -> bytes:
    return blake2b(qualified.encode(), digest_size=4).digest()


def value_digest(value: str | float | bool, pepper: bytes) -> bytes:
    """Digest of a value together with its type: True, 1 and "1" are three values."""
    return blake2b(f"{type(value).__name__}:{value}".encode(), digest_size=6, key=pepper).digest()


def decode(row: bytes | None) -> dict[bytes, Delivered]:
    """Attribute tag -> what was delivered; empty for a contact that never was."""
    if not row:
        return {}
    return {tag: Delivered(digest, int.from_bytes(version)) for tag, digest, version in _ATTRIBUTE.iter_unpack(row[2:])}


def encode(attributes: Mapping[bytes, Delivered], now_ms: int) -> bytes:
    day = max(0, now_ms // _DAY_MS - _EPOCH_DAY)
    parts = [day.to_bytes(2)]
    parts += [
        _ATTRIBUTE.pack(tag, item.digest, max(0, item.version_ms).to_bytes(6)) for tag, item in attributes.items()
    ]
    return b"".join(parts)


def age_days(row: bytes, now_ms: int) -> int:
    """Days since the row last changed."""
    return now_ms // _DAY_MS - _EPOCH_DAY - int.from_bytes(row[:2])
