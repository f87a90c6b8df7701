"""The catalog: which attributes an account has, read from its attribute-set definitions and cached per destination.

Two sets count: *Email Demographics*, where mapped attributes and segment statuses go, and *Email Addresses*. Mappings and
calls use their display names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.text import is_whole

DEMOGRAPHICS = "Email Demographics"
ADDRESSES = "Email Addresses"
_SET_NAMES = {"EmailDemographics": DEMOGRAPHICS, "EmailAddresses": ADDRESSES}
SHORTEST, LONGEST = 254, 4000  # of a Mapping ID's field, from the reference document
UNBOUNDED = -1
_LARGEST_LENGTH = 2**31 - 1  # a larger number is no length


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute.

    `length`: None if the type has none, -1 for unbounded. `name`: what a call must use.
    """

    set_name: str
    set_key: str
    name: str
    key: str
    data_type: str
    length: int | None = None
    is_nullable: bool = True
    is_read_only: bool = False
    is_hidden: bool = False
    is_primary_key: bool = False
    restricted_values: tuple[str, ...] = ()

    @property
    def qualified(self) -> str:
        return f"{self.set_name}.{self.name}"


# Every account has these two; the definitions lack them if only Email Demographics could be read.
EMAIL_ADDRESS = Attribute(
    ADDRESSES, "EmailAddresses", "Email Address", "EmailAddress", "EmailAddress", length=254, is_nullable=False
)
HTML_ENABLED = Attribute(ADDRESSES, "EmailAddresses", "HTML Enabled", "HTMLEnabled", "Boolean", is_nullable=False)
ALWAYS_THERE = (EMAIL_ADDRESS.qualified, HTML_ENABLED.qualified)  # and always writable, whatever their definitions say


def not_writable(attribute: Attribute) -> str:
    """Return why no mapping may name this attribute of Email Demographics; '' if it may."""
    if attribute.is_primary_key:
        return "is a key of its set and cannot be written"
    if attribute.is_read_only:
        return "is read-only"
    return "is hidden" if attribute.is_hidden else ""


def mapping_id_form(name: str) -> tuple[str, str] | None:
    """Return what is wrong with a name as a segment's Mapping ID, and the remedy; None if nothing is."""
    if re.search(r"\s", name):
        return "has whitespace in it", "Name the field with underscores instead, and use that name."
    if not re.match(r"[A-Za-z]", name):
        return "does not start with a letter from A to Z", "Marketing Cloud asks for one; use the exact FIELD NAME."
    return None


def not_a_mapping_id(attribute: Attribute) -> tuple[str, str] | None:
    """Return why a field of Email Demographics cannot hold a segment's status, and the remedy; None if it can.

    Text without a length, or of length -1, is unbounded.
    """
    length = UNBOUNDED if attribute.length is None else attribute.length
    if attribute.data_type != "Text" or not (length == UNBOUNDED or SHORTEST <= length <= LONGEST):
        found = attribute.data_type + (f" of length {length}" if attribute.data_type == "Text" else "")
        return f"is {found}", f"A Mapping ID needs a field of type Text, length {SHORTEST} to {LONGEST}."
    if why := not_writable(attribute):
        return why, "Choose another field: `activation fields`."
    return None


@dataclass(frozen=True, slots=True)
class Catalog:
    """The attributes of both sets, by qualified name. `version`: 12 hex digits that change with any attribute."""

    attributes: dict[str, Attribute]
    fetched_at_ms: int
    version: str

    @classmethod
    def of(cls, attributes: Iterable[Attribute], *, fetched_at_ms: int) -> Catalog:
        """Build a catalog from attributes in the order of the definitions; the first of each name counts."""
        named: dict[str, Attribute] = {}
        for attribute in attributes:
            named.setdefault(attribute.qualified, attribute)
        content = orjson.dumps(sorted(named.items()))
        return cls(named, fetched_at_ms, hashlib.sha256(content).hexdigest()[:12])

    def selectable(self) -> list[Attribute]:
        """Return the attributes that a mapping may target, in the order of the definitions, Email Addresses first."""
        own = [
            attribute
            for attribute in self.attributes.values()
            if attribute.set_name == DEMOGRAPHICS and not not_writable(attribute)
        ]
        return [self.attributes[name] for name in ALWAYS_THERE if name in self.attributes] + own

    def mapping_id_candidates(self) -> list[Attribute]:
        """Return the attributes that a segment's Mapping ID may name."""
        return [
            attribute
            for attribute in self.attributes.values()
            if attribute.set_name == DEMOGRAPHICS
            and mapping_id_form(attribute.name) is None
            and not_a_mapping_id(attribute) is None
        ]


def parse_definitions(items: Iterable[Mapping[str, Any]], *, fetched_at_ms: int) -> Catalog:
    """Build a catalog from attribute-set definitions in any of their spellings.

    A name is text or `{"value": text}`; keys are `key` or `definitionKey`, attributes `attributes` or `valueDefinitions`; a
    definition may be wrapped in `item` or `attributeSetDefinition`. Absent flags mean nullable, writable and visible. What
    cannot be read is left out.
    """
    parsed = [attribute for item in items for attribute in _attributes(item)]
    return Catalog.of([*parsed, EMAIL_ADDRESS, HTML_ENABLED], fetched_at_ms=fetched_at_ms)


def _attributes(definition: Any) -> Iterator[Attribute]:
    for wrapper in ("item", "attributeSetDefinition"):
        if isinstance(definition, Mapping) and isinstance(definition.get(wrapper), Mapping):
            definition = definition[wrapper]
    if not isinstance(definition, Mapping):
        return
    set_key = _text(definition, "key", "definitionKey")
    set_name = _SET_NAMES.get(set_key) or _text(definition, "name", "definitionName")
    if set_name not in _SET_NAMES.values():
        return
    raw = definition.get("attributes") or definition.get("valueDefinitions")
    for item in raw if isinstance(raw, list) else []:
        if not isinstance(item, Mapping):
            continue
        key = _text(item, "key", "definitionKey")
        name = _text(item, "name", "definitionName") or key
        if name:
            restricted = item.get("restrictedValues")
            yield Attribute(
                set_name=set_name,
                set_key=set_key,
                name=name,
                key=key,
                data_type=_text(item, "dataType"),
                length=_number(item.get("length")),
                is_nullable=_flag(item.get("isNullable"), absent=True),
                is_read_only=_flag(item.get("isReadOnly")) or not _flag(item.get("isUpdateable"), absent=True),
                is_hidden=_flag(item.get("isHidden")),
                is_primary_key=_flag(item.get("isPrimaryKey")),
                restricted_values=tuple(_restricted(restricted if isinstance(restricted, list) else [])),
            )


def _text(item: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = item.get(name)
        if isinstance(value, Mapping):
            value = value.get("value")
        if isinstance(value, str) and value and is_whole(value):
            return value
    return ""


def _restricted(values: list[Any]) -> Iterator[str]:
    for value in values:
        inner = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(inner, str | int | float) and is_whole(text := str(inner)):
            yield text


def _number(value: Any) -> int | None:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) <= _LARGEST_LENGTH else None


def _flag(value: Any, *, absent: bool = False) -> bool:
    return absent if value is None else str(value).lower() == "true"
