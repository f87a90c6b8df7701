"""The catalog: which attributes an account has, read from its attribute-set definitions and cached per destination.

Two sets count: *Email Demographics*, where mapped attributes and segment statuses go, and *Email Addresses*. Their
display names are what a mapping and a call use.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson

from app.errors import CallError, DestinationBroken
from app.keys import DestinationKeys

if TYPE_CHECKING:
    from redis import Redis

    from app.destinations import Destination
    from app.sfmc import MarketingCloud

DEMOGRAPHICS = "Email Demographics"
ADDRESSES = "Email Addresses"
_SET_NAMES = {"EmailDemographics": DEMOGRAPHICS, "EmailAddresses": ADDRESSES}
_MAPPING_ID_LENGTHS = range(254, 4001)  # what the reference document asks of a Mapping ID's field
_REREAD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute. `length` is None where the type has none, -1 for unbounded; `name` is what a call must use."""

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


# Every account has these two; the definitions lack them when only Email Demographics could be read.
EMAIL_ADDRESS = Attribute(
    ADDRESSES, "EmailAddresses", "Email Address", "EmailAddress", "EmailAddress", length=254, is_nullable=False
)
HTML_ENABLED = Attribute(ADDRESSES, "EmailAddresses", "HTML Enabled", "HTMLEnabled", "Boolean", is_nullable=False)


@dataclass(frozen=True, slots=True)
class Catalog:
    """Qualified name -> attribute, of both sets. `version` is 12 hex digits that change with any attribute."""

    attributes: dict[str, Attribute]
    fetched_at_ms: int
    version: str

    @classmethod
    def of(cls, attributes: Iterable[Attribute], *, fetched_at_ms: int) -> Catalog:
        """Of attributes in the order of the definitions; the first one of a name counts."""
        named: dict[str, Attribute] = {}
        for attribute in attributes:
            named.setdefault(attribute.qualified, attribute)
        content = orjson.dumps(sorted(named.items()))
        return cls(named, fetched_at_ms, hashlib.sha256(content).hexdigest()[:12])

    def selectable(self) -> list[Attribute]:
        """What a mapping may name as its target, in the order of the definitions, the email address first."""
        own = [
            attribute
            for attribute in self.attributes.values()
            if attribute.set_name == DEMOGRAPHICS
            and not (attribute.is_hidden or attribute.is_read_only or attribute.is_primary_key)
        ]
        fixed = (EMAIL_ADDRESS.qualified, HTML_ENABLED.qualified)
        return [self.attributes[name] for name in fixed if name in self.attributes] + own

    def mapping_id_candidates(self) -> list[Attribute]:
        """What a segment's Mapping ID may name: Text of 254 to 4000 in Email Demographics, a letter first, no space."""
        return [
            attribute
            for attribute in self.selectable()
            if attribute.set_name == DEMOGRAPHICS
            and attribute.data_type == "Text"
            and attribute.length in _MAPPING_ID_LENGTHS
            and attribute.name[:1].isalpha()
            and not any(character.isspace() for character in attribute.name)
        ]


