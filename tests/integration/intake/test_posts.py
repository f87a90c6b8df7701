"""What may be posted, in every form, and what is answered."""

from __future__ import annotations

import gzip
import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jsonschema
import pytest
import requests

from app.intake.openapi import DOCUMENT
from tests.integration.intake.conftest import Installation, person, wait_until

TWO = [person(1), person(2)]


def lines(profiles: list[Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in profiles)


def fits(answer: Any, name: str) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    jsonschema.validate(answer.json(), schema)
    return True


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        (json.dumps(TWO), {"Content-Type": "application/json"}),
        (json.dumps(TWO), {"Content-Type": "application/vnd.adobe.xdm+json; version=1"}),
        (json.dumps(TWO), {}),
        (json.dumps({"profiles": TWO}), {}),
        (lines(TWO), {"Content-Type": "application/x-ndjson"}),
        (gzip.compress(json.dumps(TWO).encode()), {"Content-Encoding": "gzip"}),
        (zlib.compress(json.dumps(TWO).encode()), {"Content-Encoding": "deflate"}),
        (lines([*TWO[:1], *[{"x": "y" * 200_000}], *TWO[1:]]), {}),
    ],
    ids=["json", "vendor", "no type", "profiles", "ndjson", "gzip", "deflate", "large"],
)
def test_every_form_is_durable_when_it_is_answered(intake: Installation, data: Any, headers: dict[str, str]) -> None:
    answer = intake.post(data=data, headers=headers, query="?parameter1=value&job=j")
    assert answer.status_code == 202
    assert fits(answer, "Accepted")
    assert answer.json() == {"job": "j", "accepted": 2, "excluded": intake.job("j").outcomes["excluded"]}
    assert sorted(one["personalEmail"]["address"] for one in intake.profiles()) == ["c1@mail.test", "c2@mail.test"]


def test_one_object(intake: Installation) -> None:
    assert intake.post(person(1)).json()["accepted"] == 1
    assert intake.profiles() == [person(1)]


def test_chunked(intake: Installation) -> None:
    body = json.dumps(TWO).encode()
    assert intake.post(data=(body[at : at + 7] for at in range(0, len(body), 7))).json()["accepted"] == 2
    assert len(intake.entries()) == 2


def test_a_sender_that_expects_to_be_told_to_go_on(intake: Installation) -> None:
    body = json.dumps(person(1)).encode()
    line = intake.line()
    line.send(intake.head("Expect: 100-continue", f"Content-Length: {len(body)}"))
    assert line.answer().status == 100
    line.send(body)
    assert line.answer().status == 202
    wrong = intake.line()
    wrong.send(intake.head("Expect: 100-continue", "Content-Length: 9000000"))
    assert wrong.answer().status == 413


@pytest.mark.parametrize(("length", "status"), [("0" * 5_000 + "%d", 202), ("0" * 5_000, 400), ("1" + "0" * 18, 413)])
def test_a_length_of_many_digits_is_the_number_it_is(intake: Installation, length: str, status: int) -> None:
    body = json.dumps(person(1)).encode()
    line = intake.line()
    line.send(intake.head(f"Content-Length: {length.replace('%d', str(len(body)))}", "Connection: close"))
    line.send(body if status == 202 else b"")
    assert line.answer().status == status


def test_a_connection_is_kept_and_requests_may_follow_without_waiting(intake: Installation) -> None:
    body = json.dumps(person(1)).encode()
    request = intake.head(f"Content-Length: {len(body)}") + body
    line = intake.line()
    for _ in range(3):
        line.send(request)
        assert line.answer().status == 202
    line.send(request * 3)
    assert [line.answer().status for _ in range(3)] == [202] * 3
    line.send(request.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1))
    assert line.answer().status == 202
    assert line.ended()


