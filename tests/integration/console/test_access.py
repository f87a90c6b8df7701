"""Signing in, sessions, roles, and forms that somebody else has made."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from app.access.roles import Role
from app.access.sessions import TRIES_OF_ADDRESS, TRIES_OF_NAME, TRIES_SECONDS
from app.access.users import HASHES_AT_ONCE
from app.console.headers import HEADERS
from app.keys import AUDIT_REFUSED, USERS
from app.reporting import audit
from app.reporting.audit import read_acts
from app.sealing import KeyRing, make_key

PAGES = {
    "/": Role.VIEW, "/destinations/camp": Role.VIEW, "/failures": Role.VIEW, "/contact": Role.VIEW, "/jobs": Role.VIEW,
    "/preview": Role.VIEW, "/alerts": Role.VIEW,
    "/connect": Role.MANAGE, "/audit": Role.MANAGE, "/people": Role.MANAGE, "/destinations/camp/disconnect": Role.MANAGE,
}  # fmt: skip
ACTS = {
    "/destinations/camp/pause": Role.ACTIVATE, "/destinations/camp/resume": Role.ACTIVATE, "/destinations/camp/refresh": Role.ACTIVATE,
    "/destinations/camp/failures/replay": Role.ACTIVATE, "/destinations/camp/failures/discard": Role.ACTIVATE,
    "/destinations/camp/failures/export": Role.MANAGE, "/destinations/camp/disconnect": Role.MANAGE,
    "/alerts/mute": Role.ACTIVATE, "/alerts/unmute": Role.ACTIVATE, "/connect": Role.MANAGE, "/connect/check": Role.MANAGE,
    "/people/add-key": Role.MANAGE, "/people/add-user": Role.MANAGE,
}  # fmt: skip
PASSWORD = "correct horse battery"


def acts(console):
    return [(act.who, act.what) for _, act in read_acts(console.resources.redis, console.resources.ring)]


@pytest.mark.parametrize("path", PAGES)
def test_who_has_not_signed_in_is_led_to_the_form(console, path):
    answer = console.client().get(path, allow_redirects=False)
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/login")


@pytest.mark.parametrize("role", list(Role))
def test_a_role_sees_its_pages_and_no_others(console, role):
    console.connect()
    client = console.client(role)
    for path, needed in PAGES.items():
        assert client.get(path).status_code == (200 if role.covers(needed) else 403), path


@pytest.mark.parametrize("role", [Role.VIEW, Role.ACTIVATE])
def test_a_role_does_nothing_beyond_it(console, role):
    console.connect()
    client = console.client(role)
    client.get("/")
    for path, needed in ACTS.items():
        if not role.covers(needed):
            answer = client.send_form(path, name="mallory", role="manage")
            assert answer.status_code == 403, path
            assert "needs the role" in answer.text
    assert console.resources.states.get("camp").status == "enabled"
    assert console.users.all() == []
    assert console.api_keys.all() == []


@pytest.mark.parametrize("path", [*ACTS, "/logout", "/contact"])
@pytest.mark.parametrize("token", ["", "made-up"])
def test_a_form_without_the_token_of_the_session_does_nothing(console, path, token):
    console.connect()
    client = console.client(Role.MANAGE)
    answer = client.post(
        path, data={"csrf": token, "name": "mallory", "role": "manage", "key": "k", "destination": "camp"}
    )
    assert answer.status_code == 403
    assert "does not belong to your current session" in answer.text
    assert client.get("/").status_code == 200  # still signed in
    assert console.users.all() == []


def test_a_link_signs_in_once_and_only_when_its_button_is_used(console):
    token = console.sessions.make_link("local", Role.MANAGE, asks_password=False)
    prefetcher, first, second = console.client(), console.client(), console.client()
    assert prefetcher.get(f"/link/{token}").status_code == 200
    assert first.post(f"/link/{token}").url == f"{console.url}/"
    assert second.post(f"/link/{token}").status_code == 410
    assert second.get("/", allow_redirects=False).status_code == 303


def test_a_new_user_chooses_a_password_and_signs_in_with_it(console):
    console.users.add("ann", Role.VIEW, now_ms=1)
    token = console.sessions.make_link("ann", Role.VIEW, asks_password=True)
    client = console.client()
    short = client.post(f"/link/{token}", data={"password": "short", "again": "short"})
    assert (short.status_code, "12 to 256 characters" in short.text) == (400, True)
    unlike = client.post(f"/link/{token}", data={"password": PASSWORD, "again": PASSWORD + "x"})
    assert (unlike.status_code, "differ" in unlike.text) == (400, True)
    assert client.post(f"/link/{token}", data={"password": PASSWORD, "again": PASSWORD}).status_code == 200
    other = console.client()
    assert other.post("/login", data={"name": "ann", "password": "wrong"}).status_code == 403
    assert (
        other.post("/login", data={"name": "ann", "password": PASSWORD, "next": "/jobs"}).url == f"{console.url}/jobs"
    )
    assert ("ann", "sign in") in acts(console)


@pytest.mark.parametrize("change", ["role", "password", "removed", "removed and added"])
def test_a_link_ends_with_what_it_was_made_for(console, change):
    console.users.add("bob", Role.MANAGE, now_ms=1)
    token = console.sessions.make_link("bob", Role.MANAGE, asks_password=True)
    match change:
        case "role":
            console.users.add("bob", Role.VIEW, now_ms=2)
        case "password":
            console.users.choose_password("bob", PASSWORD + "2")
        case _:
            console.users.remove("bob")
            if change == "removed and added":
                console.users.add("bob", Role.VIEW, now_ms=2)
    client = console.client()
    assert client.post(f"/link/{token}", data={"password": PASSWORD, "again": PASSWORD}).status_code == 410
    assert client.get("/", allow_redirects=False).status_code == 303


def test_a_session_does_not_come_back_with_another_user_of_the_name(console):
    console.users.add("ann", Role.MANAGE, now_ms=1)
    console.users.choose_password("ann", PASSWORD)
    client = console.client()
    assert client.post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 200
    console.users.remove("ann")
    console.users.add("ann", Role.VIEW, now_ms=2)
    console.users.choose_password("ann", PASSWORD + "2")
    assert client.get("/", allow_redirects=False).status_code == 303


@pytest.mark.parametrize("elsewhere", ["https://evil.test", "//evil.test", "/\\evil.test", "evil"])
def test_signing_in_leads_nowhere_else(console, elsewhere):
    console.users.add("ann", Role.VIEW, now_ms=1)
    console.users.choose_password("ann", PASSWORD)
    answer = console.client().post(
        "/login", data={"name": "ann", "password": PASSWORD, "next": elsewhere}, allow_redirects=False
    )
    assert answer.headers["location"] == "/"


def test_too_many_tries_are_refused_also_with_the_right_password(console):
    console.users.add("ann", Role.VIEW, now_ms=1)
    console.users.choose_password("ann", PASSWORD)
    client = console.client()
    for _ in range(TRIES_OF_NAME):
        assert client.post("/login", data={"name": "ann", "password": "guess"}).status_code == 403
    assert client.post("/login", data={"name": "Ann", "password": PASSWORD}).status_code == 429


def test_who_finds_no_turn_to_sign_in_is_told_when_to_come_again(console):
    console.users.add("ann", Role.VIEW, now_ms=1)
    token = console.sessions.make_link("ann", Role.VIEW, asks_password=True)
    users = console.server.config.app.state.context.users
    client = console.client()
    with ExitStack() as taken:
        for _ in range(HASHES_AT_ONCE):
            taken.enter_context(users._turns.one())
        answers = [
            client.post("/login", data={"name": "ann", "password": PASSWORD}),
            client.post(f"/link/{token}", data={"password": PASSWORD, "again": PASSWORD}),
        ]
    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(429, "2")] * 2
    assert client.post(f"/link/{token}", data={"password": PASSWORD, "again": PASSWORD}).status_code == 200


def test_tries_whose_password_nobody_looked_at_lock_no_name(console):
    console.users.add("ann", Role.VIEW, now_ms=1)
    console.users.choose_password("ann", PASSWORD)
    users = console.server.config.app.state.context.users
    client = console.client()
    with ExitStack() as taken:
        for _ in range(HASHES_AT_ONCE):
            taken.enter_context(users._turns.one())
        for _ in range(TRIES_OF_NAME):
            assert client.post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 429
    assert client.post("/login", data={"name": "ann", "password": PASSWORD}, allow_redirects=False).status_code == 303


def test_tries_are_counted_for_a_time_that_begins_with_the_first(console, redis):
    def tries() -> list[int]:
        return [redis.ttl(key) for key in redis.scan_iter("act:console:tries:*")]

    assert console.sessions.count_try("ann", "192.0.2.1") == "free"
    assert len(tries()) == 2
    for key in redis.scan_iter("act:console:tries:*"):
        redis.expire(key, 100)
    console.sessions.count_try("ann", "192.0.2.1")
    assert all(0 < left <= 100 for left in tries())
    for key in redis.scan_iter("act:console:tries:*"):
        redis.persist(key)  # a count whose end was lost
    console.sessions.count_try("ann", "192.0.2.1")
    assert all(0 < left <= TRIES_SECONDS for left in tries())


def test_refused_tries_drive_nothing_out_of_the_audit(console, monkeypatch):
    monkeypatch.setattr(audit, "KEPT", 1)
    monkeypatch.setattr(audit, "REFUSALS_KEPT", 1)
    redis, ring = console.resources.redis, console.resources.ring
    audit.note_act(redis, ring, audit.Act("eve", "user add", detail="mallory manage"))
    client = console.client()
    for _ in range(250):  # a stream is cut by hundreds
        assert client.post("/login", data={"name": "x", "password": "y"}).status_code in (403, 429)
    found = acts(console)
    assert ("eve", "user add") in found
    assert 0 < found.count(("?", "sign in refused")) <= 50  # a quarter of what is shown
    assert redis.xlen(AUDIT_REFUSED) < 250
    assert read_acts(redis, ring, most=1)[0][1].who == "eve"


@pytest.mark.parametrize("change", ["role", "password", "removed"])
def test_a_session_ends_with_what_it_was_given_for(console, change):
    console.users.add("ann", Role.MANAGE, now_ms=1)
    console.users.choose_password("ann", PASSWORD)
    client = console.client()
    assert client.post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 200
    if change == "role":
        console.users.add("ann", Role.VIEW, now_ms=2)
    elif change == "password":
        console.users.choose_password("ann", PASSWORD + "2")
    else:
        console.users.remove("ann")
    assert client.get("/", allow_redirects=False).status_code == 303


def test_signing_out_ends_the_session_and_not_just_the_cookie(console):
    client = console.client(Role.VIEW)
    client.get("/")
    cookies = client.cookies.copy()
    client.send_form("/logout")
    client.cookies = cookies
    assert client.get("/", allow_redirects=False).status_code == 303


def test_whoever_can_write_to_redis_makes_neither_user_nor_session(console):
    console.users.add("ann", Role.VIEW, now_ms=1)
    redis = console.resources.redis
    redis.hset(USERS, "mallory", redis.hget(USERS, "ann"))  # moved to another name
    redis.hset(USERS, "eve", KeyRing([make_key()]).seal(b"{}", b"user:eve"))
    assert [user.name for user in console.users.all()] == ["ann"]
    client = console.client(Role.VIEW)
    (known,) = redis.keys("act:console:session:*")
    redis.rename(known, b"act:console:session:" + b"0" * 40)
    assert client.get("/", allow_redirects=False).status_code == 303


def test_the_cookie_is_for_the_server_alone(console):
    token = console.sessions.make_link("local", Role.VIEW, asks_password=False)
    cookie = console.client().post(f"/link/{token}", allow_redirects=False).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


@pytest.mark.parametrize("path", ["/login", "/static/console.js", "/nothing", "/openapi.json", "/"])
def test_every_answer_has_the_headers(console, path):
    answer = console.client(Role.VIEW).get(path)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_a_form_that_is_too_large_is_refused(console):
    client = console.client(Role.MANAGE)
    assert client.send_form("/connect", text="x" * 2_100_000).status_code == 413


def test_a_form_of_unknown_length_is_refused(console):
    client = console.client(Role.MANAGE)
    assert client.post("/connect", data=(part for part in [b"csrf=x"])).status_code == 413


def test_errors_are_pages_that_say_what_to_do(console):
    client = console.client(Role.VIEW)
    answer = client.get("/destinations/nothing")
    assert answer.status_code == 404
    assert "is connected" in answer.text
    assert client.get("/jobs/nothing").status_code == 400


@pytest.mark.parametrize("act", ["export", "replay", "discard"])
def test_nothing_is_done_with_failures_of_a_destination_that_there_is_not(console, act):
    console.connect()
    client = console.client(Role.MANAGE)
    client.get("/")
    before = acts(console)
    for path in (f"/destinations/nosuch/failures/{act}", f"/destinations/nosuch/failures/{act}/confirm"):
        assert client.send_form(path).status_code == 404
    assert acts(console) == before


@pytest.mark.parametrize("path", ["/jobs/", "/login/", "/v1/jobs/"])
def test_no_answer_leads_to_the_host_that_a_request_names(console, path):
    answer = console.client().get(path, headers={"host": "evil.test"}, allow_redirects=False)
    assert "evil.test" not in answer.headers.get("location", "")
    assert answer.status_code < 500


@pytest.mark.parametrize(
    "headers", [{"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"origin": "https://evil.test"}]
)
def test_a_page_elsewhere_signs_nobody_in(console, headers):
    console.users.add("mallory", Role.VIEW, now_ms=1)
    console.users.choose_password("mallory", PASSWORD)
    token = console.sessions.make_link("local", Role.MANAGE, asks_password=False)
    client = console.client()
    for path in ("/login", f"/link/{token}"):
        answer = client.post(path, data={"name": "mallory", "password": PASSWORD}, headers=headers)
        assert (answer.status_code, "another page" in answer.text) == (403, True)
    assert not client.cookies
    own = client.post("/login", data={"name": "mallory", "password": PASSWORD}, headers={"origin": console.url})
    assert own.status_code == 200
    assert client.cookies


def test_who_shares_an_address_with_somebody_who_guesses_gets_in(console, redis):
    console.users.add("ann", Role.VIEW, now_ms=1)
    console.users.choose_password("ann", PASSWORD)
    for number in range(TRIES_OF_ADDRESS):
        assert console.sessions.count_try(f"u{number}", "127.0.0.1") == "free"
    assert console.sessions.count_try("another", "127.0.0.1") == "slow"
    assert console.client().post("/login", data={"name": "ann", "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(("proxies", "kept"), [("", 2), ("127.0.0.1", 3)])
def test_a_proxy_that_is_named_tells_the_address(make_console, redis, proxies, kept):
    console = make_console(console_proxies=proxies)
    for address in ("192.0.2.1", "192.0.2.2"):
        answer = console.client().post(
            "/login", data={"name": "ann", "password": "guess"}, headers={"x-forwarded-for": address}
        )
        assert answer.status_code == 403
    assert len(list(redis.scan_iter("act:console:tries:*"))) == kept  # one of the name, the others of addresses
