"""What pages do: failures that are found, replayed, discarded and exported; contacts; connecting without JavaScript."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape

import orjson
import pytest
import requests

from app.access.roles import Role
from app.alert_kinds import KINDS
from app.console.context import NONE
from app.errors import ContactRefused
from app.ids import KEY_NAME
from app.intake.counts import Counts
from app.intake.sources import SourceStore
from app.keys import AccountKeys, DestinationKeys
from app.lanes.entries import read_fields
from app.lanes.failures import seal_failure
from app.producer import Producer
from app.reporting.alerts import Alert, apply_change, changes
from app.reporting.audit import read_acts
from app.reporting.contact import read_contact
from app.reporting.failure_search import Wanted, find_failures
from tests.integration.console.conftest import ALERTS

LONG = ("too_long", "First Name is too long.")


def profile(key, segment="seg-1"):
    return {
        "identityMap": {"contactKey": [{"id": key}]}, "personalEmail": {"address": f"{key}@mail.test"},
        "segmentMembership": {"ups": {segment: {"status": "realized"}}},
    }  # fmt: skip


@pytest.fixture
def failing(console):
    """Three profiles that wait, each of which has failed as well, as if Marketing Cloud had refused it."""
    console.connect()
    console.resources.states.pause("camp")
    made = console.resources
    Producer(made).enqueue("camp", [profile("c-1"), profile("c-2"), profile("c-3", "seg-2")], job_id="job-1")
    now_ms = made.clock.now_ms()
    for number, (code, text) in enumerate([LONG, LONG, ("bad", "No.")]):
        entry = entry_of(console, f"c-{number + 1}")
        record = seal_failure(
            entry, ContactRefused(text, code=code, remedy="Mend it."), "camp", made.ring, now_ms=now_ms
        )
        made.redis.hset("act:{camp}:failed", f"f{number}", record)
        made.redis.zadd("act:{camp}:failures", {f"f{number}": now_ms})
    return console


def entry_of(console, key):
    """The waiting entry of a contact."""
    lane = read_contact(console.resources, "camp", key).lane
    tag = bytes.fromhex(read_contact(console.resources, "camp", key).tag)
    for entry_id, fields in console.resources.redis.xrange(f"act:{{camp}}:lane:{lane}:live"):
        entry = read_fields(entry_id, fields, backfill=False)
        if entry.origin.tag == tag:
            return entry
    raise AssertionError(key)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (Wanted(), 3), (Wanted(code="too_long"), 2), (Wanted(field="first name"), 2), (Wanted(segment="seg-2"), 1),
        (Wanted(job="job-1"), 3), (Wanted(job="other"), 0), (Wanted(since_ms=1), 3), (Wanted(until_ms=1), 0),
        (Wanted(code="too_long", segment="seg-2"), 0),
    ],
)  # fmt: skip
def test_failures_are_found_by(failing, wanted, count):
    assert len(list(find_failures(failing.resources, "camp", wanted))) == count


def test_a_replay_does_what_was_confirmed_and_no_more(failing):
    client = failing.client(Role.ACTIVATE)
    client.get("/failures")
    asked = client.send_form("/destinations/camp/failures/replay/confirm", code="too_long")
    assert "Replay 2 failed profiles?" in asked.text
    done = client.send_form(
        "/destinations/camp/failures/replay", code="too_long", until_ms=str(failing.resources.clock.now_ms())
    )
    assert "2 are enqueued again" in done.text
    assert [item.code for item in failing.resources.failures("camp").all()] == ["bad"]


def test_what_failed_after_it_was_confirmed_stays(failing):
    client = failing.client(Role.ACTIVATE)
    client.get("/failures")
    client.send_form("/destinations/camp/failures/discard", until_ms="1000")
    assert len(failing.resources.failures("camp")) == 3
    client.send_form("/destinations/camp/failures/discard", until_ms=str(failing.resources.clock.now_ms()))
    assert len(failing.resources.failures("camp")) == 0


def test_an_export_holds_the_profiles_and_is_for_those_who_manage(failing):
    client = failing.client(Role.MANAGE)
    client.get("/failures")
    answer = client.send_form("/destinations/camp/failures/export")
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [line["profile"]["personalEmail"]["address"] for line in lines] == [
        "c-1@mail.test",
        "c-2@mail.test",
        "c-3@mail.test",
    ]
    assert "attachment" in answer.headers["content-disposition"]


def test_no_page_shows_a_value_unasked(failing):
    client = failing.client(Role.MANAGE)
    for path in (
        "/",
        "/destinations/camp",
        "/failures",
        "/destinations/camp/failed/f0",
        "/jobs",
        "/jobs/job-1",
        "/connect?from=camp",
    ):
        answer = client.get(path)
        assert (answer.status_code, "mail.test" in answer.text) == (200, False), path
    viewer = failing.client(Role.VIEW)
    viewer.get("/destinations/camp/failed/f0")
    assert viewer.send_form("/destinations/camp/failed/f0").status_code == 403
    client.get("/destinations/camp/failed/f0")
    assert "c-1@mail.test" in client.send_form("/destinations/camp/failed/f0").text


def test_a_contact_shows_what_waits_and_what_failed(failing):
    client = failing.client(Role.VIEW)
    client.get("/contact")
    text = client.send_form("/contact", destination="camp", key="c-1").text
    assert "job-1" in text
    assert "too_long" in text
    assert "Nothing is known of this contact" in client.send_form("/contact", destination="camp", key="c-9").text
    assert client.send_form("/contact", destination="camp", key="c-1", account="yes").status_code == 403


def test_sources_are_listed_with_what_came_of_them(console):
    SourceStore(console.resources.redis, console.resources.ring).add("crm", ["camp"])
    counts = Counts()
    counts.answered("crm", 202, 0.1, accepted=1234, excluded=5)
    counts.flush(console.resources.redis, 1_700_000_000_000)
    text = console.client(Role.VIEW).get("/jobs").text
    for shown in ("crm", "camp", "1,234", "202: 1", "2023-11-14"):
        assert shown in text


def connect_fields(console, **changes):
    return {
        "id": "new", "name": "New", "account.subdomain": "mctest", "account.client_id": "sandbox-client",
        "account.client_secret": "sandbox-secret", "account.auth_base_url": console.base, "account.rest_base_url": console.base,
        "mapping[0].source": "IdentityMap: contactKey", "mapping[0].target": "Identity: salesforceContactKey",
        "mapping[1].source": "xdm: personalEmail.address", "mapping[1].target": "Attribute: Email Addresses.Email Address",
        **changes,
    }  # fmt: skip


def test_connecting_needs_no_script(console):
    client = console.client(Role.MANAGE)
    client.get("/connect")
    wrong = client.send_form("/connect", do="review", **connect_fields(console, id="Not a slug"))
    assert (wrong.status_code, "must be 1 to 63 of a-z" in wrong.text) == (422, True)
    refused = client.send_form("/connect", do="review", **connect_fields(console, **{"account.client_secret": "wrong"}))
    assert '<div class="note bad">' in refused.text
    assert ">Connect</button>" not in refused.text
    review = client.send_form("/connect", do="review", **connect_fields(console))
    assert "Connect new?" in review.text
    assert "sandbox-secret" not in review.text
    sealed = review.text.partition('name="sealed" value="')[2].partition('"')[0]
    fields = connect_fields(console) | {"account.client_secret": "", "sealed": sealed}
    assert "Connected new." in client.send_form("/connect", do="connect", **fields).text
    assert console.resources.destinations.get("new").account.client_secret == "sandbox-secret"


def test_connecting_takes_one_token(console):
    sandbox = f"{console.base}/_sandbox"
    requests.patch(f"{sandbox}/settings", json={"token_requests_per_window": 1}, timeout=10).raise_for_status()
    client = console.client(Role.MANAGE)
    client.get("/connect")
    tested = client.send_form("/connect", do="test", **connect_fields(console))
    assert "asked too often" not in tested.text
    sealed = tested.text.partition('name="sealed" value="')[2].partition('"')[0]
    fields = connect_fields(console) | {"account.client_secret": "", "sealed": sealed}
    assert "Connect new?" in client.send_form("/connect", do="review", **fields).text
    assert "Connected new." in client.send_form("/connect", do="connect", **fields).text
    calls = requests.get(f"{sandbox}/ledger", timeout=10).json()["calls"]
    assert [call["status"] for call in calls if call["route"] == "token"] == [200]


def test_a_secret_on_its_way_is_of_use_in_no_other_session(console):
    client, other = console.client(Role.MANAGE), console.client(Role.MANAGE)
    client.get("/connect")
    other.get("/connect")
    review = client.send_form("/connect", do="review", **connect_fields(console))
    sealed = review.text.partition('name="sealed" value="')[2].partition('"')[0]
    fields = connect_fields(console) | {"account.client_secret": "", "sealed": sealed}
    assert other.send_form("/connect", do="connect", **fields).status_code == 422
    assert console.resources.destinations.ids() == []


def test_the_secret_of_a_destination_goes_to_no_other_host(console):
    console.connect()
    client = console.client(Role.MANAGE)
    client.get("/connect?from=camp")
    elsewhere = "http://127.0.0.1:9"
    fields = connect_fields(console, id="camp", **{"account.client_secret": ""})
    assert client.send_form("/connect", do="review", **fields).status_code == 200  # to its own
    fields |= {"account.rest_base_url": elsewhere, "account.auth_base_url": elsewhere}
    answer = client.send_form("/connect", do="review", **fields)
    assert answer.status_code == 422
    assert "Give the client secret first" in answer.text


ELSEWHERE = {
    "account.subdomain": "other", "account.client_id": "other-client", "account.auth_base_url": "http://127.0.0.1:9",
    "account.rest_base_url": "http://127.0.0.1:9",
}  # fmt: skip


@pytest.mark.parametrize("field", ELSEWHERE)
@pytest.mark.parametrize("way", ["sealed", "kept"])
def test_a_secret_that_was_not_typed_goes_to_no_other_account(console, field, way):
    console.connect()
    client = console.client(Role.MANAGE)
    page = client.get("/connect?from=camp")
    fields = connect_fields(console, id="camp", **{"account.client_secret": ""})
    if way == "sealed":  # the page of one destination becomes that of another one
        fields |= {"id": "new", "sealed": page.text.partition('name="sealed" value="')[2].partition('"')[0]}
    assert "Give the client secret first" not in client.send_form("/connect", do="test", **fields).text  # to its own
    answer = client.send_form("/connect", do="test", **fields | {field: ELSEWHERE[field]})
    assert "Give the client secret first" in answer.text
    sealed = answer.text.partition('name="sealed" value="')[2].partition('"')[0]
    assert sealed == ""


def sent(page):
    """The form of a page as a browser sends it."""
    form = page.partition('action="/connect" ' if "<textarea" in page else 'action="/connect">')[2]
    found = {name: unescape(value) for name, value in re.findall(r'name="([^"]+)"[^>]*? value="([^"]*)"', form)}
    areas = re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', form, re.DOTALL)
    found |= {name: unescape(text) for name, text in areas}
    return {name: value for name, value in found.items() if name not in ("do", "csrf", "limits_of_account")}


@pytest.mark.parametrize("way", ["edit", "open"])
def test_what_is_edited_keeps_its_alert_channels_and_shows_none_of_them(console, way):
    before = console.connect(more=ALERTS)
    client = console.client(Role.MANAGE)
    page = client.get("/connect?from=camp")
    if way == "open":
        opened = client.send_form("/connect", do="download", **sent(page.text)).text
        assert "unseen" not in opened
        page = client.send_form("/connect", do="open", text=opened)
    assert "&lt;connected 1&gt;" in page.text
    fields = sent(page.text) | {"name": "Other"}
    review = client.send_form("/connect", do="review", **fields)
    assert ("Replace camp?" in review.text, "-name: Camp" in review.text) == (True, True)
    assert "&lt;connected" not in review.text.partition("</pre>")[0]
    assert "Connected camp." in client.send_form("/connect", do="connect", **sent(review.text)).text
    assert console.resources.destinations.get("camp") == replace(before, name="Other")
    assert "unseen" not in page.text + review.text
    checked = client.send_form("/connect/check", **fields)
    assert (checked.json()["others"], "unseen" in checked.text) == ([], False)


def test_channels_that_are_taken_away_stand_in_the_review(console):
    console.connect(more=ALERTS)
    client = console.client(Role.MANAGE)
    fields = sent(client.get("/connect?from=camp").text) | {"alerts_yaml": "- email: <connected 1>"}
    review = client.send_form("/connect", do="review", **fields).text
    assert "-  - webhook: &lt;connected 0&gt;" in review
    assert "-  - email" not in review
    copied = client.send_form("/connect", do="review", **fields | {"id": "copied"})
    assert (copied.status_code, "keeps what is not connected as email" in copied.text) == (422, True)


def test_a_console_with_data_keys_opens_no_account(console, make_console, redis):
    console.connect()
    restricted = make_console(secret_keys=",".join(console.resources.ring.restricted))
    client = restricted.client(Role.MANAGE)
    assert client.get("/destinations/camp").status_code == 200
    assert "holds no key for accounts" in client.get("/connect?from=camp").text
    answer = client.send_form("/connect", do="review", **connect_fields(console))
    assert (answer.status_code, "holds no key for accounts" in answer.text) == (422, True)
    client.get("/contact")
    assert "holds no key for accounts" in client.send_form("/contact", destination="camp", key="c", account="yes").text
    assert client.send_form("/destinations/camp/pause").status_code == 200
    assert console.resources.states.get("camp").status == "paused"


@pytest.mark.parametrize(("used", "stands_still"), [(5, True), (4, False)])
def test_a_year_whose_calls_are_used_up_is_on_both_pages(console, used, stands_still):
    made = console.connect(more="limits: {calls_per_year: 5, stop_at_yearly_quota: true}\n")
    console.resources.redis.hset(AccountKeys(made.account.key).calls, f"y{datetime.now(UTC).year}", used)
    client = console.client(Role.VIEW)
    for path in ("/", "/destinations/camp"):
        text = unescape(client.get(path).text)
        assert ("delivery stands still until the year ends (UTC)." in text) is stands_still
        assert ("then raise limits.calls_per_year in the file" in text) is stands_still


def test_a_destination_that_no_key_opens_is_unreadable_on_both_pages(console, make_console):
    made = make_console()  # with a key of its own
    made.base = console.base
    made.connect()
    client = console.client(Role.VIEW)
    for path in ("/", "/destinations/camp"):
        assert re.findall(r'<span class="state (\w+)">(\w+)</span>', client.get(path).text) == [
            ("unreadable", "unreadable")
        ]


def test_one_failure_is_shown_and_another_is_not_there(failing):
    client = failing.client(Role.VIEW)
    assert "First Name is too long." in client.get("/destinations/camp/failed/f1").text
    assert client.get("/destinations/camp/failed/f9").status_code == 400


def test_the_figures_of_seven_days_are_those_of_the_columns(console):
    console.connect()
    now_hour = console.resources.clock.now_ms() // 3_600_000
    for hour in range(now_hour - 170, now_hour + 1):
        console.resources.redis.hset(DestinationKeys("camp").run(hour), mapping={"received": 1, "delivered": 1})
    text = unescape(console.client(Role.VIEW).get("/destinations/camp?hours=168").text)
    (drawn,) = re.findall(r"([0-9,]+) in all", text)
    assert int(drawn) == now_hour - (now_hour // 24 - 6) * 24 + 1
    assert re.search(rf">Received<[^0-9]*{drawn}<", text), "the same in the table beside it"


def test_the_form_for_a_key_asks_for_the_name_that_is_taken(console):
    page = unescape(console.client(Role.MANAGE).get("/people").text)
    assert f'pattern="{KEY_NAME.pattern}" title="{KEY_NAME.allowed}"' in page


@pytest.mark.parametrize("since", ["\u00b2", "\u0661", "9" * 15, "-1", "now"])
def test_a_time_that_is_none_does_not_end_the_page_of_failures(failing, since):
    answer = failing.client(Role.VIEW).get("/failures", params={"destination": "camp", "since_ms": since})
    assert answer.status_code == 200


def test_the_kinds_of_alerts_stand_beside_their_box(console):
    text = console.client(Role.MANAGE).get("/connect").text
    table = unescape(text.partition('id="kinds"')[2].partition("</table>")[0])
    rows = [[cell for cell in re.split(r"<[^>]+>", row) if cell.strip()] for row in table.split("<tr>")[2:]]
    assert rows == [[name, str(kind.severity), kind.meaning] for name, kind in KINDS.items()]


DATED = """\
  - {id: seg-2, namespace: crm, name: Two, mapping_id: salesforce_mc_segment_2, start: 2020-01-02, end: 2020-03-04}
  - {id: seg-3, name: Three, mapping_id: salesforce_mc_segment_3, start: 2199-01-02, end: 2199-03-04}
  - {id: seg-4, name: Four, mapping_id: salesforce_mc_segment_4, start: 2020-01-02, end: 2199-03-04}
