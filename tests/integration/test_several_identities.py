"""One profile that is several contacts: received, settled and gone on with, each contact for itself."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any
from uuid import UUID

import pytest

from app.errors import StorageRefuses
from app.files.records import Record
from app.lanes.append import MOST_BYTES_OF_CONTACTS
from app.reporting.jobs import read_job
from app.reporting.loads import Load, loaded_before
from app.reporting.runs import read_runs
from tests.integration.lanes.conftest import Bench
from tests.integration.test_preview import ANN, deliver, reconnect
from tests.system.rig import profile


@pytest.fixture
def bench(redis_url: str, redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    reconnect(made, several_identities="all")
    yield made
    made.close()


def with_ids(*ids: Any, **more: Any) -> dict[str, Any]:
    return profile("", email="a@mail.test") | {"identityMap": {"CONTACTKEY": [{"id": one} for one in ids]}} | more


def test_all_contacts_of_a_profile_are_received_and_settled(bench: Bench) -> None:
    several = with_ids(
        "c-3", "c-1", "c-2", segmentMembership=ANN["segmentMembership"], personalEmail=ANN["personalEmail"]
    )
    outcomes, reasons, calls = deliver(bench, [several, ANN])
    assert outcomes == {"delivered": 3, "unchanged": 1, "superseded": 0, "excluded": 0, "failed": 0}
    assert reasons == {}
    assert sorted(call["contactKey"] for call in calls) == ["c-1", "c-2", "c-3"]
    assert read_runs(bench.redis, "camp")[0].received == 4


def test_a_chunk_is_bounded_by_contacts_and_a_call_for_all_can_be_repeated(bench: Bench) -> None:
    several = [with_ids(*(f"{n}-{one}" for one in range(40))) for n in range(30)]
    for _ in range(2):
        bench.producer.enqueue("camp", several, repeat_id="once")
    assert read_job(bench.redis, "once").received == 1_200
    heavy = several[0] | {"person": {"note": "x" * (MOST_BYTES_OF_CONTACTS // 30)}}
    job = bench.producer.enqueue("camp", [heavy])
    assert read_job(bench.redis, job).reasons == {"too_large": 1}


def test_a_call_repeated_under_another_option_loses_none_of_its_profiles(bench: Bench) -> None:
    several = [with_ids(*(f"{n}-{one}" for one in range(40))) for n in range(30)]

    def breaking() -> Iterator[dict[str, Any]]:
        yield from several[:20]
        raise StorageRefuses("It takes no more.", remedy="Wait.")

    with pytest.raises(StorageRefuses):
        bench.producer.enqueue("camp", breaking(), repeat_id="once")
    assert read_job(bench.redis, "once").received == 20 * 40
    reconnect(bench, several_identities="smallest")  # a step holds more profiles from now on
    bench.producer.enqueue("camp", several, repeat_id="once")
    contacts = {fields[b"c"] for lane in range(16) for _, fields in bench.redis.xrange(bench.keys.lane(lane).live)}
    assert len(contacts) == 20 * 40 + 10


class Key(str, Enum):  # noqa: UP042  # whose str() is not its value
    ANN = "c-ann"


def test_ids_are_those_of_the_json_whatever_python_object_gave_them(bench: Bench) -> None:
    several = with_ids("c-1", "c-2")
    several["identityMap"]["CONTACTKEY"] = tuple(several["identityMap"]["CONTACTKEY"])
    one = UUID(int=1)
    profiles = [with_ids(one), with_ids(Key.ANN), several]
    _, reasons, calls = deliver(bench, profiles)
    assert reasons == {}
    assert sorted(call["contactKey"] for call in calls) == [str(one), "c-1", "c-2", "c-ann"]


def test_a_load_goes_on_behind_the_profiles_that_it_has_done_not_behind_their_contacts(bench: Bench) -> None:
    count = 1_200
    load = Load(("file",), "", None, False, False)

    def records(first: int, last: int, *, broken: bool = False) -> Iterator[Record]:
        for number in range(first, last):
            yield Record(number + 1, with_ids(f"{number}-a", f"{number}-b"))
        if broken:
            raise KeyboardInterrupt

    def go_on(first: int, last: int, **more: Any) -> None:
        bench.producer.load(
            "camp",
            records(first, last, **more),
            lambda *_: None,
            job_id="load",
            loaded=first,
            about={"load": load.text},
        )

    with pytest.raises(KeyboardInterrupt):
        go_on(0, 700, broken=True)
    done = loaded_before(bench.redis, "camp", "load", load)
    assert 0 < done.count < 700
    assert read_job(bench.redis, "load").received == 2 * done.count
    go_on(done.count, count)
    assert loaded_before(bench.redis, "camp", "load", load).count == count
    assert read_job(bench.redis, "load").received == 2 * count


def test_what_waits_has_one_contact_whatever_option_holds_by_then(bench: Bench) -> None:
    job = bench.producer.enqueue("camp", [with_ids("c-1", "c-2")])
    reconnect(bench)  # several ids are excluded from now on
    while read_job(bench.redis, job).pending:
        for lane in range(16):
            bench.workers[0].drain("camp", lane)
    assert read_job(bench.redis, job).outcomes["delivered"] == 2
    _, reasons, calls = deliver(bench, [with_ids("c-1", "c-2")])
    assert (reasons, calls) == ({"ambiguous_contact_key": 1}, [])