@pytest.mark.parametrize("later", [False, True], ids=["in one packet", "body in a later packet"])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_who_asks_for_another_protocol_is_taken_in_this_one(
    intake: Installation, protocol: str, chunked: bool, later: bool
) -> None:
    inner = json.dumps(person(9), indent=1).encode()
    # a body that is a request itself, with a profile that is no line of it
    hidden = intake.head(f"Content-Length: {len(inner)}") + inner
    for body, status in ((json.dumps(person(1)).encode(), 202), (hidden, 400)):
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        head = intake.head(
            "Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAMAAABkAAQ", framing
        )
        sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
        following = intake.head(f"Content-Length: {len(inner)}") + inner
        line = intake.line()
        for _ in range(2):
            line.send(head if later else head + sent + following)
            if later:
                requests.get(f"{intake.url}/livez", timeout=10)  # by its answer the head has been read
                line.send(sent + following)
            assert [line.answer().status for _ in range(2)] == [status, 202]
        line.send(following.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1))
        assert line.answer().status == 202
        assert line.ended()
    assert (
        sorted(one["personalEmail"]["address"] for one in intake.profiles())
        == ["c1@mail.test"] * 2 + ["c9@mail.test"] * 6
    )


def test_one_bad_profile_of_ten_is_counted_and_sinks_no_other(intake: Installation) -> None:
    ten = [*(person(number) for number in range(9)), {"person": {"name": {"firstName": "Nobody"}}}]
    answer = intake.post(ten, query="?job=j")
    assert (answer.status_code, answer.json()) == (202, {"job": "j", "accepted": 9, "excluded": 1})
    job = intake.job("j")
    assert (job.received, job.pending, job.reasons) == (10, 9, {"missing_contact_key": 1})


