"""The JSON API: keys, roles, what it refuses, and the document that describes it."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest
import requests
from openapi_spec_validator import validate

from app.access.roles import Role
from app.console.operations import OPERATIONS
from app.destinations.file import load
from app.destinations.state import Status
from app.reporting.audit import read_acts
from tests.integration.console.conftest import ALERTS, FILE


@pytest.fixture
def call(console):
    console.connect()

    def call(method, path, role=Role.MANAGE, **more):
        return requests.request(
            method, f"{console.url}{path}", headers={"authorization": f"Bearer {console.key(role)}"}, timeout=20, **more
        )

    return call


def filled(path):
    return path.replace("{destination}", "camp").replace("{job}", "none")


@pytest.mark.parametrize(
    "key", [None, "Bearer", "Bearer act_view_wrong", "Bearer act_nobody_x", "Basic YTpi", "Bearer act_"]
)
def test_without_a_key_that_holds_nothing_is_answered(console, call, key):
    call("GET", "/v1/jobs", Role.VIEW)  # there is a key of this name
    answer = requests.get(
        f"{console.url}/v1/destinations", headers={} if key is None else {"authorization": key}, timeout=20
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_each_operation_asks_for_its_role(call, operation):
    for role in Role:
        answer = call(operation.method, filled(operation.path), role, **({"json": {}} if operation.body else {}))
        assert (answer.status_code == 403) is not role.covers(operation.role), (role, answer.text)
        assert answer.status_code < 500 or answer.status_code == 502, answer.text


def test_a_session_of_a_browser_is_no_key(console):
    console.connect()
    client = console.client(Role.MANAGE)
    assert client.get("/v1/destinations").status_code == 401


def test_a_key_that_was_revoked_holds_no_more(console, call):
    assert call("GET", "/v1/destinations").status_code == 200
    key = console.key(Role.VIEW)
    console.api_keys.revoke("view")
    answer = requests.get(f"{console.url}/v1/jobs", headers={"authorization": f"Bearer {key}"}, timeout=20)
    assert answer.status_code == 401


def test_pausing_and_resuming_is_done_and_written_down(console, call):
    assert call("POST", "/v1/destinations/camp/pause", Role.ACTIVATE).json()["status"] == "paused"
    assert console.resources.states.get("camp").status is Status.PAUSED
    assert call("GET", "/v1/destinations").json()["destinations"][0]["state"]["status"] == "paused"
    assert call("POST", "/v1/destinations/camp/resume", Role.ACTIVATE).json()["status"] == "enabled"
    noted = [(act.who, act.what) for _, act in read_acts(console.resources.redis, console.resources.ring)]
    assert noted == [("key activate", "resume"), ("key activate", "pause")]


def test_who_asks_for_another_protocol_is_heard_in_this_one(console, call):
    """As Java's clients and `curl --http2` ask. The body is a request itself, and must not be read as one."""
    hidden = b"POST /v1/destinations/camp/resume HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
    head = (
        f"POST /v1/destinations/camp/pause HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {console.key(Role.ACTIVATE)}\r\n"
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(hidden)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", console.port), timeout=20) as line:
        line.sendall(head.encode() + hidden + b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b"".join(iter(lambda: line.recv(65_536), b""))
    statuses = [part[:3] for part in said.split(b"HTTP/1.1 ")[1:]]
    assert (statuses, console.resources.states.get("camp").status) == ([b"200", b"401"], Status.PAUSED)


def test_connecting_tests_the_account_first(console, call):
    text = FILE.format(id="second", base=console.base)
    wrong = call("PUT", "/v1/destinations/second", json={"file": text.replace("sandbox-secret", "no")})
    assert wrong.status_code == 400
    assert any("client secret" in problem or "client" in problem for problem in wrong.json()["problems"])
    assert console.resources.destinations.ids() == ["camp"]
    tested = call("PUT", "/v1/destinations/second", json={"file": text, "test_only": True})
    assert (tested.json()["connected"], console.resources.destinations.ids()) == (False, ["camp"])
    assert call("PUT", "/v1/destinations/second", json={"file": text}).json()["connected"] is True
    assert console.resources.destinations.ids() == ["camp", "second"]


def test_the_file_of_a_destination_has_no_secret_and_can_be_connected_again(console, call):
    told = call("GET", "/v1/destinations/camp").json()
    assert "sandbox-secret" not in str(told)
    again = load(told["file"], environ={"SFMC_CLIENT_SECRET": "sandbox-secret"}, allow_local_hosts=True)
    assert again == console.resources.destinations.get("camp")
    sent = call("PUT", "/v1/destinations/camp", json={"file": told["file"], "client_secret": "sandbox-secret"})
    assert sent.status_code == 200, sent.text


def test_alert_channels_are_not_shown_and_stay_when_the_file_comes_back(console, call):
    before = console.connect(more=ALERTS)
    told = call("GET", "/v1/destinations/camp").json()
    assert "unseen" not in str(told)
    body = {"file": told["file"].replace("name: Camp", "name: Other"), "client_secret": "sandbox-secret"}
    assert call("PUT", "/v1/destinations/camp", json=body).status_code == 200
    assert console.resources.destinations.get("camp") == replace(before, name="Other")
    body["file"] = told["file"].replace("webhook: <connected 0>", "webhook: https://evil.test")
    answer = call("PUT", "/v1/destinations/camp", json=body)
    assert (answer.status_code, "unseen" in answer.text) == (400, False)
    (problem,) = answer.json()["problems"]
    assert problem.startswith("alerts[0].secret: stays with the address")


def test_a_file_reads_no_variable_of_the_server(console, call, monkeypatch):
    monkeypatch.setenv("HIDDEN_THING", "of-the-server")
    text = FILE.format(id="camp", base=console.base).replace("name: Camp", "name: ${HIDDEN_THING}")
    answer = call("PUT", "/v1/destinations/camp", json={"file": text})
    assert answer.status_code == 400
    assert "of-the-server" not in answer.text


def test_what_is_enqueued_can_be_followed_and_looked_up(console, call):
    profile = {"identityMap": {"contactKey": [{"id": "c-1"}]}, "person": {"name": {"firstName": "Ann"}}}
    job = call("POST", "/v1/destinations/camp/profiles", Role.ACTIVATE, json={"profiles": [profile, {}]}).json()["job"]
    found = call("GET", f"/v1/jobs/{job}").json()
    assert (found["received"], found["outcomes"]["excluded"], found["pending"]) == (2, 1, 1)
    assert [one["id"] for one in call("GET", "/v1/jobs").json()["jobs"]] == [job]
    contact = call("POST", "/v1/destinations/camp/contact", Role.VIEW, json={"key": "c-1"}).json()
    assert [(one["kind"], one["job_id"]) for one in contact["waiting"]] == [("live", job)]
    assert (
        call("POST", "/v1/destinations/camp/contact", Role.VIEW, json={"key": "c-1", "account": True}).status_code
        == 400
    )


JOB_WRONG = "job: must be 1 to 128 letters, digits and _ . : + -."
TIME_WRONG = "occurred_at: not a time with date, time of day and time zone, like 2026-11-22T10:00:00Z."


@pytest.mark.parametrize(
    ("members", "problems"),
    [
        ({"job": "nightly load 1"}, [JOB_WRONG]),
        ({"job": ""}, [JOB_WRONG]),
        ({"occurred_at": "yesterday"}, [TIME_WRONG]),
        ({"job": "a b", "occurred_at": "2026-11-22T10:00:00"}, [JOB_WRONG, TIME_WRONG]),
    ],
)
def test_what_is_wrong_with_a_job_is_named_by_its_member_and_nothing_is_enqueued(console, call, members, problems):
    profile = {"identityMap": {"contactKey": [{"id": "c-1"}]}}
    answer = call("POST", "/v1/destinations/camp/profiles", json={"profiles": [profile], **members})
    assert (answer.status_code, answer.json()["problems"]) == (400, problems)
    assert call("GET", "/v1/jobs").json() == {"jobs": []}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "key: is missing."),
        ({"key": 7}, "key: must be a text."),
        ({"key": "a", "other": 1}, "other: is unknown here."),
    ],
)
def test_what_does_not_fit_is_named_and_not_quoted(call, body, problem):
    answer = call("POST", "/v1/destinations/camp/contact", json=body)
    assert (answer.status_code, answer.json()["problems"]) == (400, [problem])


