"""Turns a profile into what is to be set on its contact, or the reason why it cannot be. Pure.

`compile_mapping` prepares everything once per version of a destination and its catalog. `CompiledMapping.resolve` then
reads the profile, checks each value and gives it its version: a segment's status gets its lastQualificationTime, anything
else the profile's `occurredAt`, otherwise the time passed in. A time after the profile's arrival counts as the arrival, one
before 1970 as 1970.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from app.errors import UsageError
from app.mapping.catalog import EMAIL_ADDRESS, HTML_ENABLED
from app.mapping.contact_key import contact_key_reader
from app.mapping.paths import spell
from app.mapping.problems import find_problems
from app.mapping.sources import Sources
from app.mapping.update import ContactUpdate, Excluded, LeftOut, Reason, Value
from app.mapping.values import BadValue, Check, Scalar, checker, is_text
from app.mapping.xdm import MISSING, MalformedProfile, Memberships, Profile, value_at
from app.moments import DAY_MS, parse_time, start_of_day_ms

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.mapping.catalog import Catalog


class ReadFrom(NamedTuple):
    """The source of a value, and its position among the fallbacks (0: the first source)."""

    source: str
    fallback: int = 0


MEMBER = ("realized", "existing")


@dataclass(frozen=True, slots=True)
class _Row:
    """A compiled mapping row: where to read, how to check, where to write.

    `optional`: the attribute may be empty. `text`: empty text is a value of its type.
    """

    sources: Sources
    names: tuple[str, ...]
    check: Check
    qualified: str
    place: str
    optional: bool
    text: bool
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

    def is_written(self, now_ms: int) -> bool:
        """Return whether the segment is within its dates."""
        return (self.from_ms is None or now_ms >= self.from_ms) and (self.until_ms is None or now_ms < self.until_ms)


class CompiledMapping:
    """A destination's mapping compiled against one catalog. Safe to share between threads."""

    email = EMAIL_ADDRESS.qualified

    def __init__(self, destination: Destination, catalog: Catalog) -> None:
        options = destination.options
        self.contact_key = contact_key_reader(destination)
        self.attributes: dict[str, tuple[str, str]] = {
            HTML_ENABLED.qualified: (HTML_ENABLED.set_name, HTML_ENABLED.name)
        }
        self._clear_nulls = options.clear_nulls
        self._complete = options.profiles == "complete"
        self._leaves_out = options.invalid_values == "leave_out"
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
                sources=Sources(row.sources),
                names=tuple(map(str, row.sources)),
                check=check_of(row.target.qualified),
                qualified=row.target.qualified,
                place=f"mapping[{number}] {row.target.qualified}",
                optional=catalog.attributes[row.target.qualified].is_nullable and row.target.qualified != self.email,
                text=is_text(catalog.attributes[row.target.qualified]),
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
                None if segment.start is None else start_of_day_ms(segment.start),
                None if segment.end is None else start_of_day_ms(segment.end) + DAY_MS,
            )
            shared.setdefault(segment.qualified, []).append((number, compiled))
        self._fields = tuple(
            _Field(
                qualified=qualified,
                check=check_of(qualified),
                place=f"segments[{numbered[0][0]}] {qualified}",
                segments=tuple(segment for _, segment in numbered),
            )
            for qualified, numbered in shared.items()
        )
        self.segment_fields = {segment.id: field.qualified for field in self._fields for segment in field.segments}
        self._dated = tuple(
            (field.place, segment)
            for field in self._fields
            for segment in field.segments
            if (segment.from_ms, segment.until_ms) != (None, None)
        )

    def resolve(
        self, profile: Any, *, occurred_at_ms: int, arrived_at_ms: int, now_ms: int
    ) -> ContactUpdate | Excluded:
        """Return what the profile sets, or why it is excluded.

        `occurred_at_ms`: the version of values for which the profile gives no time. `arrived_at_ms`: no version is later,
          however late the profile is read, so a sender whose clock is fast gains nothing by waiting. `now_ms`: decides
          which segments are within their dates.
        """
        key = self.contact_key(profile)
        if isinstance(key, Excluded):
            return key
        try:
            if self._consent is not None and not self._consents(profile):
                return Excluded(Reason.CONSENT, spell(self._consent.path))
            own_time = profile.get("occurredAt")
            if own_time is not None:
                try:
                    occurred_at_ms = parse_time(own_time)
                except ValueError:
                    return Excluded(Reason.MALFORMED_PROFILE, "occurredAt is not a time")
            version_ms = max(0, min(occurred_at_ms, arrived_at_ms))
            values: dict[str, Value] = {}
            left_out: list[LeftOut] = []
            for row in self._rows:
                raw, _ = row.sources.find(profile)
                if raw is MISSING or raw is None or raw == "":
                    if raw is None and self._clear_nulls and not row.optional:
                        return _invalid(row.place, "is null, and the attribute requires a value")
                    if self._empties(row, raw):
                        values[row.qualified] = Value("", version_ms)
                    continue
                try:
                    values[row.qualified] = Value(row.check(_sha256(raw) if row.sha256 else raw), version_ms)
                except BadValue as problem:
                    if not (self._leaves_out and row.optional):
                        return _invalid(row.place, problem)
                    left_out.append(LeftOut(row.place, str(problem)))
            statuses: dict[str, str] = {}
            memberships = Memberships(profile if self._fields else {})
            for field in self._fields:
                try:
                    found = self._status(memberships, field, version_ms, arrived_at_ms, now_ms)
                except BadValue as problem:
                    if not self._leaves_out:
                        return _invalid(field.place, problem)
                    left_out.append(LeftOut(field.place, str(problem)))
                    continue
                if found is not None:
                    values[field.qualified], by_segment = found
                    statuses |= by_segment
        except MalformedProfile as problem:
            return Excluded(Reason.MALFORMED_PROFILE, str(problem))
        outside = self.outside_dates(profile, now_ms)
        if not values:
            if left_out:
                return _invalid(*left_out[0])
            return Excluded(Reason.NOTHING_MAPPED, str(outside[0]) if outside else "")
        return ContactUpdate(key, values, statuses, (*left_out, *outside))

    def outside_dates(self, profile: Profile, now_ms: int) -> tuple[LeftOut, ...]:
        """Return the statuses of segments before their `start` or after their `end`, for a profile that could be resolved."""
        outside = [(place, segment) for place, segment in self._dated if not segment.is_written(now_ms)]
        if not outside:
            return ()
        memberships = Memberships(profile)
        return tuple(
            LeftOut(place, f"segment {segment.id} is outside start/end")
            for place, segment in outside
            if memberships.mention(segment.namespace, segment.id)
        )

    def _empties(self, row: _Row, raw: Any) -> bool:
        """Return whether a row without a value empties its attribute: because the profile is complete, or explicitly says so."""
        if not row.optional:
            return False
        if self._clear_nulls and (raw is None or (raw == "" and row.text)):
            return True
        return self._complete

    def read_from(self, profile: Profile) -> dict[str, ReadFrom]:
        """Return where each value is read, by qualified name, for display; `profile` must have been resolved."""
        found = {}
        for row in self._rows:
            _, position = row.sources.find(profile)
            found[row.qualified] = ReadFrom(row.names[position], position)
        memberships = Memberships(profile if self._fields else {})
        for field in self._fields:
            paths = [
                spell(("segmentMembership", segment.namespace, segment.id))
                for segment in field.segments
                if memberships.of(segment.namespace, segment.id) is not None
            ]
            found[field.qualified] = ReadFrom(" and ".join(f"xdm: {path}" for path in paths))
        return found

    def places(self) -> dict[str, str]:
        """Return the place of each qualified name in the destination file."""
        rows = {row.qualified: row.place for row in self._rows}
        return rows | {field.qualified: field.place for field in self._fields}

    def _status(
        self,
        memberships: Memberships,
        field: _Field,
        version_ms: int,
        arrived_at_ms: int,
        now_ms: int,
    ) -> tuple[Value, dict[str, str]] | None:
        """Return the field's value, and the status of each segment that shares it; None if the profile mentions none of them.

        A member's status wins over `exited`; the newest time counts.
        """
        chosen: str | None = None
        newest = 0
        by_segment: dict[str, str] = {}
        for segment in field.segments:
            if not segment.is_written(now_ms):
                continue
            found = memberships.of(segment.namespace, segment.id)
            if found is None:
                continue
            if found.status not in self._status_values:
                raise BadValue(f"segment {segment.id} has a status that is none of {', '.join(self._status_values)}")
            at_ms = version_ms if found.qualified_at_ms is None else max(0, min(found.qualified_at_ms, arrived_at_ms))
            newest = max(newest, at_ms)
            if chosen is None or (found.status in MEMBER and chosen not in MEMBER):
                chosen = found.status
            by_segment[segment.id] = found.status
        if chosen is None:
            return None
        return Value(field.check(self._status_values[chosen]), newest), by_segment

    def _consents(self, profile: Profile) -> bool:
        """Return whether the profile may be sent; saying nothing about consent is no refusal."""
        assert self._consent is not None
        value = value_at(profile, self._consent.path)
        if value is MISSING or value is None:
            return True
        return (str(value).lower() if isinstance(value, bool) else str(value)) in self._consent.allowed

    def body(self, contact_key: str, values: Mapping[str, Scalar]) -> bytes:
        """Return the JSON of a contact call (Salesforce, *Update Contacts*): each attribute set once, Email Addresses first."""
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
    """Compile a mapping.

    Raises: `UsageError` with every problem that makes delivery impossible, such as a Mapping ID that names no field.
    """
    errors = [problem for problem in find_problems(destination, catalog) if problem.level == "error"]
    if errors:
        raise UsageError(
            f"The mapping of {destination.id} does not fit the account.",
            problems=tuple(f"{problem.where}: {problem.text} {problem.remedy}".strip() for problem in errors),
        )
    return CompiledMapping(destination, catalog)


def _invalid(place: str, why: object) -> Excluded:
    return Excluded(Reason.INVALID_VALUE, f"{place}: {why}")


def _sha256(value: Any) -> str:
    if isinstance(value, dict | list):
        raise BadValue("is a list or an object, not one value")
    text = str(value).lower() if isinstance(value, bool) else str(value)  # spelt as without hashing
    return hashlib.sha256(text.encode()).hexdigest()