@pytest.mark.parametrize("form", ["[%s]", '{"profiles": [%s]}', "%s"], ids=["array", "profiles", "lines"])
def test_one_that_is_no_json_is_counted_and_sinks_no_other(intake: Installation, form: str) -> None:
    texts = [r'{"n": "\ud83d"}', json.dumps(person(1)), '{"n": NaN}', json.dumps(person(2)), "junk"]
    answer = intake.post(data=form % ("," if form != "%s" else "\n").join(texts), query="?job=j")
    assert (answer.status_code, answer.json()) == (202, {"job": "j", "accepted": 2, "excluded": 3})
    assert sorted(one["personalEmail"]["address"] for one in intake.profiles()) == ["c1@mail.test", "c2@mail.test"]
    assert intake.job("j").reasons == {"malformed_profile": 3}


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"data": b""}, 400, "no_profiles"),
        ({"data": b"{broken"}, 400, "no_profiles"),
        ({"data": b"[" * 100_000}, 400, "no_profiles"),
        ({"data": b"x", "headers": {"Content-Encoding": "gzip"}}, 400, "broken_encoding"),
        ({"data": b"x", "headers": {"Content-Encoding": "br"}}, 415, "unknown_encoding"),
        ({"data": b"{}", "query": "?backfill=perhaps"}, 400, "wrong_query"),
        ({"data": b"{}", "key": "ak_wrong"}, 401, "unknown_key"),
        ({"data": b"{}", "key": ""}, 401, "unknown_key"),
        ({"data": b"{}", "destination": "other"}, 403, "destination_not_permitted"),
        ({"data": b" " * 8_000_001}, 413, "too_large"),
        ({"data": iter([b" " * 1_000_000] * 9)}, 413, "too_large"),
        ({"data": gzip.compress(bytes(17_000_000)), "headers": {"Content-Encoding": "gzip"}}, 413, "too_large"),
        ({"data": b"[" + b"{}," * 10_000 + b"{}]"}, 413, "too_large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused(intake: Installation, more: dict[str, Any], status: int, code: str) -> None:
    answer = intake.post(**more)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert fits(answer, "Problem")
    assert ("www-authenticate" in answer.headers) is (status == 401)
    assert intake.entries() == []


def test_a_slash_at_the_end_does_no_harm(intake: Installation) -> None:
    answer = requests.post(
        f"{intake.url}/v1/destinations/camp/profiles/?job=j", json=person(1), allow_redirects=False, timeout=10,
        headers={"Authorization": f"Bearer {intake.key}"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()) == (202, {"job": "j", "accepted": 1, "excluded": 0})
    form = {"grant_type": "client_credentials", "client_id": "crm", "client_secret": intake.key}
    answer = requests.post(f"{intake.url}/oauth/token/", data=form, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.json()["token_type"]) == (200, "Bearer")


def test_other_paths_and_methods(intake: Installation) -> None:
    for method, path, status in [
        ("GET", "/v1/destinations/camp/profiles", 405),
        ("GET", "/v1/destinations/camp/profiles/", 405),
        ("POST", "/v1/destinations/camp", 404),
        ("GET", "/livez/", 404),
        ("GET", "/", 404),
        ("GET", "/livez", 200),
        ("GET", "/readyz", 200),
    ]:
        answer = requests.request(method, intake.url + path, timeout=10, allow_redirects=False)
        assert answer.status_code == status
        assert status == 200 or fits(answer, "Problem")
    assert requests.get(f"{intake.url}/openapi.json", timeout=10).json() == DOCUMENT


def test_parameters(intake: Installation) -> None:
    intake.post(person(1), query="?backfill=true&occurred_at=2026-11-22T10:00:00Z&job=load")
    intake.post(person(2))
    old, new = intake.entries()
    assert (old.backfill, old.origin.occurred_at_ms, old.job_id) == (True, 1_795_341_600_000, "load")
    assert not new.backfill
    assert new.job_id.startswith("crm-20")
    assert abs(new.origin.occurred_at_ms - intake.now_ms()) < 60_000


def test_the_time_is_that_of_the_first_byte(intake: Installation) -> None:
    body = json.dumps(person(1)).encode()
    line = intake.line()
    before = intake.now_ms()
    line.send(b"P")
    wait_until(lambda: intake.now_ms() > before + 200, "some time has gone by")
    middle = intake.now_ms()
    line.send(intake.head(f"Content-Length: {len(body)}")[1:])
    wait_until(lambda: intake.now_ms() > middle + 200, "some time has gone by")
    line.send(body)
    assert line.answer().status == 202
    [entry] = intake.entries()
    assert before - 50 <= entry.origin.occurred_at_ms < middle


def test_concurrent_requests_share_an_append(intake: Installation) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda number: intake.post(person(number)).status_code, range(320)))
    assert answers == [202] * 320
    assert len(intake.entries()) == 320
    appends = sum(1 for _ in intake.redis.scan_iter(match="act:{camp}:chunk:intake:*", count=1000))
    assert appends < 320 * 0.7


def test_an_append_is_bounded_by_the_contacts_of_its_profiles(intake: Installation) -> None:
    intake.connect("several", several_identities="all")
    _, key = intake.sources.add("several", ["several"])
    ids = [[{"id": f"{number}-{one}"} for one in range(50)] for number in range(25)]
    body = [{"identityMap": {"contactKey": of_one}} for of_one in ids]
    wait_until(lambda: intake.post(body, key=key, destination="several").status_code == 202, "the source is known")
    assert len(intake.entries("several")) == 25 * 50
    appends = list(intake.redis.scan_iter(match="act:{several}:chunk:*"))
    assert len(appends) == 3  # of ten profiles, ten, and five


def test_nothing_of_a_profile_or_key_is_seen_in_clear(intake: Installation) -> None:
    marked = person(1, first="Markerson")
    intake.post(marked)
    intake.post(data=json.dumps(marked)[:-1], key="ak_Markerson")
    intake.post(marked, query="?job=Marker%0Ason")
    assert "arkerson" not in intake.log
    assert intake.key not in intake.log
    for key in intake.redis.scan_iter(count=1000):
        kept = intake.redis.dump(key) or b""
        assert b"Markerson" not in kept
        assert intake.key.encode() not in kept
