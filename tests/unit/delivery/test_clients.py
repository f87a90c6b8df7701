"""Which client a destination has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.delivery.clients import Clients
from tests.unit.mapping.campaign import FIRST_ROW, destination


def make(_: object) -> Any:
    return object()


def test_a_client_is_kept_for_as_long_as_its_destination_is_the_same() -> None:
    clients, one = Clients(make), destination()
    client = clients.of(one)
    assert clients.of(destination()) is client
    assert clients.of(replace(one, id="another")) is not client
    replaced = clients.of(destination(FIRST_ROW))
    assert replaced is not client
    assert clients.of(destination(FIRST_ROW)) is replaced
