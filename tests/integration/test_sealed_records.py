"""Records in a hash, each sealed for its own name."""

import pytest
from redis import Redis

from app.errors import SealBroken
from app.keys import USERS
from app.sealed_records import Resealed, SealedRecords
from app.sealing import KeyRing, make_key

OLD, NEW = make_key(), make_key()


@pytest.fixture
def records(redis: Redis) -> SealedRecords:
    return SealedRecords(redis, KeyRing([OLD]), USERS, "user")


def test_a_change_that_another_overtook_is_made_again_on_what_is_there_by_then(
    redis: Redis, records: SealedRecords
) -> None:
    records.put("ann", b"1")
    overtaken: list[bytes] = []

    def change(clear: bytes | None) -> bytes:
        assert clear is not None
        if not overtaken:
            SealedRecords(redis, KeyRing([OLD]), USERS, "user").put("ann", b"10")
        overtaken.append(clear)
        return b"%d" % (int(clear) + 1)

    assert records.change("ann", change) == b"11"
    assert records.get("ann") == b"11"
    assert overtaken == [b"1", b"10"]


def test_what_a_change_raises_leaves_all_as_it_was(records: SealedRecords) -> None:
    def refuse(clear: bytes | None) -> bytes:
        raise LookupError

    with pytest.raises(LookupError):
        records.change("ann", refuse)
    assert records.raw() == {}


def test_a_record_opens_in_its_own_place_alone(redis: Redis, records: SealedRecords) -> None:
    records.put("ann", b"1")
    redis.hset(USERS, "bob", records.raw()[b"ann"])
    redis.hset(USERS, b"\xff\n", b"rubbish")
    assert records.opening(records.raw()) == ([("ann", b"1")], ["bob", "\\xff\n"])
    assert records.get("bob") is None
    with pytest.raises(SealBroken):
        records.change("bob", lambda clear: clear or b"none")
    other_kind = SealedRecords(redis, KeyRing([OLD]), USERS, "source")
    assert other_kind.get("ann") is None


def test_resealing_takes_all_that_open_and_names_the_others(redis: Redis, records: SealedRecords) -> None:
    records.put("ann", b"1")
    SealedRecords(redis, KeyRing([make_key()]), USERS, "user").put("eve", b"2")
    before = records.raw()
    both = SealedRecords(redis, KeyRing([NEW, OLD]), USERS, "user")
    assert both.reseal() == Resealed(1, ("eve",))
    assert SealedRecords(redis, KeyRing([NEW]), USERS, "user").get("ann") == b"1"
    assert records.raw()[b"eve"] == before[b"eve"]
