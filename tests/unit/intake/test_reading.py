"""How much is taken apart at once: small bodies at once, large ones as room is there, and one of any size always."""

from __future__ import annotations

import asyncio
import gzip

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RequestRefused
from app.event_loop import EVENT_LOOP
from app.intake.bodies import inflate, inflate_within, weigh
from app.intake.reading import LARGE_BYTES, MOST_LARGE_BYTES, ReadBody, Reader
from app.intake.room import Room

SMALL = orjson.dumps({"a": 1})
LARGE = b"[" + b",".join([orjson.dumps({"a": 1, "b": "x" * 40})] * 8_000) + b"]"
HUGE = b"[" + b",".join([orjson.dumps({str(n): n for n in range(30)})] * 9_000) + b"]"


def test_into_an_empty_room_goes_any_and_then_what_has_room() -> None:
    room = Room(10)
    assert room.enter(99)
    assert room.full
    assert not room.enter(1)
    room.leave(99)
    assert [room.enter(size) for size in (6, 5, 4, 1)] == [True, False, True, False]
    assert room.full
    room.leave(6)
    assert not room.full
    assert room.enter(6)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30))))
def test_a_room_never_holds_more_than_it_may_or_a_single_one(steps: list[tuple[bool, int]]) -> None:
    room, inside = Room(20), list[int]()
    for comes, size in steps:
        if comes and room.enter(size):
            inside.append(size)
        elif not comes and inside:
            room.leave(inside.pop())
        assert sum(inside) <= 20 or len(inside) == 1
        assert room.full is (sum(inside) >= 20)


def test_a_body_that_inflates_to_more_is_given_up_soon() -> None:
    packed = gzip.compress(bytes(10_000_000))
    assert inflate_within(1_000_000, packed, "gzip") is None
    assert inflate_within(10_000_000, packed, "gzip") == bytes(10_000_000)


def test_many_small_members_are_inflated_and_too_many_refused() -> None:
    assert inflate(gzip.compress(b"ab") * 1_000, "gzip") == b"ab" * 1_000
    with pytest.raises(RequestRefused) as refused:
        inflate(gzip.compress(b"") * 1_001, "gzip")
    assert refused.value.status == 413


def test_the_weight_is_of_the_values_rather_than_of_the_bytes() -> None:
    assert weigh(b'"' + b"x" * 1_000_000 + b'"') < weigh(b"[" + b"1," * 100_000 + b"1]")


@pytest.mark.parametrize("encoding", ["", "gzip"])
@pytest.mark.parametrize("plain", [SMALL, LARGE], ids=["small", "large"])
def test_what_is_read_is_the_body_and_its_profiles(plain: bytes, encoding: str) -> None:
    body = gzip.compress(plain) if encoding else plain

    async def read() -> ReadBody:
        return await Reader().read(body, encoding)

    found = EVENT_LOOP.run(read())
    assert found.plain == plain
    document = orjson.loads(found.plain)
    assert found.profiles == (document if isinstance(document, list) else [document])


def test_of_many_huge_ones_one_is_read_and_the_others_come_again_while_small_ones_go_on() -> None:
    assert len(HUGE) > LARGE_BYTES
    assert weigh(HUGE) > MOST_LARGE_BYTES
    packed = gzip.compress(HUGE)

    async def read() -> tuple[list[ReadBody | BaseException], ReadBody, ReadBody]:
        reader = Reader()
        many = asyncio.gather(*(reader.read(packed, "gzip") for _ in range(6)), return_exceptions=True)
        await asyncio.sleep(0)
        small = await reader.read(SMALL, "")
        assert not many.done(), "a small one waits for no large one"
        found = await many
        for one in found:
            if isinstance(one, ReadBody):
                one.leave()
        return found, small, await reader.read(packed, "gzip")

    found, small, again = EVENT_LOOP.run(read())
    assert small.profiles == [{"a": 1}]
    taken = [one for one in found if isinstance(one, ReadBody)]
    refused = [one for one in found if isinstance(one, RequestRefused)]
    assert (len(taken), len(refused)) == (1, 5)
    assert {(one.status, one.code, one.retry_after_seconds) for one in refused} == {(503, "overloaded", 2)}
    assert len(again.profiles) == 9_000, "there is room again once it is left"


def test_a_sender_that_gives_up_leaves_its_room() -> None:
    async def read() -> ReadBody:
        reader = Reader()
        first = asyncio.ensure_future(reader.read(HUGE, ""))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        while True:
            try:
                return await reader.read(HUGE, "")
            except RequestRefused:
                await asyncio.sleep(0.01)

    assert len(EVENT_LOOP.run(asyncio.wait_for(read(), 60)).profiles) == 9_000


def test_a_body_that_is_no_profiles_leaves_its_room() -> None:
    async def read() -> None:
        reader = Reader()
        for body in (b"x", b"x" * (LARGE_BYTES + 1), b"," * (LARGE_BYTES + 1)):
            for _ in range(3):
                with pytest.raises(RequestRefused) as refused:
                    await reader.read(body, "")
                assert refused.value.status == 400

    EVENT_LOOP.run(read())
