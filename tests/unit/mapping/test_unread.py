"""Columns that a destination does not read: which they are, and what was meant."""

from __future__ import annotations

import pytest

from app.destinations.model import Consent, Segment
from app.files.columns import Column, Columns
from app.mapping.unread import MOST_NAMED, tell_unread
from tests.unit.mapping.campaign import FIRST_ROW, destination, row

KEY, EMAIL = "identityMap.contactKey", "personalEmail.address"
CRM = row("crm", "Last Name", kind="identity")
SEGMENTS = (Segment("7841ba61", "renters"), Segment("b.2", "owners", namespace="aam"))


def told(header: list[str], given: dict[str, Column] | None = None) -> list[str]:
    consent = Consent(("consents", "marketing"), ("y",))
    to = destination(
        FIRST_ROW, CRM, row("tags[1]", "Since"), row("x", "Points", kind="const"), segments=SEGMENTS, consent=consent
    )
    return tell_unread(Columns(header, given).places, to)


@pytest.mark.parametrize(
    "column",
    [
        KEY, "identityMap.CONTACTKEY", "identityMap.CRM", "identityMap", "xdm:identityMap.crm", EMAIL, "person", "person.name",
        "person.name.firstName", "xdm:person.xdm:name", "person.name.firstName.first", "segmentMembership", "segmentMembership.ups",
        "segmentMembership.UPS.7841ba61", "segmentMembership.ups.7841ba61.status", "segmentMembership.aam.b.2", "occurredAt",
        "consents.marketing", "tags",
    ],
)  # fmt: skip
def test_what_is_read(column: str) -> None:
    assert told([column]) == []


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("mail", EMAIL),
        ("E-Mail", EMAIL),
        ("personalEmail.adress", EMAIL),
        ("PERSONALEMAIL.ADDRESS", EMAIL),
        ("first_name", "person.name.firstName"),
        ("person.name.firstname", "person.name.firstName"),
        ("occurred_at", "occurredAt"),
        ("tags[2]", None),
        ("crm", "identityMap.crm"),
        ("identityMap.contact", KEY),
        ("x", None),
        ("Price [EUR]", None),
        ("segmentMembership.ups.7841ba62", None),  # another audience, not a misspelt one
    ],
)
def test_what_is_not_and_what_was_meant(column: str, meant: str | None) -> None:
    hint = f"; did you mean {meant!r}?" if meant else ""
    header = ["tags[0]", "tags[1]", column] if column == "tags[2]" else [column]
    expected = [f"column {column!r} is read by nothing{hint}"]
    assert [text for text in told(header) if repr(column) in text] == expected


def test_what_another_column_holds_was_not_meant() -> None:
    assert told([EMAIL, "mail"]) == ["column 'mail' is read by nothing"]


def test_a_column_that_a_file_sends_elsewhere_is_told_with_its_place() -> None:
    given = {"mail": Column("personalEmail.adress"), "key": Column(KEY)}
    assert told(["key", "mail", "left out"], given) == [
        "column 'mail' goes to 'personalEmail.adress', which nothing reads; did you mean 'personalEmail.address'?"
    ]


def test_of_many_the_first_are_named() -> None:
    texts = told([f"q{number}" for number in range(MOST_NAMED + 1_234)])
    assert len(texts) == MOST_NAMED + 1
    assert texts[0] == "column 'q0' is read by nothing"
    assert texts[-1] == "and 1,234 more"
