"""A preview says what a delivery then does, to the letter, and leaves no trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from functools import reduce
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from redis import Redis

from app.destinations import catalogs
from app.destinations.file import load
from app.destinations.model import Options
from app.errors import UnknownDestination, UsageError
from app.keys import LANES
from app.reporting.jobs import read_job
from app.reporting.preview import Preview, preview_as_json, preview_profiles
from app.reporting.runs import read_runs
from tests.integration.lanes.conftest import Bench
from tests.system.rig import DESTINATION, SEGMENTS, profile

EMAIL, FIRST = "Email Addresses.Email Address", "Email Demographics.First Name"


@pytest.fixture
def bench(redis_url: str, redis_port: int, sandbox_port: int) -> Iterator[Bench]:
    made = Bench(f"redis://127.0.0.1:{redis_port}/0", sandbox_port)
    reconnect(made)
    yield made
    made.close()


def reconnect(bench: Bench, **options: Any) -> None:
    """Connect the destination with these options, rows with fallbacks and a number, and its fields known."""
    text = DESTINATION.format(
        id="camp", tenant="bench", secret="sandbox-secret", base=bench.base, calls_per_minute=600_000, max_in_flight=8,
        mapping_id=SEGMENTS["seg-1"],
    ).replace(
        'source: "xdm: person.name.firstName"', """source: ["xdm: names[0]", "xdm: person['first name']"]"""
    ).replace(
        "segments:", '  - {source: "xdm: points", target: "Attribute: Email Demographics.Loyalty Points"}\nsegments:'
    )  # fmt: skip
    destination = load(text, environ={}, allow_local_hosts=True, where="camp")
    destination = replace(destination, options=Options(**options))
    bench.resources.destinations.save(destination)
    if bench.resources.catalogs.get("camp") is None:
        client = bench.resources.client(destination)
        catalogs.refresh(destination, client, bench.resources.catalogs, bench.resources.clock.now_ms())


READ = {
    b"string": "get",
    b"hash": "hgetall",
    b"set": "smembers",
    b"list": "lrange",
    b"zset": "zrange",
    b"stream": "xrange",
}


def dump(redis: Redis, pattern: str = "*") -> dict[bytes, tuple[Any, int]]:
    """All of Redis: every key with its value and the time of its end. (DUMP tells hashes apart that hold the same.)"""
    found = {}
    for key in sorted(redis.keys(pattern)):
        kind = redis.type(key)
        more: dict[str, Any] = {
            b"list": {"start": 0, "end": -1},
            b"zset": {"start": 0, "end": -1, "withscores": True},
        }.get(kind, {})
        found[key] = (getattr(redis, READ[kind])(key, **more), redis.pexpiretime(key))
    return found


def deliver(bench: Bench, profiles: list[Any]) -> tuple[dict[str, int], dict[str, int], list[dict[str, Any]]]:
    """Enqueue and drain: the job's outcomes and reasons, and the bodies of the calls that the sandbox received."""
    bench.admin("DELETE", "ledger")
    job = bench.producer.enqueue("camp", profiles)
    while read_job(bench.redis, job).pending:
        for lane in range(LANES):
            bench.workers[0].drain("camp", lane)
    found = read_job(bench.redis, job)
    calls = [call["body"] for call in bench.admin("GET", "ledger?since=0")["calls"] if call["route"] == "contacts"]
    return found.outcomes, found.reasons, calls


def sort(bodies: list[dict[str, Any]]) -> list[str]:
    """Calls in an order that does not depend on the lanes', and values of a set in none."""
    for body in bodies:
        for one in body["attributeSets"]:
            for item in one["items"]:
                item["values"].sort(key=lambda pair: pair["name"])
    return sorted(json.dumps(body, sort_keys=True) for body in bodies)


def codes(preview: Preview) -> dict[str, int]:
    found: dict[str, int] = {}
    for reason, count in preview.reasons.items():
        code = reason.partition("|")[0]
        found[code] = found.get(code, 0) + count
    return found