def test_a_body_that_is_no_object_is_refused(call):
    assert call("POST", "/v1/destinations/camp/contact", data=b"[1").status_code == 400


def test_the_document_names_every_operation(console):
    document = requests.get(f"{console.url}/openapi.json", timeout=20).json()
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert named == {(one.method, one.path) for one in OPERATIONS}
    assert document["openapi"].startswith("3.1")
    validate(document)
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(ids) == len(set(ids))


def test_disconnecting_says_what_is_lost_and_is_written_down(console, call):
    call("POST", "/v1/destinations/camp/pause")
    call(
        "POST", "/v1/destinations/camp/profiles", json={"profiles": [{"identityMap": {"contactKey": [{"id": "c-1"}]}}]}
    )
    done = call("DELETE", "/v1/destinations/camp")
    assert done.json() == {"connected": False, "lost": {"waiting": 1, "failed": 0}}
    assert console.resources.destinations.ids() == []
    _, act = next(iter(read_acts(console.resources.redis, console.resources.ring)))
    assert (act.who, act.what, act.destination, act.detail) == (
        "key manage",
        "disconnect",
        "camp",
        "1 waiting, 0 failed",
    )
    assert call("DELETE", "/v1/destinations/camp").status_code == 404
    assert call("GET", "/openapi.json").json()["paths"]["/v1/destinations/{destination}"]["delete"]["description"] == (
        "Needs the role `manage`."
    )


def test_segments_are_told_with_namespace_and_days(console, call):
    segment = (
        "  - {id: seg-2, namespace: crm, mapping_id: salesforce_mc_segment_2, start: 2020-01-02, end: 2020-03-04}\n"
    )
    console.connect(more=segment)
    told = call("GET", "/v1/destinations/camp").json()["segments"]
    assert told[1] == {
        "id": "seg-2", "namespace": "crm", "name": "", "mapping_id": "salesforce_mc_segment_2", "start": "2020-01-02",
        "end": "2020-03-04",
    }  # fmt: skip
    assert (told[0]["start"], told[0]["end"]) == (None, None)
    assert call("GET", "/v1/destinations").json()["destinations"][0]["segments"] == told
