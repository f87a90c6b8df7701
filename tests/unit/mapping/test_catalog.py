"""Field definitions as a server may send them."""

from __future__ import annotations

from typing import Any

import pytest

from app.mapping.catalog import DEMOGRAPHICS, parse_definitions


def definition(**changes: Any) -> dict[str, Any]:
    attribute = {"key": "Nick", "name": {"value": "Nick Name"}, "dataType": "Text", "length": 20, **changes}
    return {"key": "EmailDemographics", "name": {"value": DEMOGRAPHICS}, "attributes": [attribute]}


@pytest.mark.parametrize("length", [10**400, float("inf"), float("nan"), 2**31, "9" * 5_000, [], "x"])
def test_what_is_no_length_is_none(length: Any) -> None:
    attributes = parse_definitions([definition(length=length)], fetched_at_ms=0).attributes
    assert attributes[f"{DEMOGRAPHICS}.Nick Name"].length is None


def test_half_a_character_is_left_out() -> None:
    """JSON may hold one; it can be neither written nor named."""
    half = "Nick\ud800"
    catalog = parse_definitions([definition(name={"value": half}, restrictedValues=[half, "x"])], fetched_at_ms=0)
    assert catalog.attributes[f"{DEMOGRAPHICS}.Nick"].restricted_values == ("x",)
    whole_set = definition() | {"key": half}
    assert parse_definitions([whole_set], fetched_at_ms=0).attributes[f"{DEMOGRAPHICS}.Nick Name"].set_key == ""


@pytest.mark.parametrize(
    ("flags", "read_only"),
    [
        ({}, False),
        ({"isUpdateable": None}, False),
        ({"isReadOnly": False, "isUpdateable": True}, False),
        ({"isUpdateable": "true"}, False),
        ({"isReadOnly": False, "isUpdateable": False}, True),
        ({"isUpdateable": "false"}, True),
        ({"isReadOnly": True, "isUpdateable": True}, True),
    ],
)
def test_an_attribute_that_cannot_be_updated_is_read_only(flags: dict[str, Any], read_only: bool) -> None:
    found = parse_definitions([definition(**flags)], fetched_at_ms=0)
    assert found.attributes[f"{DEMOGRAPHICS}.Nick Name"].is_read_only is read_only
