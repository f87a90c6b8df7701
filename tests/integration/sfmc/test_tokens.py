from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.errors import AccountThrottled, CallError, DestinationBroken, DestinationUnreachable
from app.event_loop import EVENT_LOOP
from app.keys import AccountKeys
from app.sfmc.responses import Accepted

BODY = b'{"contactKey":"c-1"}'


def at_once(count, work):
    """Run `work(i)` in `count` threads that start together; results or the exceptions raised, in order."""
    barrier = threading.Barrier(count)

    def one(i):
        barrier.wait(10)
        try:
            return work(i)
        except CallError as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def token_key(clients):
    account = clients.account()
    return AccountKeys(account.key).token(account.client_tag)


def slow_tokens(far, seconds=0.2):
    """Make the token request last, so that all who come together find none."""
    far.rules.append(lambda request: time.sleep(seconds) if request.path == "/v2/token" else None)


def test_many_threads_of_many_clients_ask_for_one_token(far, clients):
    slow_tokens(far)
    clouds = [clients.make() for _ in range(6)]
    results = at_once(24, lambda i: EVENT_LOOP.run(clouds[i % 6].contacts.patch(BODY)))
    assert results == [Accepted("m-1")] * 24
    assert far.token_requests == 1


def test_a_token_at_hand_costs_no_redis_command(redis, clients):
    cloud = clients.make()
    cloud.token()
    before = redis.info("stats")["total_commands_processed"]
    for _ in range(50):
        cloud.token()
    assert redis.info("stats")["total_commands_processed"] - before <= 1  # this INFO itself


def test_a_refused_token_is_replaced_once_for_all(far, clients):
    clouds = [clients.make() for _ in range(4)]
    for cloud in clouds:
        cloud.token()
    far.valid.clear()  # as if revoked
    slow_tokens(far)
    results = at_once(16, lambda i: EVENT_LOOP.run(clouds[i % 4].contacts.patch(BODY)))
    assert results == [Accepted("m-1")] * 16
    assert far.token_requests == 2
    assert {request.bearer for request in far.to("/contacts/v1/contacts")} == {"token-1", "token-2"}


def test_a_fresh_token_that_is_refused_too_breaks_the_destination(far, clients):
    cloud = clients.make()
    far.rules.append(lambda request: (401, {}, b'{"errorcode":0}') if request.path == "/contacts/v1/contacts" else None)
    with pytest.raises(DestinationBroken) as caught:
        EVENT_LOOP.run(cloud.contacts.patch(BODY))
    assert caught.value.code == "token_rejected"
    assert (far.token_requests, len(far.to("/contacts/v1/contacts"))) == (2, 2)


def test_a_token_of_the_wrong_stack_is_replaced(far, clients):
    far.rules.append(lambda request: (403, {}, b'{"errorcode":40002}') if request.bearer == "token-1" else None)
    assert EVENT_LOOP.run(clients.make().contacts.patch(BODY)).request_id == "m-1"
    assert far.token_requests == 2


def test_a_drop_leaves_a_newer_token_alone(redis, clients):
    old, other = clients.make(), clients.make()
    first = old.token().value
    old._tokens.drop(first)
    second = other.token().value
    old._tokens.drop(first)
    assert second != first
    assert redis.exists(token_key(clients))
    assert old.token().value == second


def test_a_lock_whose_holder_died_is_outlived(redis, far, clients):
    account = clients.account()
    lock = AccountKeys(account.key).token_lock(account.client_tag)
    redis.set(lock, b"dead", px=400)
    assert clients.make().token().value == "token-1"
    assert far.token_requests == 1
    assert not redis.exists(lock)


def test_another_ones_lock_is_not_released(redis, far, clients):
    account = clients.account()
    lock = AccountKeys(account.key).token_lock(account.client_tag)
    # while the request is under way its lock expires and goes to another process
    far.rules.append(lambda request: redis.set(lock, b"other", px=60_000) and None)
    clients.make().token()
    assert redis.get(lock) == b"other"


def test_a_lock_lives_as_long_as_a_request_can_last(redis, far, clients):
    account = clients.account()
    lock = AccountKeys(account.key).token_lock(account.client_tag)
    lives = []
    far.rules.append(lambda request: lives.append(redis.pttl(lock)))
    clients.make(read_timeout_seconds=120.0).token()
    assert 2_000 + 30_000 < lives[0] <= 2_000 + 30_000 + 5_000


def test_bad_credentials_are_tried_once_by_all_and_a_mended_secret_at_once(far, clients):
    slow_tokens(far)
    clouds = [clients.make(secret="expired") for _ in range(4)]
    results = at_once(12, lambda i: clouds[i % 4].token())
    assert {(type(error), error.code) for error in results} == {(DestinationBroken, "bad_credentials")}
    assert all(error.remedy for error in results)
    assert far.token_requests == 1
    assert clients.make(secret="secret").token().value == "token-1"
    assert far.token_requests == 2


def test_a_refusal_ends_by_itself(redis, clients):
    with pytest.raises(DestinationBroken):
        clients.make(secret="expired").token()
    assert 25_000 < redis.pttl(token_key(clients) + ":refused") <= 30_000


