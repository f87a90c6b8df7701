"""A small destination with its catalog, and profiles for it."""

from __future__ import annotations

from typing import Any

from app.destinations.model import Account, Destination, MappingRow, Options, Segment, Source, Target
from app.mapping.catalog import EMAIL_ADDRESS, HTML_ENABLED, Attribute, Catalog
from app.mapping.compiled import compile_mapping
from app.mapping.update import ContactUpdate, Excluded

NOW = 1_795_341_600_000  # 2026-11-22T10:00:00Z
EARLIER, EARLIER_TEXT = NOW - 3_600_000, "2026-11-22T09:00:00Z"
LATER_TEXT = "2026-11-22T11:00:00Z"
ARRIVED = NOW - 1_000

DEMOGRAPHICS = "Email Demographics"
EMAIL = "Email Addresses.Email Address"
FIRST, POINTS, MEMBER_SINCE = f"{DEMOGRAPHICS}.First Name", f"{DEMOGRAPHICS}.Points", f"{DEMOGRAPHICS}.Since"
RENTERS, OWNERS = f"{DEMOGRAPHICS}.renters", f"{DEMOGRAPHICS}.owners"


def attribute(name: str, data_type: str = "Text", **more: Any) -> Attribute:
    return Attribute(DEMOGRAPHICS, "EmailDemographics", name, name.replace(" ", ""), data_type, **more)


CATALOG = Catalog.of(
    [
        attribute("First Name", length=20),
        attribute("Points", "Number", is_nullable=False),
        attribute("Since", "Date"),
        attribute("renters", length=254),
        attribute("owners", length=254),
        EMAIL_ADDRESS,
        HTML_ENABLED,
    ],
    fetched_at_ms=0,
)
ACCOUNT = Account("mcdemo", "client", "secret", None, "https://auth.test", "https://rest.test")
KEY_ROW = MappingRow(Source("identity", "contactKey"), Target("contact_key"))
EMAIL_ROW = MappingRow(Source("xdm", "personalEmail.address"), Target("attribute", "Email Addresses", "Email Address"))


def row(source: str, target: str, *, kind: Any = "xdm", transform: Any = None) -> MappingRow:
    return MappingRow(Source(kind, source), Target("attribute", DEMOGRAPHICS, target), transform)


FIRST_ROW, POINTS_ROW = row("person.name.firstName", "First Name"), row("loyalty.points", "Points")


def destination(
    *rows: MappingRow, segments: tuple[Segment, ...] = (), key: MappingRow = KEY_ROW, **options: Any
) -> Destination:
    return Destination(
        id="demo",
        name="Demo",
        account=ACCOUNT,
        mapping=(key, EMAIL_ROW, *rows),
        segments=segments,
        options=Options(**options),
    )


def resolve(profile: Any, *rows: MappingRow, **more: Any) -> ContactUpdate | Excluded:
    mapping = compile_mapping(destination(*rows, **more), CATALOG)
    return mapping.resolve(profile, occurred_at_ms=ARRIVED, arrived_at_ms=NOW, now_ms=NOW)


def profile_of(**more: Any) -> dict[str, Any]:
    return {"identityMap": {"contactKey": [{"id": "c-1"}]}, **more}


def update(profile: Any, *rows: MappingRow, **more: Any) -> ContactUpdate:
    found = resolve(profile, *rows, **more)
    assert isinstance(found, ContactUpdate), found
    return found


def member(**segments: Any) -> dict[str, Any]:
    return {"segmentMembership": {"ups": {name: item for name, item in segments.items() if item is not None}}}


def is_(status: str, since: str | None = None) -> dict[str, str]:
    return {"status": status} | ({} if since is None else {"lastQualificationTime": since})
