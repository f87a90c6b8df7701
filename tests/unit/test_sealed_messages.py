"""Messages that only their sender could have written, for one destination."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import UsageError
from app.sealed_messages import derive_key, open_message, seal_message

SECRET, OTHER = b"s" * 32, b"o" * 32
KEY = base64.urlsafe_b64encode(derive_key(SECRET, "crm")).decode()


def sealed(profiles: Any = ({"a": 1},), **options: Any) -> str:
    return seal_message(KEY, "crm", "camp", profiles, sealed_at_ms=7, **options)


def test_it_opens_for_its_destination_with_any_key_of_the_ring() -> None:
    document = open_message(sealed(job_id="j", force=True), "camp", [OTHER, SECRET])
    assert document == {"profiles": [{"a": 1}], "sealed_at": 7, "job_id": "j", "force": True}


@given(st.integers(0, 400), st.integers(1, 255))
def test_nothing_of_it_can_be_changed(place: int, change: int) -> None:
    head, _, content = sealed().rpartition(":")
    raw = bytearray(base64.urlsafe_b64decode(content))
    raw[place % len(raw)] ^= change
    with pytest.raises(UsageError):
        open_message(f"{head}:{base64.urlsafe_b64encode(raw).decode()}", "camp", [SECRET])


@pytest.mark.parametrize(
    "text",
    [
        sealed().replace(":crm:", ":web:"),
        "sealed:1:crm:",
        "sealed:1::" + sealed().rpartition(":")[2],
        "sealed:1:crm:é",
        "sealed:2:" + sealed().removeprefix("sealed:1:"),
        "",
    ],
    ids=["another source", "nothing sealed", "no source", "not ASCII", "another version", "nothing"],
)
def test_what_is_not_as_it_was_sealed_does_not_open(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        open_message(text, "camp", [SECRET])
    assert "crm:" not in str(refused.value)


def test_it_opens_for_no_other_destination_and_with_no_other_key() -> None:
    for destination, secret in (("other", SECRET), ("camp", OTHER)):
        with pytest.raises(UsageError):
            open_message(sealed(), destination, [secret])


def test_a_senders_name_is_a_slug() -> None:
    with pytest.raises(UsageError):
        derive_key(SECRET, "Ann Smith")
