"""What becomes of a contact by what its account answers: nothing older replaces what was delivered, and the reason is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pytest

from app.destinations import operating
from app.destinations.state import Status
from app.errors import CallError, ContactUnknown, DestinationBroken, DestinationUnreachable, TransientFailure
from app.event_loop import EVENT_LOOP
from app.keys import LANES
from app.reporting.jobs import read_job
from app.reporting.runs import read_runs
from app.sfmc.responses import judge_contact, judge_read
from tests.integration.lanes.conftest import Bench
from tests.system.rig import profile

NEWER_MS, OLDER_MS = 1_767_400_000_000, 1_767_300_000_000
HTML_ENABLED = "Email Addresses.HTML Enabled"
FIRST = "Email Demographics.First Name"
MISLEADING = "The contact was not updated: the value of Market does not exist in the list."
SEEN_SINCE = {"seg-1": ("realized", "2026-01-03T12:00:00Z")}


def work_off(bench: Bench) -> None:
    for _ in range(3):
        for lane in range(LANES):
            bench.workers[0].drain("camp", lane)


def deliver(bench: Bench, *profiles: dict[str, Any], at_ms: int) -> dict[str, Any]:
    """What the job came to."""
    job = bench.producer.enqueue("camp", profiles, occurred_at=at_ms)
    work_off(bench)
    return dict(read_job(bench.redis, job).outcomes)


def fail_once(bench: Bench, kind: str = "fail", **more: Any) -> None:
    bench.admin("POST", "faults", {"kind": kind, "route": "contacts", "times": 1, **more})


@pytest.mark.parametrize("code", ["InvalidValue", "ValueNotInRestrictedList"])
def test_words_do_not_overrule_the_code_of_a_refusal(bench: Bench, code: str) -> None:
    deliver(bench, profile("c-1", email="a@mail.test", first="New"), at_ms=NEWER_MS)
    fail_once(bench, result_code=code, message=MISLEADING)
    outcomes = deliver(bench, profile("c-1", email="a@mail.test", first="Old", segments=SEEN_SINCE), at_ms=OLDER_MS)
    assert outcomes["failed"] == 1
    assert bench.admin("GET", "contacts")["c-1"][FIRST] == "New"


def test_a_refusal_of_a_contact_without_an_address_is_kept(bench: Bench) -> None:
    fail_once(bench, result_code="InvalidValue", message=MISLEADING)
    outcomes = deliver(bench, profile("c-1", first="Ann"), at_ms=NEWER_MS)
    assert (outcomes["failed"], outcomes["excluded"]) == (1, 0)


@pytest.mark.parametrize("address", ["a@mail.test", None])
def test_words_alone_do_not_make_what_was_delivered_forgotten(bench: Bench, address: str | None) -> None:
    """They say that the contact is unknown, which was delivered before: nothing older replaces a newer value."""
    deliver(bench, profile("c-1", email="a@mail.test", first="New"), at_ms=NEWER_MS)
    fail_once(bench, result_code="OperationFailed", message="The contact does not exist.")
    outcomes = deliver(bench, profile("c-1", email=address, first="Old", segments=SEEN_SINCE), at_ms=OLDER_MS)
    assert outcomes["delivered" if address else "failed"] == 1
    assert bench.admin("GET", "contacts")["c-1"][FIRST] == "New"


@pytest.mark.parametrize("code", [None, "AttributeNotFound", "ChannelAddressRequired"])
def test_nothing_older_is_sent_than_what_was_stored_in_part_whatever_the_reason(bench: Bench, code: str | None) -> None:
    bench.admin("POST", "faults", {"kind": "partial", "times": None, "contact_key": "c-1", "result_code": code})
    outcomes = deliver(bench, profile("c-1", first="New", last="Row", email="a@mail.test"), at_ms=NEWER_MS)
    assert outcomes["failed"] == 1
    bench.admin("DELETE", "faults")
    stored = bench.admin("GET", "contacts")["c-1"]
    assert stored[FIRST] == "New"
    outcomes = deliver(bench, profile("c-1", first="Old"), at_ms=OLDER_MS)
    assert outcomes["superseded"] == 1
    assert bench.admin("GET", "contacts")["c-1"] == stored


@pytest.mark.parametrize("code", ["AttributeNotFound", "ContactNotFound"])
def test_what_was_stored_in_part_is_fenced_before_anything_else_is_asked(bench: Bench, code: str) -> None:
    """The catalog cannot be read again: the session ends before another call."""
    bench.workers[0].mapping(bench.destination)
    fail_once(bench, "partial", result_code=code)
    bench.admin("POST", "faults", {"kind": "server_error", "route": "definitions", "times": None})
    newer = profile("c-1", first="New", last="Row", email="a@mail.test")
    bench.producer.enqueue("camp", [newer], occurred_at=NEWER_MS, backfill=True)
    work_off(bench)
    bench.producer.enqueue("camp", [profile("c-1", first="Old", email="a@mail.test")], occurred_at=OLDER_MS)
    bench.admin("DELETE", "faults")
    operating.resume(bench.resources, "camp")
    work_off(bench)
    calls = [call for call in bench.admin("GET", "ledger?since=0")["calls"] if call["route"] == "contacts"]
    assert not any(b"Old" in orjson.dumps(call["body"]) for call in calls)
    assert bench.admin("GET", "contacts")["c-1"][FIRST] == "New"


def test_what_was_not_answered_of_a_contact_that_is_not_there_keeps_nothing_from_it(bench: Bench) -> None:
    fail_once(bench, "cut_before", contact_key="c-1")
    one = bench.producer.enqueue(
        "camp", [profile("c-1", first="Ann"), profile("c-2", email="b@mail.test")], occurred_at=NEWER_MS
    )
    until_settled(bench, one)
    assert read_job(bench.redis, one).outcomes["excluded"] == 1
    deliver(bench, profile("c-1", email="a@mail.test", first="Bea"), at_ms=OLDER_MS)
    assert bench.admin("GET", "contacts")["c-1"][FIRST] == "Bea"


def test_a_segment_counts_where_its_status_is_written(bench: Bench) -> None:
    """Not where a profile carries one that the contact has already, or that is older."""
    days = [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3)]
    told = [("realized", days[1], "Ann"), ("realized", days[2], "Bea"), ("exited", days[0], "Cia")]
    for moment, (status, at, first) in enumerate(told):
        update = profile("c-1", email="a@mail.test", first=first, segments={"seg-1": (status, at)})
        assert deliver(bench, update, at_ms=NEWER_MS + moment)["delivered"] == 1
    counted = [Counter(run.segments["seg-1"]) for run in read_runs(bench.redis, "camp", hours=2) if run.segments]
    assert sum(counted, Counter()) == {"realized": 1}


def until_settled(bench: Bench, job: str) -> None:
    """What is parked is tried again after a moment."""
    while read_job(bench.redis, job).pending:
        work_off(bench)


def test_a_merged_call_that_was_stored_in_part_is_not_taken_apart_into_older_ones(bench: Bench) -> None:
    older = bench.producer.enqueue("camp", [profile("c-1", first="Old", email="a@mail.test")], occurred_at=OLDER_MS)
    fail_once(bench, "partial")
    deliver(bench, profile("c-1", first="New", email="a@mail.test"), at_ms=NEWER_MS)
    assert read_job(bench.redis, older).outcomes["superseded"] == 1
    sent = [
        value["value"]
        for call in bench.admin("GET", "ledger?since=0")["calls"]
        if call["route"] == "contacts"
        for one in call["body"]["attributeSets"]
        for item in one["items"]
        for value in item["values"]
        if value["name"] == "First Name"
    ]
    assert sent == ["New", "New"]


@pytest.mark.parametrize(("option", "value"), [("html_enabled", "never"), ("create_unknown", False)])
def test_a_contact_that_an_option_keeps_from_being_created_names_it(bench: Bench, option: str, value: Any) -> None:
    bench.admin("PATCH", "settings", {"patch_upserts": False})
    options = replace(bench.destination.options, **{option: value})
    bench.resources.destinations.save(replace(bench.destination, options=options))
    assert deliver(bench, profile("c-1", email="a@mail.test", first="Ann"), at_ms=NEWER_MS)["failed"] == 1
    (failure,) = bench.resources.failures("camp").all()
    assert f"options.{option}" in failure.remedy


@pytest.mark.parametrize(("html_enabled", "keeps"), [("create", True), ("first", False)])
def test_whose_choice_of_plain_text_stays(bench: Bench, html_enabled: Any, keeps: bool) -> None:
    """A contact that was made elsewhere, and one that is made here."""
    bench.admin("PATCH", "settings", {"patch_upserts": False})
    destination = replace(bench.destination, options=replace(bench.destination.options, html_enabled=html_enabled))
    bench.resources.destinations.save(destination)
    plain = {"Email Address": "plain@mail.test", "HTML Enabled": False}
    values = [{"name": name, "value": value} for name, value in plain.items()]
    body = {"contactKey": "c-plain", "attributeSets": [{"name": "Email Addresses", "items": [{"values": values}]}]}
    EVENT_LOOP.run(bench.workers[0].client(destination).contacts.post(orjson.dumps(body)))
    both = [profile(key, email=f"{key}@mail.test", first="Ann") for key in ("c-plain", "c-new")]
    assert deliver(bench, *both, at_ms=NEWER_MS)["delivered"] == 2
    held = bench.admin("GET", "contacts")
    assert held["c-new"][HTML_ENABLED] is True
    assert held["c-plain"][HTML_ENABLED] is not keeps


def test_a_field_that_is_gone_is_found_though_the_account_says_nothing_of_it(bench: Bench) -> None:
    """An account that drops what it does not know answers that all is well; the definitions tell."""
    bench.admin("PATCH", "settings", {"unknown_attribute": "lenient"})
    bench.workers[0].mapping(bench.destination)
    bench.admin("PUT", "attributes", {"remove": ["First Name"]})
    ann = profile("c-1", email="a@mail.test", first="Ann", last="Row")
    assert deliver(bench, ann, at_ms=OLDER_MS)["delivered"] == 1
    assert FIRST not in bench.admin("GET", "contacts")["c-1"]
    assert not operating.try_destination(bench.resources, bench.destination).ok
    operating.refresh_fields(bench.resources, "camp")
    assert deliver(bench, profile("c-1", first="Anna"), at_ms=NEWER_MS)["delivered"] == 0
    state = bench.resources.states.get("camp")
    assert (state.status, state.code) == (Status.STOPPED, "mapping_broken")


def test_names_are_sent_as_the_definitions_spell_them_though_the_account_takes_any_case(bench: Bench) -> None:
    bench.admin("PATCH", "settings", {"name_matching": "case_insensitive"})
    assert deliver(bench, profile("c-1", email="a@mail.test", first="Ann"), at_ms=OLDER_MS)["delivered"] == 1
    assert bench.admin("GET", "contacts")["c-1"][FIRST] == "Ann"
    found = operating.try_destination(bench.resources, bench.connect(mapping_id="SALESFORCE_mc_segment_1"))
    assert not found.ok
    assert "Did you mean 'salesforce_mc_segment_1'?" in str(found.problems)


@pytest.mark.parametrize(
    ("status", "of_a_question", "of_a_contact"),
    [(404, DestinationBroken, ContactUnknown), (596, DestinationUnreachable, TransientFailure)],
)
def test_a_route_that_is_not_there(
    bench: Bench, status: int, of_a_question: type[CallError], of_a_contact: type[CallError]
) -> None:
    """It makes nobody forget what was delivered to a contact."""
    bench.admin("PATCH", "settings", {"unknown_path_status": status})
    client = bench.workers[0].client(bench.destination)
    with pytest.raises(of_a_question, match="a question about the account"):
        client.call("GET", "/contacts/v1/nothing", judge_read)
    with pytest.raises(of_a_contact) as refused:
        EVENT_LOOP.run(client.write("PATCH", "/contacts/v1/nothing", judge_contact, b"{}"))
    assert not getattr(refused.value, "is_sure", False)
