"""A test of the credentials: when it requests a token, and when the shared one tells as much."""

from __future__ import annotations

import orjson
import pytest

from app.errors import AccountThrottled, DestinationBroken
from app.event_loop import EVENT_LOOP
from app.keys import AccountKeys
from app.sealing import KeyRing
from app.sfmc.tokens import YOUNG_SECONDS

BOTH = ("list_and_subscribers_read", "list_and_subscribers_write")
TOO_OFTEN = (429, {}, b'{"message":"Your requests are temporarily blocked.","errorcode":50200}')


@pytest.fixture
def key(clients) -> str:
    account = clients.account()
    return AccountKeys(account.key).token(account.client_tag)


@pytest.fixture
def told(clients, monkeypatch) -> list[AccountThrottled]:
    """What the account is told to wait for, by any client."""
    said: list[AccountThrottled] = []
    make = clients.make

    def make_telling(**options):
        cloud = make(**options)
        cloud._when_throttled = lambda error: said.append(error) or 60.0
        return cloud

    monkeypatch.setattr(clients, "make", make_telling)
    return said


def grow_old(redis, key: str, seconds: float = YOUNG_SECONDS + 1) -> None:
    assert redis.pexpire(key, redis.pttl(key) - round(seconds * 1000))


def refuse_tokens(far, reply) -> None:
    far.rules.append(lambda request: reply if request.path == "/v2/token" else None)


def granting(far, scope: str) -> None:
    """Grant tokens of this scope."""

    def grant(request):
        if request.path != "/v2/token":
            return None
        status, headers, body = far._grant(orjson.loads(request.body))
        return status, headers, orjson.dumps(orjson.loads(body) | {"scope": scope})

    far.rules[:] = [grant]


def test_tests_one_after_another_share_a_token_with_the_workers(far, clients):
    worker = clients.make()
    worker.token()
    for _ in range(3):  # connect, its review, check: each a process of its own
        tested = clients.make().test_connection(BOTH)
        assert (tested.token.value, tested.throttled) == ("token-1", None)
    assert far.token_requests == 1
    assert len(far.to("/platform/v1/tokenContext")) == 3


def test_an_operator_can_have_a_new_one(far, clients):
    clients.make().token()
    assert clients.make().test_connection(BOTH, anew=True).token.value == "token-2"


def test_a_changed_secret_is_really_tested(far, clients):
    clients.make().test_connection(BOTH)
    with pytest.raises(DestinationBroken) as caught:
        clients.make(secret="mistyped").test_connection(BOTH)
    assert caught.value.code == "bad_credentials"
    far.secrets.add("staged")
    assert clients.make(secret="staged").test_connection(BOTH).token.value == "token-2"
    assert clients.make(secret="staged").test_connection(BOTH).token.value == "token-2"
    assert far.token_requests == 3


def test_an_older_token_hides_no_secret_that_has_ended(far, redis, key, clients):
    clients.make().test_connection(BOTH)
    far.secrets.clear()
    assert clients.make().test_connection(BOTH).token.value == "token-1"  # as the documentation says
    grow_old(redis, key)
    with pytest.raises(DestinationBroken) as caught:
        clients.make().test_connection(BOTH)
    assert caught.value.code == "bad_credentials"


def test_a_refusal_that_was_noted_is_looked_into(far, redis, key, clients):
    clients.make().test_connection(BOTH)
    far.secrets.clear()
    with pytest.raises(DestinationBroken):
        clients.make().test_connection(BOTH, anew=True)
    assert redis.exists(key)
    far.secrets.add("secret")
    assert clients.make().test_connection(BOTH).token.value == "token-2"


@pytest.mark.parametrize("before", ["list_and_subscribers_read", "email_read", ""])
def test_a_token_that_lacks_a_scope_is_replaced(far, clients, before):
    granting(far, before)
    assert clients.make().test_connection(BOTH).token.scopes == frozenset(before.split())
    granting(far, " ".join(BOTH))
    assert clients.make().test_connection(BOTH).token.scopes == frozenset(BOTH)
    assert clients.make().test_connection(BOTH).token.value == "token-2"


def test_a_token_that_was_revoked_is_found_by_the_call(far, clients):
    clients.make().test_connection(BOTH)
    far.valid.clear()
    assert clients.make().test_connection(BOTH).token.value == "token-2"
    far.valid.clear()
    far.secrets.clear()
    with pytest.raises(DestinationBroken) as caught:
        clients.make().test_connection(BOTH)
    assert caught.value.code == "bad_credentials"


def test_a_token_of_an_earlier_build_says_nothing_of_its_secret(far, redis, key, clients):
    clients.make().token()
    ring, purpose = KeyRing([clients.key]), b"token:" + clients.account().client_tag.encode()
    kept = orjson.loads(ring.open(redis.get(key), purpose))
    del kept["secret"]
    redis.set(key, ring.seal(orjson.dumps(kept), purpose), keepttl=True)
    assert clients.make().token().value == "token-1"
    assert clients.make().test_connection(BOTH).token.value == "token-2"


def test_while_the_endpoint_is_asked_too_often_the_token_in_use_is_tested(far, redis, key, clients, told):
    clients.make().token()
    refuse_tokens(far, TOO_OFTEN)
    grow_old(redis, key)
    for _ in range(2):
        tested = clients.make().test_connection(BOTH)
        assert tested.token.value == "token-1"
        assert isinstance(tested.throttled, AccountThrottled)
    assert far.token_requests == 2  # the second test finds the refusal noted
    assert told == []
    assert EVENT_LOOP.run(clients.make().contacts.patch(b'{"contactKey":"c-1"}')).request_id == "m-1"


@pytest.mark.parametrize("wanted", [{"secret": "staged"}, {"anew": True}])
def test_a_throttled_request_for_a_new_token_ends_the_test_and_holds_nobody(far, clients, told, wanted):
    worker = clients.make()
    worker.token()
    far.secrets.add("staged")
    refuse_tokens(far, TOO_OFTEN)
    with pytest.raises(AccountThrottled):
        clients.make(secret=wanted.get("secret", "secret")).test_connection(BOTH, anew=wanted.get("anew", False))
    assert told == []
    assert clients.make().token().value == "token-1"


def test_without_a_token_at_hand_a_throttled_test_is_noted_for_who_needs_one(far, clients, told):
    refuse_tokens(far, TOO_OFTEN)
    with pytest.raises(AccountThrottled):
        clients.make().test_connection(BOTH)
    assert told == []
    with pytest.raises(AccountThrottled) as caught:
        EVENT_LOOP.run(clients.make().contacts.patch(b'{"contactKey":"c-1"}'))
    assert caught.value.wait_seconds > 50
    assert far.token_requests == 1
