"""From a profile to what is to be set on its contact, or why it cannot be. Pure.

`compile_mapping` works everything out once per version of a destination and its catalog; `CompiledMapping.resolve` then
only reads the profile, checks each value and gives it its version: a segment's status that of its lastQualificationTime,
anything else the profile's `occurredAt`, else the time handed in. A time after its arrival counts as the arrival, one before
1970 as 1970.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from app.errors import UsageError
from app.mapping.catalog import EMAIL_ADDRESS, HTML_ENABLED
from app.mapping.problems import Problem, find_problems
from app.mapping.values import BadValue, Check, Scalar, checker
from app.mapping.xdm import MISSING, MalformedProfile, Profile, identities, membership, parse_time, value_at

if TYPE_CHECKING:
    from app.destinations.model import Destination, MappingRow, Source
    from app.mapping.catalog import Catalog

__all__ = [
    "CompiledMapping", "ContactUpdate", "Excluded", "Problem", "Reason", "Value", "compile_mapping",
    "contact_key_reader", "find_problems",
]  # fmt: skip

DEMOGRAPHICS = "Email Demographics"
MEMBER = ("realized", "existing")


class Reason(StrEnum):
    """Why a profile is excluded."""

    MISSING_CONTACT_KEY = "missing_contact_key"
    MISSING_EMAIL = "missing_email"
    INVALID_VALUE = "invalid_value"
    MALFORMED_PROFILE = "malformed_profile"
    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    CONSENT = "consent"
    NOTHING_MAPPED = "nothing_mapped"


@dataclass(frozen=True, slots=True)
class Excluded:
    """`detail` names the place in the mapping or the profile, never a value."""

    reason: Reason
    detail: str = ""


class Value(NamedTuple):
    """A value with the time in ms at which it became true."""

    value: Scalar
    version_ms: int


@dataclass(frozen=True, slots=True)
class ContactUpdate:
    """What one profile wants to set: values by qualified name, and for the runs the statuses by segment id."""

    contact_key: str
    values: dict[str, Value]
    statuses: dict[str, str]


Reader = Callable[[Profile], Any]


@dataclass(frozen=True, slots=True)
class _Row:
    """A mapping row, worked out: where to read, how to check, where to write."""

    read: Reader
    check: Check
    qualified: str
    place: str
    nullable: bool
    sha256: bool


@dataclass(frozen=True, slots=True)
class _Field:
    """A status field with the segments that share it."""

    qualified: str
    check: Check
    place: str
    segments: tuple[_Segment, ...]


@dataclass(frozen=True, slots=True)
class _Segment:
    id: str
    namespace: str
    from_ms: int | None
    until_ms: int | None


class CompiledMapping:
    """A destination's mapping against one catalog. Safe for many threads."""

    email = EMAIL_ADDRESS.qualified

    def __init__(self, destination: Destination, catalog: Catalog) -> None:
        options = destination.options
        self.contact_key = contact_key_reader(destination)
        self.attributes: dict[str, tuple[str, str]] = {
            HTML_ENABLED.qualified: (HTML_ENABLED.set_name, HTML_ENABLED.name)
        }
        self._clear_nulls = options.clear_nulls
        self._status_values = options.status_values
        self._consent = options.consent

        def check_of(qualified: str) -> Check:
            attribute = catalog.attributes[qualified]
            self.attributes[qualified] = (attribute.set_name, attribute.name)
            return checker(
                attribute,
                date_format=options.date_format,
                documented_characters=options.characters == "documented",
            )

        self._rows = tuple(
            _Row(
                read=_reader(row.source),
                check=check_of(row.target.qualified),
                qualified=row.target.qualified,
                place=f"mapping[{number}] {row.target.qualified}",
                nullable=catalog.attributes[row.target.qualified].is_nullable,
                sha256=row.transform == "sha256",
            )
            for number, row in enumerate(destination.mapping)
            if row.target.kind == "attribute"
        )
        shared: dict[str, list[tuple[int, _Segment]]] = {}
        for number, segment in enumerate(destination.segments):
            compiled = _Segment(
                segment.id,
                segment.namespace,
                None if segment.start is None else _day_ms(segment.start.isoformat()),
                None if segment.end is None else _day_ms((segment.end + timedelta(days=1)).isoformat()),
            )
            shared.setdefault(f"{DEMOGRAPHICS}.{segment.mapping_id}", []).append((number, compiled))
        self._fields = tuple(
            _Field(
                qualified=qualified,
                check=check_of(qualified),
                place=f"segments[{numbered[0][0]}] {qualified}",
                segments=tuple(segment for _, segment in numbered),
            )
            for qualified, numbered in shared.items()
        )

    def resolve(
        self, profile: Any, *, occurred_at_ms: int, arrived_at_ms: int, now_ms: int
    ) -> ContactUpdate | Excluded:
        """What the profile sets. `occurred_at_ms` is the version of what the profile gives no time for.

        No version is later than the arrival, however late it is read: a sender whose clock is ahead gains nothing by waiting.
        `now_ms` decides which segments are within their dates.
        """
        key = self.contact_key(profile)
        if isinstance(key, Excluded):
            return key
        try:
            if self._consent is not None and not self._consents(profile):
                return Excluded(Reason.CONSENT, ".".join(self._consent.path))
            own_time = profile.get("occurredAt")
            if own_time is not None:
                try:
                    occurred_at_ms = parse_time(own_time)
                except ValueError:
                    return Excluded(Reason.MALFORMED_PROFILE, "occurredAt is not a time")
            version_ms = max(0, min(occurred_at_ms, arrived_at_ms))
            values: dict[str, Value] = {}
            place = ""
            for row in self._rows:
                raw = row.read(profile)
                if raw is MISSING or (raw is None and not self._clear_nulls):
                    continue
                place = row.place
                if raw is None:
                    if not row.nullable:
                        return Excluded(Reason.INVALID_VALUE, f"{place}: is null, and the attribute requires a value")
                    values[row.qualified] = Value("", version_ms)
                    continue
                if row.sha256:
                    raw = _sha256(raw)
                values[row.qualified] = Value(row.check(raw), version_ms)
            statuses: dict[str, str] = {}
            for field in self._fields:
                place = field.place
                status = self._status(profile, field, version_ms, arrived_at_ms, now_ms, statuses)
                if status is not None:
                    values[field.qualified] = status
        except MalformedProfile as problem:
            return Excluded(Reason.MALFORMED_PROFILE, str(problem))
        except BadValue as problem:
            return Excluded(Reason.INVALID_VALUE, f"{place}: {problem}")
        if not values:
            return Excluded(Reason.NOTHING_MAPPED)
        return ContactUpdate(key, values, statuses)

    def _status(
        self,
        profile: Profile,
        field: _Field,
        version_ms: int,
        arrived_at_ms: int,
        now_ms: int,
        statuses: dict[str, str],
    ) -> Value | None:
        """Among the statuses of the segments that share the field, a member's wins over `exited`; the newest time counts."""
        chosen: str | None = None
        newest = 0
        for segment in field.segments:
            if (segment.from_ms is not None and now_ms < segment.from_ms) or (
                segment.until_ms is not None and now_ms >= segment.until_ms
            ):
                continue
            found = membership(profile, segment.namespace, segment.id)
            if found is None:
                continue
            if found.status not in self._status_values:
                raise BadValue(f"segment {segment.id} has a status that is none of {', '.join(self._status_values)}")
            at_ms = version_ms if found.qualified_at_ms is None else max(0, min(found.qualified_at_ms, arrived_at_ms))
            newest = max(newest, at_ms)
            if chosen is None or (found.status in MEMBER and chosen not in MEMBER):
                chosen = found.status
            statuses[segment.id] = found.status
        return None if chosen is None else Value(field.check(self._status_values[chosen]), newest)

    def _consents(self, profile: Profile) -> bool:
        """A profile that says nothing of consent is no refusal."""
        assert self._consent is not None
        value = value_at(profile, self._consent.path)
        if value is MISSING or value is None:
            return True
        return (str(value).lower() if isinstance(value, bool) else str(value)) in self._consent.allowed

    def body(self, contact_key: str, values: Mapping[str, Scalar]) -> bytes:
        """The JSON of a contact call, each attribute set once and Email Addresses first (Salesforce, *Update Contacts*)."""
        sets: dict[str, list[dict[str, Scalar]]] = {}
        for qualified, value in values.items():
            set_name, name = self.attributes[qualified]
            sets.setdefault(set_name, []).append({"name": name, "value": value})
        return orjson.dumps(
            {
                "contactKey": contact_key,
                "attributeSets": [
                    {"name": name, "items": [{"values": items}]}
                    for name, items in sorted(sets.items(), key=lambda pair: pair[0] != EMAIL_ADDRESS.set_name)
                ],
            }
        )


