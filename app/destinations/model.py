"""What a destination is made of. Pure.

A destination is one audience feed into one Marketing Cloud account: credentials, the mapping from profile fields to
attributes, the segments whose status is written, limits and options. `app.destinations.file` reads it from a file,
`app.destinations.store` keeps it in Redis.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import date
from typing import Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

import orjson

from app.mapping.catalog import DEMOGRAPHICS
from app.mapping.paths import Path, read_path, spell_target
from app.other_builds import understood_fields

SourceKind: TypeAlias = Literal["identity", "xdm", "const"]
TargetKind: TypeAlias = Literal["contact_key", "attribute"]
_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Account:
    """Credentials of one installed package in one Marketing Cloud account, and the hosts that they may go to.

    `account_id`: the business unit's MID. `auth_base_url`, `rest_base_url`: always set, without a final slash; derived from
      the subdomain or, for a `local` account (the sandbox), a loopback address with an optional path.
    """

    subdomain: str
    client_id: str
    client_secret: str = field(repr=False)
    account_id: str | None
    auth_base_url: str
    rest_base_url: str
    local: bool = False

    @property
    def key(self) -> str:
        """The account's name in Redis keys, `[a-z0-9-]` only; destinations of one tenant share its rate and quota."""
        if not self.local:
            return self.subdomain
        url = urlsplit(self.rest_base_url)
        port = url.port or (443 if url.scheme == "https" else 80)
        readable = re.sub(r"[^a-z0-9]+", "-", f"{self.subdomain}-{url.hostname}-{port}".lower())
        exact = f"{self.subdomain}\0{url.hostname}\0{port}\0{url.path.rstrip('/')}"
        return f"{readable}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"

    @property
    def client_tag(self) -> str:
        """12 hex digits that identify client and business unit; each such pair has its own tokens."""
        return hashlib.sha256(f"{self.client_id}\0{self.account_id or ''}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Limits:
    """What the account allows.

    The defaults are a little under the 2,500 calls a minute that Salesforce's support is said to suggest, and the soft
    yearly limit of the Enterprise edition.
    """

    calls_per_minute: int = 2400
    calls_per_year: int = 200_000_000
    max_in_flight: int = 10
    stop_at_yearly_quota: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value comes from. `name`: an identity namespace, an XDM path (`app.mapping.paths`), or the constant itself."""

    kind: SourceKind
    name: str

    @property
    def path(self) -> Path:
        return read_path(self.name)

    def __str__(self) -> str:
        return f"{'IdentityMap' if self.kind == 'identity' else self.kind}: {self.name}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a value goes: the contact key (both names are then empty), or one attribute of a set, by display names."""

    kind: TargetKind
    set_name: str = ""
    attribute: str = ""

    @property
    def qualified(self) -> str:
        return f"{self.set_name}.{self.attribute}"

    def __str__(self) -> str:
        if self.kind == "contact_key":
            return "Identity: salesforceContactKey"
        return spell_target(self.set_name, self.attribute)


@dataclass(frozen=True, slots=True)
class MappingRow:
    """One row of the mapping. `transform`: applied to the value. `fallbacks`: tried in turn if `source` has no value."""

    source: Source
    target: Target
    transform: Literal["sha256"] | None = None
    fallbacks: tuple[Source, ...] = ()

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.source, *self.fallbacks)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment (audience) whose status goes to the Email Demographics field `mapping_id`.

    It is written from `start` to `end`, both days inclusive, in UTC; None for no bound.
    """

    id: str
    mapping_id: str
    namespace: str = "ups"
    name: str = ""
    start: date | None = None
    end: date | None = None

    @property
    def qualified(self) -> str:
        return f"{DEMOGRAPHICS}.{self.mapping_id}"


@dataclass(frozen=True, slots=True)
class Consent:
    """Sends only profiles whose value at `path` is one of `allowed`. A JSON boolean counts as `true` or `false`."""

    path: Path
    allowed: tuple[str, ...]


def default_status_values() -> dict[str, str]:
    """Return the default texts: each status as it is, which is probably what Adobe's destination writes."""
    return {"realized": "realized", "existing": "existing", "exited": "exited"}


