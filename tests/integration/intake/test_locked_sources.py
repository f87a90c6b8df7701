"""A source whose record no key opens: what it sends is asked to come again, and nothing of it is refused for good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from app.intake.sources import SourceStore
from app.keys import SOURCES
from app.sealing import KeyRing, make_key
from tests.integration.intake.conftest import Installation, person, wait_until


def ask_token(intake: Installation, name: str, key: str) -> requests.Response:
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": key}
    return requests.post(f"{intake.url}/oauth/token", data=form, timeout=10)


def code_of(intake: Installation, key: str) -> tuple[int, str]:
    answer = intake.post(person(1), key=key)
    assert answer.status_code != 503 or answer.headers["retry-after"].isdigit()
    return answer.status_code, "" if answer.ok else answer.json()["code"]


@pytest.fixture
def locked(intake: Installation) -> Iterator[dict[str, str]]:
    """Keys and tokens of `shop`, whose record was sealed anew with a key that is not known here, and of `gone`, which was revoked."""
    made = {}
    for name in ("shop", "gone"):
        _, made[name] = intake.sources.add(name, ["camp"])
        wait_until(lambda key=made[name]: code_of(intake, key)[0] == 202, "its key holds")
        made[f"token of {name}"] = ask_token(intake, name, made[name]).json()["access_token"]
    intake.sources.revoke("gone")
    foreign = SourceStore(intake.redis, KeyRing([make_key()]))
    intake.redis.hdel(SOURCES, "shop")
    foreign.add("shop", ["camp"])
    wait_until(lambda: code_of(intake, made["token of shop"])[0] != 202, "the new record was read")
    yield made
    intake.redis.hdel(SOURCES, "shop")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("shop", (503, "sources_locked")),
        ("token of shop", (503, "sources_locked")),
        ("ak_unknown", (503, "sources_locked")),  # it may be one of the source that does not open
        ("at_" + "A" * 80, (503, "sources_locked")),  # it may be sealed with the key that is missing
        ("token of gone", (401, "unknown_key")),  # a token names its source, and that one is not locked
        ("k" * 5_000, (401, "unknown_key")),
        ("", (401, "unknown_key")),
    ],
)
def test_what_may_be_of_a_locked_source_is_asked_to_come_again(
    intake: Installation, locked: dict[str, str], key: str, expected: tuple[int, str]
) -> None:
    assert code_of(intake, locked.get(key, key)) == expected
    assert code_of(intake, intake.key) == (202, "")  # the others go on


def test_no_token_for_a_locked_source_until_its_record_opens(intake: Installation, locked: dict[str, str]) -> None:
    answer = ask_token(intake, "shop", locked["shop"])
    assert (answer.status_code, answer.json()) == (503, {"error": "temporarily_unavailable"})
    assert answer.headers["retry-after"].isdigit()
    assert ask_token(intake, "gone", locked["gone"]).status_code == 401
    assert ask_token(intake, "crm", intake.key).status_code == 200


def test_when_all_records_open_again_an_unknown_key_is_refused(intake: Installation, locked: dict[str, str]) -> None:
    intake.sources.revoke("shop")
    wait_until(lambda: code_of(intake, locked["shop"]) == (401, "unknown_key"), "nothing is locked")
