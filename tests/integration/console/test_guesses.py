"""Who may not see values finds none out by guessing them."""

from __future__ import annotations

import orjson
import pytest
import requests

from app.access.roles import Role
from app.delivery.wakeup import Delivery
from app.destinations import operating
from app.keys import LANES
from app.producer import Producer
from app.reporting.audit import read_acts


def profile(name: str) -> dict[str, object]:
    return {"identityMap": {"contactKey": [{"id": "vip-1"}]}, "person": {"name": {"firstName": name}}}


@pytest.fixture
def delivered(console):
    """A contact whose first name in the account is Zelda."""
    console.connect()
    operating.refresh_fields(console.resources, "camp")
    Producer(console.resources).enqueue("camp", [profile("Zelda") | {"personalEmail": {"address": "vip@mail.test"}}])
    delivery = Delivery(console.resources, wake=lambda *_, **__: None)
    for lane in range(LANES):
        delivery.drain("camp", lane)
    return console


def previews(console) -> list[str]:
    return [
        act.destination
        for _, act in read_acts(console.resources.redis, console.resources.ring)
        if act.what == "preview"
    ]


def api(console, role: Role, name: str) -> dict[str, object]:
    answer = requests.post(
        f"{console.url}/v1/destinations/camp/preview", json={"profiles": [profile(name)]}, timeout=20,
        headers={"authorization": f"Bearer {console.key(role)}"},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    return answer.json()


def page(console, role: Role, name: str) -> str:
    client = console.client(role)
    client.get("/preview")
    answer = client.send_form("/preview", destination="camp", profile=orjson.dumps(profile(name)).decode())
    assert "Profile 1" in answer.text
    return answer.text


@pytest.mark.parametrize("role", [Role.VIEW, Role.ACTIVATE])
def test_a_right_guess_looks_like_a_wrong_one(delivered, role):
    right, wrong = (api(delivered, role, name) for name in ("Zelda", "Wanda"))
    assert right["profiles"][0]["values"][0]["verdict"] == "sent"
    assert (right["outcomes"], right["delivered_counts"]) == (wrong["outcomes"], False)
    assert [one["verdict"] for one in right["profiles"][0]["values"]] == [
        one["verdict"] for one in wrong["profiles"][0]["values"]
    ]
    for name in ("Zelda", "Wanda"):
        text = page(delivered, role, name)
        assert "as if nothing had been delivered" in text
        assert 'data-label="What becomes of it">sent<' in text
    assert previews(delivered) == []


def test_who_may_manage_is_told_and_is_in_the_audit(delivered):
    found = api(delivered, Role.MANAGE, "Zelda")
    assert (found["profiles"][0]["values"][0]["verdict"], found["delivered_counts"]) == ("unchanged", True)
    assert 'data-label="What becomes of it">unchanged<' in page(delivered, Role.MANAGE, "Zelda")
    assert previews(delivered) == ["camp", "camp"]