keys = st.sampled_from([f"c-{number}" for number in range(3)])
identities = st.lists(
    st.builds(lambda key, primary: {"id": key} | ({"primary": True} if primary else {}), keys, st.booleans()),
    max_size=3,
)
texts = st.sampled_from(["Ann", "Bob", "", "x" * 200, "Łukasz"]) | st.none() | st.just(["a", "list"])
moments = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00+0000"])
statuses = st.sampled_from(["realized", "existing", "exited", "pending"])
profiles = st.fixed_dictionaries(
    {"identityMap": st.dictionaries(st.sampled_from(["contactKey", "CONTACTKEY", "ecid"]), identities, max_size=2)},
    optional={
        "personalEmail": st.fixed_dictionaries({"address": st.sampled_from(["a@mail.test", "b@mail.test", "bad", ""])}),
        "names": st.lists(texts, max_size=1),
        "person": st.fixed_dictionaries({}, optional={"first name": texts, "name": st.just({"lastName": "Lee"})}),
        "points": st.sampled_from([1, "2", "", "many", None]),
        "occurredAt": moments | st.just("once"),
        "segmentMembership": st.dictionaries(
            st.sampled_from(["ups", "UPS"]),
            st.dictionaries(
                st.sampled_from(["seg-1", "seg-2", "seg-9"]),
                st.fixed_dictionaries({"status": statuses}, optional={"lastQualificationTime": moments}),
                max_size=2,
            ),
            max_size=1,
        ),
    },
) | st.just("no object")  # fmt: skip
choices = st.fixed_dictionaries(
    {},
    optional={
        "several_identities": st.sampled_from(["exclude", "smallest", "all"]),
        "profiles": st.sampled_from(["partial", "complete"]),
        "invalid_values": st.sampled_from(["leave_out", "exclude"]),
        "clear_nulls": st.booleans(),
        "send_email": st.sampled_from(["always", "changed"]),
        "html_enabled": st.sampled_from(["first", "create", "always", "never"]),
    },
)


def test_what_a_preview_says_is_what_the_account_receives(bench: Bench) -> None:
    """Random profiles, options and histories: the very calls, outcomes and reasons, and not one of anything else."""
    seen: set[str] = set()

    newer = ANN | {"occurredAt": "2026-01-02T00:00:00Z"}

    older = profile("c-1", at="2026-01-01T00:00:00Z", email="b@mail.test")
    several = ANN | {"identityMap": {"contactKey": [{"id": "c-1"}, {"id": "c-2"}]}}

    # without shrinking: an example takes a real delivery
    @settings(
        max_examples=20, deadline=None, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck)
    )
    @example(waves=[[newer, older, several, {}], [newer]], options={})
    @given(waves=st.lists(st.lists(profiles, min_size=1, max_size=6), min_size=1, max_size=3), options=choices)
    def check(waves: list[list[Any]], options: dict[str, Any]) -> None:
        reconnect(bench, without_email="exclude", **options)
        for wave in waves:
            # of the destination alone: the gate of the worker, which is still there, goes on noting the account's pace
            before = dump(bench.redis, bench.keys.everything)
            preview = preview_profiles(bench.resources, "camp", wave, reveal=True)
            assert dump(bench.redis, bench.keys.everything) == before
            outcomes, reasons, calls = deliver(bench, wave)
            assert sort([call.body for call in preview.calls]) == sort(calls)
            assert preview.call_count == len(calls)
            assert preview.outcomes == {name: outcomes[name] for name in preview.outcomes}
            assert codes(preview) == reasons
            assert preview.received == sum(outcomes.values())
            seen.update(name for name, count in outcomes.items() if count)
            seen.update(reasons)

    check()
    assert seen >= {"delivered", "unchanged", "superseded", "excluded", "ambiguous_contact_key", "missing_contact_key"}


ANN = profile("c-1", email="ann@mail.test", segments={"seg-1": ("realized", "2026-01-02T00:00:00Z")})


def test_no_key_of_redis_changes(bench: Bench) -> None:
    deliver(bench, [ANN])
    assert all(worker._gates.wait_until_they_rest(30) for worker in bench.workers)
    before = dump(bench.redis)
    assert len(before) > 10
    found = preview_profiles(bench.resources, "camp", [ANN | {"names": ["Ann"]}, profile("c-2"), "no object"])
    assert found.call_count == 1
    assert dump(bench.redis) == before
    bench.redis.incr("act:{camp}:another")
    assert dump(bench.redis) != before


def test_each_value_says_where_it_is_from_and_what_becomes_of_it(bench: Bench) -> None:
    deliver(bench, [ANN | {"names": ["Ann"]}])
    again = [
        ANN | {"names": [], "person": {"first name": "Anna"}, "points": "many"},
        profile("c-1", segments={"seg-1": ("exited", "2026-01-01T00:00:00Z")}),
        profile("c-2"),
        {"identityMap": {"ECID": [{"id": "4711"}], "ann@mail.test": [{"id": "x"}]}},
    ]
    found = preview_profiles(bench.resources, "camp", again, reveal=True)
    first, second, third, fourth = found.profiles
    assert {value.attribute: (value.value, value.source, value.fallback, value.verdict) for value in first.values} == {
        EMAIL: ("ann@mail.test", "xdm: personalEmail.address", 0, "along"),
        FIRST: ("Anna", "xdm: person['first name']", 1, "sent"),
        "Email Demographics.salesforce_mc_segment_1": (
            "realized", "xdm: segmentMembership.ups.seg-1", 0, "unchanged",
        ),
    }  # fmt: skip
    assert first.left_out == ("mapping[4] Email Demographics.Loyalty Points: is not a whole number",)
    assert (first.contact, first.outcome, first.call) == ("c-1", "delivered", 1)
    assert [value.verdict for value in second.values] == ["superseded"]
    assert (third.outcome, third.reason) == ("excluded", "nothing_mapped")
    assert fourth.reason == "missing_contact_key"
    assert fourth.detail == "identityMap.contactKey; the profile has ecid and what is no namespace's name"
    assert found.call_count == len(found.calls) == 1
    assert found.calls[0].profiles == (1,)
    assert found.share_of_year == 1 / 200_000_000
    assert "segments[1] Email Demographics.salesforce_mc_segment_2" in found.unmatched
    alone = preview_profiles(bench.resources, "camp", again[1:2])
    assert [value.verdict for value in alone.profiles[0].values] == ["older"]


