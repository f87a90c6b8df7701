"""Attribute sets and their attributes: how they are looked up and how the definition routes spell them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

DATA_TYPES = ("Text", "Number", "LongNumber", "Decimal", "Boolean", "Date", "EmailAddress", "Phone", "Byte", "Locale")


def stable_id(*parts: str) -> str:
    """Return an id that is the same for the same parts in every process."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(("sandbox", *parts))))


@dataclass(slots=True)
class Attribute:
    """One attribute of a set. `length`: in characters; -1 for unbounded, None for types without a length."""

    set_key: str
    set_name: str
    key: str
    name: str
    data_type: str = "Text"
    length: int | None = None
    nullable: bool = True
    primary_key: bool = False
    read_only: bool = False
    hidden: bool = False
    updateable: bool = True
    system: bool = False
    restricted_values: tuple[str, ...] = ()
    storage_name: str = ""
    path: str = ""
    """How contacts are read back: `Set name.Attribute name`."""
    plain_limit: int = -1
    """Longest string that needs no further check; -1 for attributes whose every value needs the full check."""

    def __post_init__(self) -> None:
        self.path = f"{self.set_name}.{self.name}"
        self.storage_name = self.storage_name or self.name
        if self.data_type == "Text" and self.updateable and not self.read_only and not self.restricted_values:
            self.plain_limit = 1 << 30 if self.length in (None, -1) else int(self.length or 0)

    def as_json(self, position: int) -> dict[str, Any]:
        """Return the attribute as the list route spells it."""
        own_id = stable_id(self.set_key, self.key)
        spelled: dict[str, Any] = {
            "id": own_id,
            "key": self.key,
            "name": {"value": self.name},
            "storageName": self.storage_name,
            "dataType": self.data_type,
        }
        if self.length is not None:
            spelled["length"] = self.length
        return spelled | {
            "isPrimaryKey": self.primary_key,
            "isNullable": self.nullable,
            "isReadOnly": self.read_only,
            "displayOrder": position,
            "ranges": [],
            "description": "",
            "dataSourceID": 3,
            "restrictedValues": list(self.restricted_values),
            "obfuscationProperties": {
                "valueDefinitionID": own_id,
                "storageTypeID": 1,
                "maskTypeID": 0,
                "storageType": "Plain",
                "maskType": "None",
            },
            "fullyQualifiedName": self.path,
            "parentId": stable_id(self.set_key),
            "isSystemDefined": self.system,
            "isIdentityValue": False,
            "isHidden": self.hidden,
            "isUpdateable": self.updateable,
            "parentType": "Set",
            "dataSourceName": {},
            "links": {},
            "objectState": "Created",
        }


@dataclass(slots=True)
class AttributeSet:
    """One attribute set. `by_name` finds its attributes by display name, `by_folded_name` ignores case."""

    key: str
    name: str
    storage_logical_type: str = "DataExtension"
    read_only: bool = False
    can_add_values: bool = False
    system: bool = True
    attributes: list[Attribute] = field(default_factory=list)
    by_name: dict[str, Attribute] = field(default_factory=dict)
    by_folded_name: dict[str, Attribute] = field(default_factory=dict)

    def add(self, attribute: Attribute) -> None:
        """Add an attribute, or replace the one of the same name in its place."""
        known = self.by_name.get(attribute.name)
        if known is None:
            self.attributes.append(attribute)
        else:
            self.attributes[self.attributes.index(known)] = attribute
        self._index()

    def remove(self, name: str) -> bool:
        """Drop the attribute with this display name; stored values stay. Returns False if there is none."""
        kept = [one for one in self.attributes if one.name != name]
        found = len(kept) < len(self.attributes)
        self.attributes = kept
        self._index()
        return found

    def _index(self) -> None:
        self.by_name = {one.name: one for one in self.attributes}
        # of two names that differ only in case the first wins
        self.by_folded_name = {one.name.lower(): one for one in reversed(self.attributes)}

    def as_json(self) -> dict[str, Any]:
        """Return the set as the list route spells it."""
        own_id = stable_id(self.key)
        return {
            "id": own_id,
            "key": self.key,
            "name": {"value": self.name},
            "fullyQualifiedName": self.name,
            "storageLogicalType": self.storage_logical_type,
            "isRoot": self.key == "Contact",
            "isSendable": False,
            "categoryID": 0,
            "isShared": False,
            "isEvent": False,
            "dataRetentionProperties": {
                "setDefinitionID": own_id,
                "isRowBasedRetention": False,
                "isResetRetentionPeriodOnImport": False,
                "isDeleteAtEndOfRetentionPeriod": False,
            },
            "relationships": [],
            "attributes": [one.as_json(position) for position, one in enumerate(self.attributes)],
            "canAddValues": self.can_add_values,
            "isSystemDefined": self.system,
            "canRemove": False,
            "canModify": False,
            "isReadOnly": self.read_only,
            "applicationID": stable_id("application"),
            "applicationKey": "com.exacttarget.Email",
            "links": {},
            "objectState": "Created",
        }

    def as_schema_json(self, schema_id: str) -> dict[str, Any]:
        """Return the set as the schemas route spells it: plain names instead of `{"value": ...}`."""
        spelled = self.as_json() | {"name": self.name, "schemaId": schema_id}
        spelled["attributes"] = [one | {"name": one["name"]["value"]} for one in spelled["attributes"]]
        return spelled


class Catalogue:
    """The attribute sets of a tenant, in the order of the list route."""

    __slots__ = ("_by_folded_name", "_by_name", "sets")

    def __init__(self, sets: list[AttributeSet]) -> None:
        self.sets = sets
        self._by_name = {one.name: one for one in sets}
        self._by_folded_name = {one.name.lower(): one for one in sets}

    def __iter__(self) -> Iterator[AttributeSet]:
        return iter(self.sets)

    def named(self, name: str, *, fold_case: bool = False) -> AttributeSet | None:
        """Return the set with this display name."""
        return self._by_folded_name.get(name.lower()) if fold_case else self._by_name.get(name)

    def keyed(self, key: str) -> AttributeSet | None:
        """Return the set with this key, in any case."""
        return next((one for one in self.sets if one.key.lower() == key.lower()), None)

    def identified(self, own_id: str) -> AttributeSet | None:
        """Return the set with this id."""
        return next((one for one in self.sets if stable_id(one.key).lower() == own_id.lower()), None)

    def found(self, reference: str) -> AttributeSet | None:
        """Return the set with this id, key or name, tried in that order."""
        return self.identified(reference) or self.keyed(reference) or self.named(reference, fold_case=True)