def compile_mapping(destination: Destination, catalog: Catalog) -> CompiledMapping:
    """Raises `UsageError` with every problem that makes delivery impossible, such as a Mapping ID that names no field."""
    errors = [problem for problem in find_problems(destination, catalog) if problem.level == "error"]
    if errors:
        raise UsageError(
            f"The mapping of {destination.id} does not fit the account.",
            problems=tuple(f"{problem.where}: {problem.text} {problem.remedy}".strip() for problem in errors),
        )
    return CompiledMapping(destination, catalog)


def contact_key_reader(destination: Destination) -> Callable[[Any], str | Excluded]:
    """How to find the contact key of a profile; needs no catalog."""
    row = next((row for row in destination.mapping if row.target.kind == "contact_key"), None)
    if row is None:
        raise UsageError(f"The mapping of {destination.id} has no contact key.", remedy="Add the contactKey row.")
    source, place, sha256 = row.source, _contact_key_place(row), row.transform == "sha256"
    read = _reader(source)

    def contact_key(profile: Any) -> str | Excluded:
        if not isinstance(profile, Mapping):
            return Excluded(Reason.MALFORMED_PROFILE, "the profile is not a JSON object")
        try:
            found = read(profile)
        except MalformedProfile as problem:
            return Excluded(Reason.MALFORMED_PROFILE, str(problem))
        if found is MISSING or found is None:
            return Excluded(Reason.MISSING_CONTACT_KEY, place)
        if isinstance(found, bool) or not isinstance(found, str | int):
            return Excluded(Reason.MALFORMED_PROFILE, f"{place} is not text")
        text = str(found)
        if not text.strip():
            return Excluded(Reason.MISSING_CONTACT_KEY, place)
        return _sha256(text) if sha256 else text

    return contact_key


def _contact_key_place(row: MappingRow) -> str:
    return f"identityMap.{row.source.name}" if row.source.kind == "identity" else row.source.name


def _reader(source: Source) -> Reader:
    name, path = source.name, source.path
    if source.kind == "const":
        return lambda _: name
    if source.kind == "identity":
        return lambda profile: next(iter(identities(profile, name)), MISSING)
    return lambda profile: value_at(profile, path)


def _sha256(value: Any) -> str:
    if isinstance(value, dict | list):
        raise BadValue("is a list or an object, not one value")
    return hashlib.sha256(str(value).encode()).hexdigest()


def _day_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)