def test_a_connection_test_asks_anew(far, clients):
    cloud = clients.make(secret="staged")
    with pytest.raises(DestinationBroken):
        cloud.test_connection()
    far.secrets.add("staged")
    assert cloud.test_connection().token.scopes == {"list_and_subscribers_read", "list_and_subscribers_write"}


def test_a_throttled_token_endpoint_is_left_alone_for_as_long_as_it_says(far, clients):
    far.rules.append(
        lambda request: (429, {"Retry-After": "40"}, b'{"errorcode":50100}') if request.path == "/v2/token" else None
    )
    waits = []
    for cloud in (clients.make(), clients.make()):
        with pytest.raises(AccountThrottled) as caught:
            cloud.token()
        waits.append(caught.value.wait_seconds)
    assert far.token_requests == 1
    assert waits[0] == 40
    assert 30 < waits[1] <= 40


@pytest.mark.parametrize("reply", [(500, {}, b"<html>"), (200, {}, b"<html>"), None])
def test_a_token_endpoint_without_an_answer_is_unreachable(far, clients, reply):
    far.rules.append(lambda request: reply or (0, {}, b""))
    results = at_once(6, lambda i: clients.make().token())
    assert {type(error) for error in results} == {DestinationUnreachable}
    assert far.token_requests == 1


def test_a_token_is_renewed_before_its_end_and_never_used_after_it(far, clients):
    far.expires_in = 1.5
    too_late = []

    def note_ended_tokens(request):
        if request.bearer and time.monotonic() > far.ends[request.bearer]:
            too_late.append(request)

    far.rules.append(note_ended_tokens)
    clouds = [clients.make() for _ in range(3)]
    began = time.monotonic()
    while far.granted < 3:
        assert time.monotonic() < began + 20
        for cloud in clouds:
            EVENT_LOOP.run(cloud.contacts.patch(BODY))
    lasted = time.monotonic() - began
    assert not too_late
    assert far.token_requests <= lasted / (1.5 * 0.8) + 1


def test_the_old_token_serves_while_the_next_one_is_refused_but_not_beyond_its_end(far, clients):
    far.expires_in = 1.5
    cloud = clients.make()
    cloud.token()
    far.rules.append(lambda request: (500, {}, b"") if request.path == "/v2/token" else None)
    while far.token_requests < 2:  # the early renewal
        assert time.monotonic() < far.ends["token-1"]
        assert cloud.token().value == "token-1"
    assert EVENT_LOOP.run(cloud.contacts.patch(BODY)).request_id == "m-1"

    def use_it_up():
        while True:
            asked_at = time.monotonic()
            assert cloud.token().value == "token-1"
            assert asked_at < far.ends["token-1"]

    with pytest.raises(DestinationUnreachable):
        use_it_up()
    assert far.token_requests == 2


def test_the_others_use_the_old_token_while_one_renews(far, clients):
    far.expires_in = 2.5
    clouds = [clients.make() for _ in range(3)]
    for cloud in clouds:
        cloud.token()
    release = threading.Event()
    far.rules.append(lambda request: release.wait(10) and None if request.path == "/v2/token" else None)
    with ThreadPoolExecutor(1) as pool:
        renewing = None
        while far.token_requests < 2:
            if renewing is None or renewing.done():
                renewing = pool.submit(clouds[0].token)
            time.sleep(0.01)
        try:
            assert [cloud.token().value for cloud in clouds] == ["token-1"] * 3
        finally:
            release.set()
        assert renewing.result(10).value == "token-2"


def test_no_token_goes_to_a_host_that_the_answer_makes_up(far, redis, clients):
    far.named_url = "https://evil.test/"
    with pytest.raises(DestinationBroken) as caught:
        EVENT_LOOP.run(clients.make().contacts.patch(BODY))
    assert caught.value.code == "foreign_host"
    assert not far.to("/contacts/v1/contacts")
    assert not redis.exists(token_key(clients))


def test_nothing_secret_rests_in_clear(redis, clients):
    with pytest.raises(DestinationBroken):
        clients.make(secret="expired-secret").token()
    clients.make().token()
    rest = b" ".join(redis.dump(key) for key in redis.scan_iter())
    assert rest
    for word in (b"token-1", b"secret", b"client-id", b"invalid_client", b"bad_credentials"):
        assert word not in rest


def test_the_token_request_is_as_documented(far, clients):
    clients.make().token()
    (request,) = far.to("/v2/token")
    assert (request.method, request.bearer) == ("POST", "")
    assert request.headers["content-type"] == "application/json"
    assert request.body == (
        b'{"grant_type":"client_credentials","client_id":"client-id","client_secret":"secret","account_id":"12345"}'
    )


def test_who_gets_the_lock_after_a_refusal_does_not_ask_again(far, clients):
    waiting = clients.make(secret="expired")
    with pytest.raises(DestinationBroken):
        clients.make(secret="expired").token()
    # it had looked before the refusal was noted, and gets the lock right after
    with pytest.raises(DestinationBroken):
        waiting._tokens._renew_locked()
    assert far.token_requests == 1
