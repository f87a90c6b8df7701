"""What a destination file may contain, as marshmallow schemas: the edge where text becomes `app.destinations.model` objects.

No message quotes a value, since any value may be a secret in the wrong place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, post_load, validate, validates_schema

from app.alert_kinds import ALL_KINDS, KINDS
from app.destinations.channels import KINDS_OF_CHANNEL
from app.destinations.fields import (
    Day,
    LocalUrl,
    SourcesText,
    SourceText,
    Subdomain,
    Switch,
    TargetText,
    Text,
    between,
    check_alert_url,
    likely,
    one_of,
)
from app.destinations.model import (
    Account,
    AlertChannel,
    Consent,
    Destination,
    Limits,
    MappingRow,
    Options,
    Segment,
    Source,
    Target,
    default_status_values,
)
from app.errors import did_you_mean
from app.ids import DESTINATION_ID
from app.mapping.catalog import EMAIL_ADDRESS

_SUBDOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_LIMITS, _OPTIONS = Limits(), Options()


class _Section(Schema):
    """A part of the file: names and values. An unknown name is an error that suggests the likely one."""

    class Meta:
        unknown = EXCLUDE  # reported below with the likely name

    error_messages = {"type": "must hold names and values, such as `name: value`."}

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _name_unknown(self, _: Any, original: Any, **__: Any) -> None:
        if isinstance(original, Mapping):
            unknown = [str(key) for key in original if key not in self.fields]
            if unknown:
                raise ValidationError({key: f"is unknown here.{likely(key, tuple(self.fields))}" for key in unknown})


def _check_subdomain(value: str) -> None:
    if _SUBDOMAIN.fullmatch(value):
        return
    raise ValidationError(
        "may hold a-z, 0-9 and - only. Write the first part of the host only, without https:// and without what comes "
        "after the first dot."
    )


def _no_space(value: str) -> None:
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValidationError("must not hold white space. Was something else pasted along?")


def _alert_kind(value: str) -> None:
    if value not in (*KINDS, ALL_KINDS):
        raise ValidationError(f"is no kind of alert; docs/operations.md lists them.{did_you_mean(value, KINDS)}")


class AccountSchema(_Section):
    subdomain = Subdomain(required=True, validate=_check_subdomain)
    client_id = Text(required=True, validate=_no_space)
    client_secret = Text(required=True, validate=_no_space)
    account_id = Text(load_default=None, validate=validate.Regexp(r"[0-9]+\Z", error="must be the MID, digits only."))
    auth_base_url = LocalUrl()
    rest_base_url = LocalUrl()

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def _both_urls(self, _: Any, original: Any, **__: Any) -> None:
        for given, other in (("auth_base_url", "rest_base_url"), ("rest_base_url", "auth_base_url")):
            if isinstance(original, Mapping) and given in original and other not in original:
                raise ValidationError(f"is missing, while {given} is given. Give both or neither.", other)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Account:
        local = "rest_base_url" in data
        if not local:
            data["auth_base_url"] = f"https://{data['subdomain']}.auth.marketingcloudapis.com"
            data["rest_base_url"] = f"https://{data['subdomain']}.rest.marketingcloudapis.com"
        return Account(**data, local=local)


class RowSchema(_Section):
    source = SourcesText(required=True)
    target = TargetText(required=True)
    transform = Text(load_default=None, validate=validate.OneOf(["sha256"], error="must be sha256, or left out."))

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> MappingRow:
        first, *fallbacks = data.pop("source")
        return MappingRow(source=first, fallbacks=tuple(fallbacks), **data)


class SegmentSchema(_Section):
    id = Text(required=True, validate=_no_space)
    mapping_id = Text(required=True)
    namespace = Text(load_default="ups")
    name = Text(load_default="")
    start = Day(load_default=None, allow_none=True)
    end = Day(load_default=None, allow_none=True)

    @validates_schema(skip_on_field_errors=False)
    def _ends_after_start(self, data: Mapping[str, Any], **_: Any) -> None:
        start, end = data.get("start"), data.get("end")
        if isinstance(start, date) and isinstance(end, date) and end < start:
            raise ValidationError("lies before start.", "end")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Segment:
        return Segment(**data)


class LimitsSchema(_Section):
    calls_per_minute = between(1, 1_000_000, default=_LIMITS.calls_per_minute)
    calls_per_year = between(1, 1_000_000_000_000, default=_LIMITS.calls_per_year)
    max_in_flight = between(1, 500, default=_LIMITS.max_in_flight)
    stop_at_yearly_quota = Switch(load_default=_LIMITS.stop_at_yearly_quota)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Limits:
        return Limits(**data)


class StatusValuesSchema(_Section):
    realized = Text()
    existing = Text()
    exited = Text()

    @post_load
    def _make(self, data: dict[str, str], **_: Any) -> dict[str, str]:
        return default_status_values() | data


class ConsentSchema(_Section):
    source = SourceText(required=True)
    allowed = fields.List(
        Text(),
        required=True,
        validate=validate.Length(min=1, error="is empty: no profile would ever be sent."),
        error_messages={"required": "is missing.", "invalid": "must be a list, such as [y].", "null": "is empty."},
    )

    @validates_schema(skip_on_field_errors=False)
    def _names_a_field(self, data: Mapping[str, Any], **_: Any) -> None:
        source = data.get("source")
        if isinstance(source, Source) and source.kind != "xdm":
            raise ValidationError('must be an XDM field, such as "xdm: consents.marketing.email.val".', "source")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Consent:
        return Consent(path=data["source"].path, allowed=tuple(data["allowed"]))


def _check_date_format(value: str) -> None:
    try:
        written = {date(2026, 1, 2).strftime(value), date(2027, 11, 30).strftime(value)}
    except ValueError:
        written = set()
    if len(written) < 2:  # two days must be distinguishable
        raise ValidationError('writes the same text for every day. Use %Y, %m and %d, such as "%m/%d/%Y".')


def _section(schema: type[Schema], **more: Any) -> fields.Nested:
    return fields.Nested(
        schema, error_messages={"required": "is missing.", "null": "is empty. Remove the line."}, **more
    )


class OptionsSchema(_Section):
    html_enabled = one_of("first", "create", "always", "never", default=_OPTIONS.html_enabled)
    create_unknown = Switch(load_default=_OPTIONS.create_unknown)
    send_email = one_of("always", "changed", default=_OPTIONS.send_email)
    without_email = one_of("send", "exclude", default=_OPTIONS.without_email)
    status_values = _section(StatusValuesSchema, load_default=default_status_values)
    date_format = Text(load_default=_OPTIONS.date_format, validate=_check_date_format)
    clear_nulls = Switch(load_default=_OPTIONS.clear_nulls)
    several_identities = one_of("exclude", "smallest", "all", default=_OPTIONS.several_identities)
    profiles = one_of("partial", "complete", default=_OPTIONS.profiles)
    invalid_values = one_of("leave_out", "exclude", default=_OPTIONS.invalid_values)
    characters = one_of("any", "documented", default=_OPTIONS.characters)
    consent = _section(ConsentSchema, load_default=None)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Options:
        return Options(**data)


class AlertChannelSchema(_Section):
    webhook = Text(validate=check_alert_url)
    slack = Text(validate=check_alert_url)
    email = Text(validate=validate.Email(error="is no email address."))
    secret = Text(load_default="", validate=_no_space)
    kinds = fields.List(
        Text(validate=_alert_kind),
        load_default=list,
        error_messages={"invalid": "must be a list, such as [stopped, run_failed].", "null": "is empty."},
    )

    @validates_schema(skip_on_field_errors=False, pass_original=True)
    def _one_channel(self, data: Mapping[str, Any], given: Any, **_: Any) -> None:
        # as given: a channel with an invalid address was still named
        if not isinstance(given, Mapping) or len(given.keys() & set(KINDS_OF_CHANNEL)) != 1:
            raise ValidationError("must name one of webhook, slack and email.")
        if data.get("secret") and "webhook" not in given:
            raise ValidationError("signs what a webhook is sent. Remove it.", "secret")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> AlertChannel:
        (channel,) = (name for name in KINDS_OF_CHANNEL if name in data)
        return AlertChannel(channel, data[channel], data["secret"], tuple(data["kinds"]))


_EMAIL = Target("attribute", EMAIL_ADDRESS.set_name, EMAIL_ADDRESS.name)
_CONTACT_KEY = Target("contact_key")


def _check_rows(rows: list[MappingRow]) -> None:
    """Check the rows together: contact key and email are present and make sense, and each target occurs once."""
    found: dict[Any, Any] = {}
    seen: dict[Target, int] = {}
    for number, row in enumerate(rows):
        if row.target in seen:
            found[number] = {"target": f"is the target of mapping[{seen[row.target]}] already. Remove one of them."}
        seen.setdefault(row.target, number)
        if row.target == _CONTACT_KEY and any(source.kind == "const" for source in row.sources):
            found[number] = {"source": "is a constant, so that all profiles would be one contact."}
        if row.target == _EMAIL and row.transform is not None:
            found[number] = {"transform": "would make the email address no address. Remove it."}
    missing = [
        f'no row has the target "{target}". Add {{source: "{example}", target: "{target}"}}.'
        for target, example in ((_CONTACT_KEY, "IdentityMap: NAMESPACE"), (_EMAIL, "xdm: personalEmail.address"))
        if target not in seen
    ]
    if missing:
        found["_schema"] = missing
    if found:
        raise ValidationError(found)


def _check_segments(segments: list[Segment]) -> None:
    seen: dict[tuple[str, str], int] = {}
    found = {}
    for number, segment in enumerate(segments):
        first = seen.setdefault((segment.namespace.casefold(), segment.id), number)
        if first != number:
            found[number] = {"id": f"is the segment of segments[{first}] already. Remove one of them."}
    if found:
        raise ValidationError(found)


def _list(schema: type[Schema], **more: Any) -> fields.Nested:
    messages: dict[str, Any] = {"required": "is missing.", "null": "is empty.", "type": "must be a list."}
    return fields.Nested(schema, many=True, error_messages=messages, **more)


class DestinationSchema(_Section):
    id = Text(
        required=True,
        validate=validate.Regexp(DESTINATION_ID.whole, error=f"{DESTINATION_ID.must}."),
    )
    name = Text(required=True)
    description = Text(load_default="", allow_none=True)
    account = _section(AccountSchema, required=True)
    mapping = _list(RowSchema, required=True, validate=_check_rows)
    segments = _list(SegmentSchema, load_default=list, validate=_check_segments)
    limits = _section(LimitsSchema, load_default=Limits)
    options = _section(OptionsSchema, load_default=Options)
    alerts = _list(AlertChannelSchema, load_default=list)

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Destination:
        data["mapping"], data["segments"] = tuple(data["mapping"]), tuple(data["segments"])
        data["alerts"] = tuple(data["alerts"])
        data["description"] = data["description"] or ""
        return Destination(**data)


DESTINATION = DestinationSchema()