@dataclass(frozen=True, slots=True)
class Options:
    """Choices where accounts differ or Salesforce's documentation is silent."""

    html_enabled: Literal["first", "create", "always", "never"] = (
        "first"  # more often would overwrite a text-only preference
    )
    create_unknown: bool = True  # POST once if PATCH says that the contact does not exist
    send_email: Literal["always", "changed"] = "always"  # new contacts need it, and nobody knows which are new
    without_email: Literal["send", "exclude"] = "send"  # for a contact that was never delivered and has no address
    status_values: dict[str, str] = field(default_factory=default_status_values)
    date_format: str = "%Y-%m-%d"
    clear_nulls: bool = (
        False  # True: null in a profile empties the attribute, instead of saying nothing; so does empty text
    )
    several_identities: Literal["exclude", "smallest", "all"] = "exclude"  # for several ids, none primary
    profiles: Literal["partial", "complete"] = "partial"  # complete: an absent mapped attribute is emptied
    invalid_values: Literal["leave_out", "exclude"] = "leave_out"  # for attributes that may be empty
    characters: Literal["any", "documented"] = "any"  # documented: code points 32 to 254 only
    consent: Consent | None = None


@dataclass(frozen=True, slots=True)
class AlertChannel:
    """Where a destination's alerts go: the URL of a webhook or Slack-compatible webhook, or an email address.

    `secret`: signs what a webhook is sent. `kinds`: which alerts it wants; `all` for every kind, empty for warnings and
      worse.
    """

    channel: Literal["webhook", "slack", "email"]
    target: str = field(repr=False)  # anybody who knows a webhook's URL can write to it
    secret: str = field(default="", repr=False)
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Destination:
    """A connected destination. `version`: 12 hex digits that change when anything else does."""

    id: str
    name: str
    account: Account
    mapping: tuple[MappingRow, ...]
    segments: tuple[Segment, ...] = ()
    description: str = ""
    limits: Limits = field(default_factory=Limits)
    options: Options = field(default_factory=Options)
    alerts: tuple[AlertChannel, ...] = ()
    version: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", hashlib.sha256(dump(self)).hexdigest()[:12])

    @property
    def holdings(self) -> str:
        """8 hex digits that identify the account and business unit whose contacts the delivered state describes."""
        return _digest(self.account.key, self.account.account_id)[:8]

    def epoch(self, pepper: bytes) -> str:
        """Return 12 hex digits that identify what lanes work for.

        That is the account, how a profile's contact is found, and this connection. `pepper`: created anew when a
        destination is connected again after being disconnected.
        """
        rows = [_stored(row) for row in self.mapping if row.target.kind == "contact_key"]
        return _digest(self.holdings, rows, pepper.hex())[:12]


def _stored(row: MappingRow) -> dict[str, Any]:
    """Return a row without empty fallbacks, so that its epoch is the same in every version."""
    return {name: value for name, value in asdict(row).items() if name != "fallbacks" or value}


def _digest(*parts: object) -> str:
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def dump(destination: Destination) -> bytes:
    """Return all of a destination except its version as canonical JSON. It includes the secret, so store it sealed only."""
    content = {item.name: getattr(destination, item.name) for item in fields(destination) if item.init}
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def without_secret(destination: Destination) -> Destination:
    """Return the destination without its client secret, as in a process that makes no calls."""
    return replace(destination, account=replace(destination.account, client_secret=""))


def restore(data: bytes, *, client_secret: str) -> Destination:
    """Read what `dump` wrote of a destination without its secret.

    Raises: `OtherBuild` if it needs what only a newer build knows.
    """
    raw: dict[str, Any] = orjson.loads(data)
    raw["account"]["client_secret"] = client_secret
    whose = f"The destination {raw['id']}"

    def made(cls: type[_Part], item: Mapping[str, Any], **read: Any) -> _Part:
        return cls(**understood_fields(cls, item, whose) | read)

    def row(item: Mapping[str, Any]) -> MappingRow:
        fallbacks = tuple(made(Source, source) for source in item.get("fallbacks", ()))
        source, target = made(Source, item["source"]), made(Target, item["target"])
        return made(MappingRow, item, source=source, target=target, fallbacks=fallbacks)

    def segment(item: Mapping[str, Any]) -> Segment:
        return made(Segment, item, start=_day(item.get("start")), end=_day(item.get("end")))

    def options(item: Mapping[str, Any]) -> Options:
        told = item.get("consent")
        consent = (
            None if told is None else made(Consent, told, path=tuple(told["path"]), allowed=tuple(told["allowed"]))
        )
        return made(Options, item, consent=consent)

    return made(
        Destination,
        raw,
        account=made(Account, raw["account"]),
        mapping=tuple(map(row, raw["mapping"])),
        segments=tuple(map(segment, raw.get("segments", ()))),
        limits=made(Limits, raw.get("limits", {})),
        options=options(raw.get("options", {})),
        alerts=tuple(made(AlertChannel, item, kinds=tuple(item.get("kinds", ()))) for item in raw.get("alerts", ())),
    )


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