"""


def test_segments_are_shown_with_namespace_and_days(console):
    console.connect(more=DATED)
    run = DestinationKeys("camp").run(console.resources.clock.now_ms() // 3_600_000)
    console.resources.redis.hset(run, "segment:seg-0:realized", 1)
    table = (
        console.client(Role.VIEW).get("/destinations/camp").text.partition('id="segments"')[2].partition("</table>")[0]
    )
    rows = [re.sub(r"<[^>]+>", "|", row) for row in table.split("<tr>")[2:]]
    assert [[cell for cell in row.strip().split("|") if cell][:-3] for row in rows] == [
        ["One", "ups", "salesforce_mc_segment_1", NONE, NONE],
        ["Two", "crm", "salesforce_mc_segment_2", "2020-01-02", "ended 2020-03-04"],
        ["Three", "ups", "salesforce_mc_segment_3", "begins 2199-01-02", "2199-03-04"],
        ["Four", "ups", "salesforce_mc_segment_4", "2020-01-02", "2199-03-04"],
        ["seg-0", "no longer in the file"],
    ]


def test_a_destination_is_disconnected_once_its_id_is_typed(failing):
    client = failing.client(Role.MANAGE)
    assert 'href="/destinations/camp/disconnect"' in client.get("/destinations/camp").text
    asked = client.get("/destinations/camp/disconnect")
    assert "3 waiting and 3 failed profiles will be lost" in asked.text
    for typed in ("", "Camp", "other"):
        wrong = client.send_form("/destinations/camp/disconnect", id=typed)
        assert (wrong.status_code, "Nothing was disconnected." in wrong.text) == (422, True)
    assert failing.resources.destinations.ids() == ["camp"]
    done = client.send_form("/destinations/camp/disconnect", id="camp")
    assert (done.url, "camp is disconnected." in done.text) == (f"{failing.url}/", True)
    assert list(failing.resources.redis.scan_iter("act:{camp}:*")) == []
    _, noted = next(iter(read_acts(failing.resources.redis, failing.resources.ring)))
    assert (noted.what, noted.destination, noted.detail) == ("disconnect", "camp", "3 waiting, 3 failed")
    assert client.get("/destinations/camp/disconnect").status_code == 404


@pytest.mark.parametrize("role", [Role.VIEW, Role.ACTIVATE])
def test_who_does_not_manage_disconnects_nothing(console, role):
    console.connect()
    client = console.client(role)
    assert "/destinations/camp/disconnect" not in client.get("/destinations/camp").text
    assert client.get("/destinations/camp/disconnect").status_code == 403
    assert client.send_form("/destinations/camp/disconnect", id="camp").status_code == 403
    assert console.resources.destinations.ids() == ["camp"]


def test_a_destination_that_no_key_opens_can_be_disconnected(console, make_console):
    made = make_console()  # with a key of its own
    made.base = console.base
    made.connect()
    client = console.client(Role.MANAGE)
    client.get("/destinations/camp/disconnect")
    assert "camp is disconnected." in client.send_form("/destinations/camp/disconnect", id="camp").text


def open_alerts(console, *alerts):
    for change in changes({}, alerts, judged=[], now_ms=1, repeat_ms=1, muted=lambda _: False):
        assert apply_change(console.resources.redis, change, now_ms=1, muted=False, messages=[])


def test_what_is_open_is_told_where_one_looks_first(console):
    console.connect()
    no_worker = Alert("no_worker", "", "No worker takes deliveries.", "Start one: `activation up`.")
    skipped = Alert("skipped_rate", "camp", "7 of 410 profiles of the last hour were excluded.", "Mend them.")
    stopped = Alert("stopped", "camp", "It stands still.", "Mend it.")
    client = console.client(Role.VIEW)
    assert "open</a>" not in client.get("/").text
    open_alerts(console, no_worker, skipped, stopped)
    overview, one = client.get("/").text, client.get("/destinations/camp").text
    assert "No worker takes deliveries.</strong> Start one: <code>activation up</code>." in overview
    assert '<a href="/alerts">3 alerts are open</a>' in overview
    assert skipped.text in one
    assert no_worker.text not in one
    assert stopped.text not in one  # the state says why, in words of its own


def test_a_filter_that_finds_nothing_does_not_say_that_nothing_failed(failing):
    client = failing.client(Role.VIEW)
    page = client.get("/failures?destination=camp&job=other").text
    assert "Nothing failed" not in page
    assert "camp has 3 other failures" in page


def test_what_is_confirmed_names_its_time(failing):
    client = failing.client(Role.ACTIVATE)
    client.get("/failures")
    path = "/destinations/camp/failures/discard/confirm"
    assert re.search(r"failed after [-0-9]+ [:0-9]+ UTC and until now", client.send_form(path, hours="24").text)
    assert "failed until now" in client.send_form(path).text


def test_the_id_of_a_job_that_is_cut_off_shows_it(console):
    console.connect()
    console.resources.states.pause("camp")
    Producer(console.resources).enqueue("camp", [profile("c-1")], job_id="crm-export-of-the-whole-base-0001")
    Producer(console.resources).enqueue("camp", [profile("c-2")], job_id="nightly")
    page = console.client(Role.VIEW).get("/jobs").text
    assert "<code>crm-export-of-the-whole-…</code>" in page
    assert "<code>nightly</code>" in page


def test_an_address_that_leads_nowhere_is_told_on_a_page(console):
    answer = console.client(Role.VIEW).get("/destination/camp")
    assert (answer.status_code, "There is no such page." in answer.text) == (404, True)
    assert 'href="/alerts"' in answer.text
    stranger = console.client()
    assert stranger.get("/nothing").status_code == 404
    assert stranger.get("/v1/nothing").headers["content-type"] == "application/problem+json"
    assert stranger.get("/static/nothing.css").text == "Not Found\n"
    assert stranger.post("/nothing").status_code == 404