def parse_definitions(items: Iterable[Mapping[str, Any]], *, fetched_at_ms: int) -> Catalog:
    """The catalog in attribute-set definitions, whichever of their spellings they use.

    A name is text or `{"value": text}`; keys are `key` or `definitionKey`, attributes `attributes` or
    `valueDefinitions`; a definition may be wrapped in `item` or `attributeSetDefinition`. Absent marks are read as
    nullable, writable and visible. What cannot be read is left out.
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
                is_read_only=_flag(item.get("isReadOnly")),
                is_hidden=_flag(item.get("isHidden")),
                is_primary_key=_flag(item.get("isPrimaryKey")),
                restricted_values=tuple(_restricted(restricted if isinstance(restricted, list) else [])),
            )


def _text(item: Mapping[str, Any], *names: str) -> str:
    for name in names:
        value = item.get(name)
        if isinstance(value, Mapping):
            value = value.get("value")
        if isinstance(value, str) and value:
            return value
    return ""


def _restricted(values: list[Any]) -> Iterator[str]:
    for value in values:
        inner = value.get("value") if isinstance(value, Mapping) else value
        if isinstance(inner, str | int | float):
            yield str(inner)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _flag(value: Any, *, absent: bool = False) -> bool:
    return absent if value is None else str(value).lower() == "true"


@dataclass(frozen=True, slots=True)
class RefreshFailure:
    """Why the definitions could not be fetched the last time; the catalog is as old as it says."""

    text: str
    at_ms: int


class CatalogStore:
    """The cached catalogs. Looks in Redis at most every 5 seconds for each destination; safe for many threads.

    A definition is metadata of the account and holds nobody's data, so it rests in clear.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read: dict[str, tuple[float, bytes, Catalog]] = {}  # by destination: when (monotonic), bytes, parsed

    def get(self, destination_id: str) -> Catalog | None:
        """None when none was fetched yet."""
        known = self._read.get(destination_id)
        now = time.monotonic()
        if known is not None and now - known[0] < _REREAD_SECONDS:
            return known[2]
        raw = cast("bytes | None", self._redis.get(DestinationKeys(destination_id).catalog))
        if raw is None:
            self._read.pop(destination_id, None)
            return None
        catalog = known[2] if known is not None and known[1] == raw else _restore(raw)
        self._read[destination_id] = (now, raw, catalog)
        return catalog

    def put(self, destination_id: str, catalog: Catalog) -> None:
        """Keep a catalog, and forget why an earlier fetch failed."""
        raw = orjson.dumps(
            {"fetched_at_ms": catalog.fetched_at_ms, "attributes": [asdict(a) for a in catalog.attributes.values()]}
        )
        with self._redis.pipeline() as pipeline:
            pipeline.set(DestinationKeys(destination_id).catalog, raw)
            pipeline.delete(_failure_key(destination_id))
            pipeline.execute()
        self._read[destination_id] = (time.monotonic(), raw, catalog)

    def note_failure(self, destination_id: str, text: str, *, at_ms: int) -> None:
        """Keep why a fetch failed, beside the catalog that goes on being used."""
        self._redis.set(_failure_key(destination_id), orjson.dumps({"text": text, "at_ms": at_ms}))

    def last_failure(self, destination_id: str) -> RefreshFailure | None:
        """The failure of the last fetch; None when it went well."""
        raw = cast("bytes | None", self._redis.get(_failure_key(destination_id)))
        return None if raw is None else RefreshFailure(**orjson.loads(raw))


def fetch(client: MarketingCloud, now_ms: int) -> Catalog:
    """The catalog as it is now. Raises the `CallError` of the client, or `DestinationBroken` without the set."""
    catalog = parse_definitions(client.definitions(), fetched_at_ms=now_ms)
    if not any(attribute.set_name == DEMOGRAPHICS for attribute in catalog.attributes.values()):
        raise DestinationBroken(
            f"The account shows no attribute set {DEMOGRAPHICS}.",
            code="no_email_demographics",
            remedy="Check account.account_id, and that the installed package may read Email Studio's attributes "
            "(list_and_subscribers_read).",
        )
    return catalog


def refresh(destination: Destination, client: MarketingCloud, store: CatalogStore, now_ms: int) -> Catalog:
    """Fetch and keep. On failure the old catalog stays, a note says why, and the `CallError` is raised again."""
    try:
        catalog = fetch(client, now_ms)
    except CallError as error:
        store.note_failure(destination.id, f"{error} {error.remedy}".strip(), at_ms=now_ms)
        raise
    store.put(destination.id, catalog)
    return catalog


def _failure_key(destination_id: str) -> str:
    return f"{DestinationKeys(destination_id).catalog}:failure"


def _restore(raw: bytes) -> Catalog:
    stored = orjson.loads(raw)
    attributes = [
        Attribute(**(item | {"restricted_values": tuple(item["restricted_values"])})) for item in stored["attributes"]
    ]
    return Catalog.of(attributes, fetched_at_ms=stored["fetched_at_ms"])