def test_a_status_outside_its_segments_dates_is_not_called_absent(bench: Bench) -> None:
    destination = bench.resources.destinations.get("camp")
    ended, *others = destination.segments
    ended = replace(ended, end=date(2020, 1, 1))
    bench.resources.destinations.save(replace(destination, segments=(ended, *others)))
    place = f"segments[0] {ended.qualified}"
    why = f"{place}: segment seg-1 is outside start/end"
    found = preview_profiles(bench.resources, "camp", [ANN])
    assert found.left_out == {why: 1}
    assert found.profiles[0].left_out == (why,)
    assert place not in found.unmatched
    alone = preview_profiles(
        bench.resources, "camp", [{"identityMap": ANN["identityMap"], "segmentMembership": ANN["segmentMembership"]}]
    )
    assert alone.reasons == {f"nothing_mapped|{why}": 1}
    assert place not in alone.unmatched
    nobody = preview_profiles(bench.resources, "camp", [profile("c-1", email="ann@mail.test")])
    assert place in nobody.unmatched


def test_values_and_contacts_are_masked_unless_revealed(bench: Bench) -> None:
    marked = ANN | {"names": ["Marked"]}
    hidden = json.dumps(preview_as_json(preview_profiles(bench.resources, "camp", [marked])))
    for value in ("c-1", "ann@mail.test", "Marked", "realized"):
        assert value not in hidden
        assert value in json.dumps(preview_as_json(preview_profiles(bench.resources, "camp", [marked], reveal=True)))
    assert "<text of 6>" in hidden
    assert "<contact 1>" in hidden


@pytest.mark.parametrize(
    ("excluded", "reason"),
    [
        (profile("c-1"), "nothing_mapped"),
        (profile("c-1") | {"names": ["x" * 1_000_001]}, "too_large"),
        (profile("c-1") | {"names": reduce(lambda inner, _: [inner], range(300), [])}, "too_deep"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reason_without_a_detail_is_told_to_programs_as_well(bench: Bench, excluded: Any, reason: str) -> None:
    told = orjson.loads(orjson.dumps(preview_as_json(preview_profiles(bench.resources, "camp", [excluded]))))
    assert (told["reasons"], told["profiles"][0]["reason"]) == ({reason: 1}, reason)


def test_the_totals_are_of_all_however_few_are_shown(bench: Bench) -> None:
    many = (profile(f"c-{number}", email="a@mail.test") for number in range(2_345))
    found = preview_profiles(bench.resources, "camp", many, shown=3)
    assert (found.received, found.call_count, len(found.profiles), len(found.calls)) == (2_345, 2_345, 3, 3)


def test_without_fields_or_destination(bench: Bench) -> None:
    with pytest.raises(UnknownDestination):
        preview_profiles(bench.resources, "nowhere", [])
    bench.redis.delete("act:{camp}:catalog")
    bench.resources.catalogs._read.clear()
    with pytest.raises(UsageError, match="not known yet"):
        preview_profiles(bench.resources, "camp", [ANN])


def test_the_runs_name_what_was_left_out_and_which_namespaces_came(bench: Bench) -> None:
    bad = ANN | {"points": "many"}
    ids = [{"identityMap": {"ECID": [{"id": str(n)}], f"a{n}@mail.test": [{"id": "x"}]}} for n in range(3)]
    deliver(bench, [bad, bad, *ids])
    [run] = read_runs(bench.redis, "camp")
    assert run.left_out == {"mapping[4] Email Demographics.Loyalty Points: is not a whole number": 2}
    assert run.reasons == {
        "missing_contact_key|identityMap.contactKey; the profile has ecid and what is no namespace's name": 3
    }  # fmt: skip


def test_a_run_tells_only_so_many_kinds_of_exclusion_apart(bench: Bench) -> None:
    words = [f"{one}{other}" for one in "abcdefghijklm" for other in "abcdefghijklm"]
    deliver(bench, [{"identityMap": {word: [{"id": "x"}]}} for word in words])
    [run] = read_runs(bench.redis, "camp")
    assert sum(run.reasons.values()) == len(words) == run.outcomes["excluded"]
    assert len(run.reasons) == 101
    assert run.reasons["missing_contact_key"] == len(words) - 100
