"""What the call of a contact carries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.delivery.plan import Planner, Row
from app.destinations.model import Options
from app.lanes.delivered import UNKNOWN, UNKNOWN_SINCE, Delivered, Order
from app.lanes.merge import Merged, Tags
from app.mapping.catalog import HTML_ENABLED

EMAIL, FIRST = "Email Addresses.Email Address", "Email Demographics.First Name"
HTML = HTML_ENABLED.qualified
BOTH: dict[str, Any] = {EMAIL: "a@mail.test", FIRST: "Ann"}
TAGS = Tags()


def values(html_enabled: Any, held: bytes | None, sent: dict[str, Any], *, post: bool = False) -> dict[str, Any]:
    """`held` is the digest of the address that was delivered."""
    planner = Planner(replace(Options(), html_enabled=html_enabled), EMAIL, b"pepper", TAGS)
    row: Row = {} if held is None else {TAGS[EMAIL]: Delivered(held, Order(1, True, 1, 1))}
    merged = Merged(sent, sent, [0], [], [], {}, row, frozenset(), {})
    return dict(planner.values(merged, row, post=post))


@pytest.mark.parametrize(
    ("html_enabled", "held", "post", "sends"),
    [
        ("first", None, False, True),
        ("first", UNKNOWN, False, True),
        ("first", UNKNOWN_SINCE, False, False),
        ("first", b"digest", False, False),
        ("first", b"digest", True, True),
        ("create", None, False, False),
        ("create", UNKNOWN, False, False),
        ("create", None, True, True),
        ("create", b"digest", True, True),
        ("always", b"digest", False, True),
        ("never", None, False, False),
        ("never", None, True, False),
    ],
)
def test_html_enabled_goes_along_with_an_address(
    html_enabled: str, held: bytes | None, post: bool, sends: bool
) -> None:
    assert values(html_enabled, held, BOTH, post=post).get(HTML) is (True if sends else None)


@pytest.mark.parametrize("html_enabled", ["first", "create", "always", "never"])
def test_html_enabled_never_goes_without_an_address(html_enabled: str) -> None:
    assert values(html_enabled, None, {FIRST: "Ann"}) == {FIRST: "Ann"}


@pytest.mark.parametrize("html_enabled", ["first", "create", "always", "never"])
def test_a_mapped_choice_of_plain_text_goes_before_the_option(html_enabled: str) -> None:
    assert values(html_enabled, None, {**BOTH, HTML: False}, post=True)[HTML] is False


FULL = {EMAIL: "a@mail.test", FIRST: "Ann", HTML: False}


@pytest.mark.parametrize(
    ("send_email", "full", "post", "carries"),
    [
        ("changed", FULL, False, {FIRST}),
        ("changed", FULL, True, {EMAIL, FIRST, HTML}),  # a new contact gets all that is known of it
        ("always", FULL, False, {EMAIL, FIRST}),
        ("always", {FIRST: "Ann"}, False, {FIRST}),
    ],
)
def test_what_goes_along_with_a_change(send_email: Any, full: dict[str, Any], post: bool, carries: set[str]) -> None:
    planner = Planner(Options(send_email=send_email, html_enabled="never"), EMAIL, b"pepper", TAGS)
    merged = Merged({FIRST: "Ann"}, full, [0], [], [], {}, {}, frozenset(), {})
    assert planner.values(merged, {}, post=post) == {name: full[name] for name in carries}


@pytest.mark.parametrize(
    ("without_email", "full", "held", "lacks"),
    [
        ("exclude", {FIRST: "Ann"}, {}, True),
        ("exclude", {FIRST: "Ann"}, {FIRST: UNKNOWN}, True),  # nobody knows whether the contact is there
        ("exclude", {FIRST: "Ann"}, {FIRST: UNKNOWN_SINCE}, False),
        ("exclude", {FIRST: "Ann"}, {FIRST: b"digest"}, False),
        ("exclude", {FIRST: "Ann"}, {EMAIL: UNKNOWN}, False),  # it will be tried again
        ("exclude", BOTH, {}, False),
        ("send", {FIRST: "Ann"}, {}, False),
    ],
)
def test_whether_a_call_lacks_an_address(
    without_email: Any, full: dict[str, Any], held: dict[str, bytes], lacks: bool
) -> None:
    planner = Planner(Options(without_email=without_email), EMAIL, b"pepper", TAGS)
    row = {TAGS[name]: Delivered(digest, Order(1, True, 1, 1)) for name, digest in held.items()}
    assert planner.lacks_email(Merged(full, full, [0], [], [], {}, row, frozenset(), {}), row) is lacks
