"""Who may send: keys and their rotation, tokens, certificates, limits; and the commands for them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from redis import Redis

from app.acl import ROLES, rule_of
from app.devstack.stack import environment
from app.errors import RequestRefused, SealBroken
from app.event_loop import EVENT_LOOP
from app.intake.admission import Admission
from app.intake.commits import Commits, Post
from app.intake.counts import read_counts
from app.intake.credentials import Proxies
from app.intake.register import Register
from app.intake.sources import SourceStore
from app.keys import INTAKE_COUNTS, SOURCES
from app.sealed_records import Resealed
from app.sealing import KeyRing, make_key
from app.wake_ups import Waker
from tests.commands import run_command
from tests.integration.intake.conftest import Installation, person, wait_until


def token(intake: Installation, *, auth: Any = None, **form: str) -> requests.Response:
    form = {"grant_type": "client_credentials", **form}
    return requests.post(f"{intake.url}/oauth/token?one=parameter", data=form, auth=auth, timeout=10)


def run(intake: Installation, *words: str, code: int = 0) -> str:
    done = run_command(*words, environ=environment(intake.settings, "cli"))
    assert done.exit_code == code, done.stderr
    return done.stdout


def test_a_key_holds_at_once_two_hold_together_and_one_can_be_revoked(intake: Installation) -> None:
    source, first = intake.sources.add("rotating", ["camp"])
    assert intake.post(person(1), key=first).status_code == 202
    _, second = intake.sources.add("rotating", [])
    for key in (first, second):
        assert intake.post(person(1), key=key).status_code == 202
        assert intake.post(person(1), key="", headers={"X-Activation-Key": key}).status_code == 202
    intake.sources.revoke_key("rotating", source.keys[0].id, tokens=False)
    wait_until(lambda: intake.post(person(1), key=first).status_code == 401, "the revoked key holds no more")
    assert intake.post(person(1), key=second).status_code == 202
    intake.sources.revoke("rotating")
    wait_until(lambda: intake.post(person(1), key=second).status_code == 401, "the revoked source may send no more")


def test_an_access_token_in_every_way_that_a_platform_asks_for_it(intake: Installation) -> None:
    _, key = intake.sources.add("oauth", ["camp"])
    answers = [
        token(intake, client_id="oauth", client_secret=key),
        token(intake, auth=("oauth", key)),
        token(intake, auth=("oauth", key.replace("_", "%5F").replace("-", "%2D"))),
        token(intake, grant_type="password", client_id="oauth", client_secret=key, username="oauth", password=key),
        token(intake, grant_type="password", auth=("oauth", key), username="oauth", password=key),
    ]
    for answer in answers:
        assert answer.status_code == 200
        document = answer.json()
        assert (document["token_type"], document["expires_in"]) == ("Bearer", 86_400)
        assert answer.headers["cache-control"] == "no-store"
        assert intake.post(person(1), key=document["access_token"]).status_code == 202
        assert key not in document["access_token"]


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"client_id": "crm", "client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody", "client_secret": "KEY"}, 401, "invalid_client"),
        ({}, 401, "invalid_client"),
        ({"client_id": "crm", "client_secret": "KEY", "grant_type": "implicit"}, 400, "unsupported_grant_type"),
        ({"client_id": "crm", "client_secret": "KEY", "grant_type": "password"}, 400, "invalid_grant"),
        (
            {"client_id": "crm", "client_secret": "KEY", "grant_type": "password", "username": "crm", "password": "x"},
            400, "invalid_grant",
        ),
        ({"client_id": "crm", "client_secret": "K" * 20_000}, 400, "invalid_request"),
    ],
)  # fmt: skip
def test_no_token_for_others(intake: Installation, form: dict[str, str], status: int, error: str) -> None:
    form = {name: intake.key if value == "KEY" else value for name, value in form.items()}
    answer = token(intake, **form)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_a_token_survives_a_restart_and_the_rotation_of_its_key_but_no_revocation(
    make: Callable[..., Installation],
) -> None:
    intake = make()
    intake.start()
    access = token(intake, client_id="crm", client_secret=intake.key).json()["access_token"]
    source, _ = intake.sources.add("crm", [])
    intake.sources.revoke_key("crm", source.keys[0].id, tokens=False)
    intake.restart()
    assert intake.post(person(1), key=intake.key).status_code == 401
    assert intake.post(person(1), key=access).status_code == 202
    assert intake.post(person(1), key=access[:-4] + "AAAA").status_code == 401
    source, _ = intake.sources.add("crm", [])
    intake.sources.revoke_key("crm", source.keys[0].id, tokens=True)
    wait_until(lambda: intake.post(person(1), key=access).status_code == 401, "its tokens end")


def test_a_token_does_not_come_back_with_another_source_of_the_name(intake: Installation) -> None:
    _, key = intake.sources.add("leaked", ["camp"])
    wait_until(lambda: intake.post(person(1), key=key).status_code == 202, "the source is there")
    access = token(intake, client_id="leaked", client_secret=key).json()["access_token"]
    assert intake.post(person(1), key=access).status_code == 202
    intake.sources.revoke("leaked")
    wait_until(lambda: intake.post(person(1), key=access).status_code == 401, "it ends with its source")
    _, key = intake.sources.add("leaked", ["camp"])
    wait_until(lambda: intake.post(person(1), key=key).status_code == 202, "the source is back")
    assert intake.post(person(1), key=access).status_code == 401
    again = token(intake, client_id="leaked", client_secret=key).json()["access_token"]
    assert intake.post(person(1), key=again).status_code == 202


def test_a_source_sends_to_its_own_destinations(intake: Installation) -> None:
    intake.connect("second")
    assert intake.post(person(1), destination="second").status_code == 403
    _, key = intake.sources.add("both", ["camp", "second"])
    for destination in ("camp", "second"):
        assert intake.post(person(1), key=key, destination=destination).status_code == 202
    intake.resources.destinations.remove("second")

    def gone() -> bool:
        answer = intake.post(person(1), key=key, destination="second")
        return answer.status_code == 503 and answer.json()["code"] == "destination_not_connected"

    wait_until(gone, "what is not connected is no fault of the sender")


def test_more_than_it_may_is_429_and_comes_through_later(intake: Installation) -> None:
    _, key = intake.sources.add("limited", ["camp"], profiles_per_second=20)
    answers = [intake.post([person(number) for number in range(10)], key=key) for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert {answer.status_code for answer in answers} == {202, 429}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert len(intake.entries()) == 10 * (20 - len(refused))
    wait_until(lambda: intake.post(person(1), key=key).status_code == 202, "the next second")


def test_a_body_beyond_the_rate_is_taken_and_the_next_waits_until_it_is_paid(intake: Installation) -> None:
    _, key = intake.sources.add("large", ["camp"], profiles_per_second=5)
    people = [person(number) for number in range(100)]
    assert intake.post(people, key=key).status_code == 202
    waits = []
    for _ in range(3):  # what is refused costs nothing
        answer = intake.post(people, key=key)
        assert (answer.status_code, answer.json()["code"]) == (429, "rate_limit")
        waits.append(int(answer.headers["retry-after"]))
    assert 19 >= waits[0] >= waits[1] >= waits[2] > 10
    assert len(intake.entries()) == 100
    intake.sources.add("large", [], profiles_per_second=500)  # the debt is counted in profiles
    wait_until(lambda: intake.post(people, key=key).status_code == 202, "it is paid")


def test_what_redis_took_too_late_is_charged_when_it_comes_again(intake: Installation) -> None:
    """Its sender was told to come again while it was appended."""
    done: list[Post] = []
    commits = Commits(intake.resources, Waker(intake.resources), done.extend)

    class Late(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            late.abandoned = True
            return super().__iter__()

    def post() -> Post:
        return Post("camp", "a-job", b"[]", [], time.monotonic(), source="patient", profiles_per_second=5)

    late, again, more = post(), post(), post()
    late.profiles = Late(person(number) for number in range(100))
    again.profiles = more.profiles = [person(number) for number in range(100)]
    commits.start()
    for each in (late, again, more):
        commits.submit(each)
        wait_until(lambda each=each: each in done, "it has ended")  # type: ignore[misc]
    commits.stop()
    assert (late.error, again.error) == (None, None)
    assert isinstance(more.error, RequestRefused)


def test_a_certificate_as_the_proxy_found_it(intake: Installation) -> None:
    _, key = intake.sources.add("aep", ["camp"], certificates=["AEP.adobe.com"])
    good = {"X-Client-Verify": "SUCCESS", "X-Client-Name": "CN=aep.adobe.com,O=Adobe"}
    assert intake.post(person(1), key=key, headers=good).status_code == 202
    for headers in ({}, {**good, "X-Client-Verify": "NONE"}, {**good, "X-Client-Name": "CN=other"}):
        answer = intake.post(person(1), key=key, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "certificate_needed")
    assert (
        intake.post(person(1), key="", headers=good).status_code == 401
    )  # every tenant of the platform has this certificate


def test_without_a_key_only_from_here_and_when_a_setting_allows(make: Callable[..., Installation]) -> None:
    intake = make(intake_open=True)
    intake.start()
    answer = intake.post(person(1), key="", headers={"Authorization": ""})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert answer.json()["job"].startswith("local-")
    assert (
        intake.post(person(1), key="", headers={"Authorization": "", "X-Forwarded-For": "192.0.2.1"}).status_code == 401
    )
    assert (
        intake.post(person(1), key="", headers={"Authorization": "", "Origin": "http://page.test"}).status_code == 401
    )
    assert intake.post(person(1), key="ak_wrong").status_code == 401


def test_what_needs_no_key_knows_the_hour_from_the_first_request_on(make: Callable[..., Installation]) -> None:
    found = make(intake_open=True).resources
    register = Register(SourceStore(found.redis, found.ring), found.ring, found.clock)
    admission = Admission(register, Proxies.named(""), open_to_local=True)
    EVENT_LOOP.run(admission.source("127.0.0.1", {}, "camp"))
    assert abs(register.now_ms - time.time() * 1000) < 60_000


def test_every_answer_is_counted_for_its_source(intake: Installation) -> None:
    intake.redis.delete(INTAKE_COUNTS)
    _, key = intake.sources.add("counted", ["camp"])
    before_ms = intake.now_ms()
    for document in (person(1), [person(1), {}], [person(1)]):
        intake.post(document, key=key)
    intake.post(data=b"broken", key=key)
    intake.post(person(1), key=key, destination="other")
    intake.post(person(1), key="ak_wrong")
    wait_until(lambda: sum(read_counts(intake.redis).took.values()) >= 6, "the counts are in Redis")
    counted = read_counts(intake.redis)
    ours = counted.sources["counted"]
    assert (ours.answers, ours.accepted, ours.excluded) == ({202: 3, 400: 1, 403: 1}, 3, 1)
    assert before_ms - 1000 <= ours.seen_ms <= intake.now_ms() + 1000
    assert counted.sources["-"].answers == {401: 1}
    assert "was refused" in intake.log
    text = requests.get(f"{intake.url}/metrics", timeout=10).text
    assert 'activation_intake_requests_total{source="counted",status="202"} 3.0' in text
    assert 'activation_intake_requests_total{source="-",status="401"} 1.0' in text
    assert 'activation_intake_profiles_total{outcome="accepted",source="counted"} 3.0' in text


def test_the_commands(intake: Installation) -> None:
    made = json.loads(run(intake, "source", "add", "shop", "--destination", "camp", "--json"))
    assert made["source"] == "shop"
    assert intake.post(person(1), key=made["key"]).status_code == 202
    second = run(intake, "source", "add", "shop", "--destination", "camp").splitlines()[0]
    assert intake.post(person(1), key=second).status_code == 202
    listed = {row["source"]: row for row in json.loads(run(intake, "source", "list", "--json"))["sources"]}
    keys = listed["shop"]["keys"]
    assert len(keys) == 2
    assert listed["shop"]["destinations"] == ["camp"]
    assert made["key"] not in json.dumps(listed)
    assert "shop" in run(intake, "source", "list")
    run(intake, "source", "revoke", "shop", "--key", keys[0]["id"])
    wait_until(lambda: intake.post(person(1), key=made["key"]).status_code == 401, "revoked")
    assert intake.post(person(1), key=second).status_code == 202
    run(intake, "source", "reseal")
    run(intake, "source", "revoke", "shop")
    wait_until(lambda: intake.post(person(1), key=second).status_code == 401, "revoked")
    run(intake, "source", "revoke", "shop", code=2)
    run(intake, "source", "revoke", "crm", "--key", "00000000", code=2)
    run(intake, "source", "revoke", "crm", "--tokens", code=2)
    run(intake, "source", "add", "Not A Name", "--destination", "camp", code=2)
    run(intake, "source", "add", "shop", "--destination", "nowhere", code=2)


def test_nobody_adds_a_source_without_a_sealing_key(intake: Installation) -> None:
    other = SourceStore(intake.redis, KeyRing([make_key()]))
    other.add("intruder", ["camp"])
    _, key = other.add("intruder", ["camp"])
    answer = intake.post(person(1), key=key)
    assert (answer.status_code, answer.json()["code"]) == (503, "sources_locked")
    assert intake.post(person(1)).status_code == 202  # the others go on
    sources, locked = intake.sources.all()
    assert "crm" in [source.name for source in sources]
    assert locked == ["intruder"]
    with pytest.raises(SealBroken):
        intake.sources.add("intruder", ["camp"])
    for command in ("list", "reseal"):
        run(intake, "source", command, code=1)
    assert json.loads(run(intake, "source", "list", "--json", code=1))["locked"] == ["intruder"]
    sealed: Any = intake.redis.hget(SOURCES, "crm")
    intake.redis.hset(SOURCES, "intruder", sealed)  # moved from its place
    assert intake.sources.all()[1] == ["intruder"]
    intake.redis.hdel(SOURCES, "intruder")


def test_reseal_moves_all_to_the_first_key(intake: Installation) -> None:
    old, new = make_key(), make_key()
    with Redis.from_url(intake.settings.redis_url.removesuffix("/0") + "/1") as redis:
        SourceStore(redis, KeyRing([old])).add("crm", ["camp"])
        assert SourceStore(redis, KeyRing([new, old])).reseal() == Resealed(1, ())
        sources, locked = SourceStore(redis, KeyRing([new])).all()
        assert ([source.name for source in sources], locked) == (["crm"], [])


def test_it_runs_with_the_rights_of_its_role_and_opens_no_account(make: Callable[..., Installation]) -> None:
    intake = make()
    admin: Any = intake.redis
    [role] = [role for role in ROLES if role.name == "intake"]
    admin.execute_command("ACL", "SETUSER", *rule_of(role, "pw").split())
    host = intake.settings.redis_url.rpartition("@")[2]
    settings = intake.stack.settings
    intake.stack.settings = type(settings)(
        **{
            **{name: getattr(settings, name) for name in settings.__dataclass_fields__},
            "redis_url": f"redis://intake:pw@{host}",
        }
    )
    _, limited = intake.sources.add("limited", ["camp"], profiles_per_second=1000)
    intake.start()
    environ = environment(intake.stack.settings, "intake")
    assert environ["ACTIVATION_SECRET_KEYS"].startswith("data:")
    for key in (intake.key, limited):
        for document in (person(1), [person(1), {}]):
            assert intake.post(document, key=key).status_code == 202
    assert token(intake, client_id="crm", client_secret=intake.key).status_code == 200
    wait_until(lambda: "crm" in read_counts(intake.redis).sources, "it may count")
    assert requests.get(f"{intake.url}/metrics", timeout=10).status_code == 200
    assert len(intake.entries()) == 4
