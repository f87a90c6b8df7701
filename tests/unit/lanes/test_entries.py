"""Whatever lies in a lane is read: as an entry of a producer, or as one that does not open and can be kept as a failure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.errors import CallError, SealBroken
from app.lanes.entries import Origin, read_entry, read_fields
from app.lanes.failures import seal_failure
from app.lanes.merge import Stamp
from app.sealing import KeyRing, make_key

RING = KeyRing([make_key()])
ORIGIN = Origin("job", 1_000, 2_000, 4_096, "x", b"tag")
PROFILE = {"a": 1}


def fields_of(origin: Origin, **more: bytes) -> dict[bytes, bytes]:
    flat = [
        part if isinstance(part, bytes) else str(part).encode()
        for part in origin.fields(RING.seal(b'{"a":1}', origin.purpose("camp")))
    ]
    return dict(zip(flat[::2], flat[1::2], strict=True)) | {name.encode(): value for name, value in more.items()}


@pytest.mark.parametrize("occurred_at_ms", [0, 1_000, 2**63 - 1, -1, -(2**63)])
def test_what_a_producer_writes_is_read(occurred_at_ms: int) -> None:
    origin = replace(ORIGIN, occurred_at_ms=occurred_at_ms)
    entry = read_fields(b"1-1", fields_of(origin, n=b"3", t=b"1500"), backfill=False)
    assert (entry.origin, entry.attempts, entry.first_tried_at_ms) == (origin, 3, 1_500)
    assert entry.open(RING, "camp") == PROFILE


@pytest.mark.parametrize("backfill", [True, False])
def test_an_entry_in_a_reply_is_the_same(backfill: bool) -> None:
    fields = fields_of(ORIGIN)
    flat = [part for pair in fields.items() for part in pair]
    assert read_entry([b"1-1", flat], backfill=backfill) == read_fields(b"1-1", fields, backfill=backfill)


def test_what_is_sealed_and_no_json_does_not_open() -> None:
    sealed = RING.seal(b"nonsense", ORIGIN.purpose("camp"))
    with pytest.raises(SealBroken) as broken:
        read_fields(b"1-1", fields_of(ORIGIN, p=sealed), backfill=False).open(RING, "camp")
    assert broken.value.tampered


@pytest.mark.parametrize(
    ("flags", "stamp", "force"),
    [
        ("", Stamp(True, 2_000, 4_096), False),
        ("b", Stamp(False, 2_000, 4_096), False),
        ("xb", Stamp(False, 2_000, 4_096), True),
    ],
)
def test_flags_say_backfill_and_force(flags: str, stamp: Stamp, force: bool) -> None:
    origin = replace(ORIGIN, flags=flags)
    assert (origin.stamp, origin.force) == (stamp, force)


@pytest.mark.parametrize(
    ("changed", "enqueued_ms"),
    [({}, 2_000), ({"j": b"replay-1"}, 1_234), ({"s": b"nonsense"}, 1_234)],
    ids=["enqueued", "replayed", "no producer's"],
)
def test_when_it_was_enqueued(changed: dict[str, bytes], enqueued_ms: int) -> None:
    assert read_fields(b"1234-5", fields_of(ORIGIN, **changed), backfill=False).enqueued_ms == enqueued_ms


@pytest.mark.parametrize(
    ("tried", "again"),
    [({}, ["n", 1, "t", 3_000]), ({"n": b"2", "t": b"1500"}, ["n", 3, "t", 1_500])],
    ids=["once", "again"],
)
def test_what_is_parked_has_one_try_more_and_keeps_the_time_of_the_first(
    tried: dict[str, bytes], again: list[str | int]
) -> None:
    entry = read_fields(b"1-1", fields_of(ORIGIN, **tried), backfill=False)
    assert entry.parked_fields(3_000) == [*ORIGIN.fields(entry.sealed), *again]


@pytest.mark.parametrize(
    "changed",
    [
        {"o": b"%d" % 10**30},
        {"o": b"%d" % 2**63},
        {"o": b"%d" % -(10**30)},
        {"o": b"9" * 10_000},
        {"s": b"%d-1" % 2**63},
        {"s": b"1-%d" % 2**64},
        {"s": b"-1-1"},
        {"n": b"%d" % 10**30},
        {"n": b"-1"},
        {"n": b""},
        {"t": b"%d" % 2**63},
        {"t": b"-1"},
    ],
)
def test_a_number_that_no_producer_writes_does_not_open_and_can_be_kept(changed: dict[str, bytes]) -> None:
    entry = read_fields(b"1-1", fields_of(ORIGIN, **changed), backfill=False)
    with pytest.raises(SealBroken) as broken:
        entry.open(RING, "camp")
    assert broken.value.tampered
    seal_failure(entry, CallError("It does not open.", code="seal_tampered"), "camp", RING, now_ms=3_000)


NAMES = st.sampled_from([b"j", b"o", b"s", b"f", b"c", b"p", b"n", b"t"])


@given(st.dictionaries(NAMES, st.binary() | st.integers().map(b"%d".__mod__)))
@example({b"j": b"\xff", b"o": b"1", b"s": b"1-1", b"f": b"", b"c": b"c"})
def test_reading_and_keeping_never_raise(fields: dict[bytes, bytes]) -> None:
    entry = read_fields(b"1-1", fields_of(ORIGIN) | fields, backfill=True)
    seal_failure(entry, CallError("It does not open.", code="seal_tampered"), "camp", RING, now_ms=3_000)
