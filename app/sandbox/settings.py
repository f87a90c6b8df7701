"""The switches of one sandbox tenant, changed while it runs by `PATCH /_sandbox/settings`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

CHOICES: dict[str, tuple[object, ...]] = {
    "unknown_attribute": ("strict", "lenient"),
    "name_matching": ("exact", "case_insensitive"),
    "host_spelling": ("url", "bare"),
    "unknown_path_status": (404, 596),
}
MAY_BE_NULL = frozenset({"account_id"})


class BadSetting(ValueError):
    """An admin request named an unknown switch or gave one a value of the wrong kind."""


@dataclass(slots=True)
class TenantSettings:
    """Every switch of a tenant with its default; zero turns a limit or delay off."""

    # sign-in
    client_id: str = "sandbox-client"
    client_secrets: list[str] = field(default_factory=lambda: ["sandbox-secret"])
    staged_secrets: list[str] = field(default_factory=list)
    package_scopes: str = "list_and_subscribers_read list_and_subscribers_write audiences_read"
    account_id: str | None = None
    expires_in_seconds: int = 1079
    token_life_seconds: float = 1200.0
    token_requests_per_window: int = 0
    token_window_seconds: float = 1200.0
    ip_refused: bool = False
    package_disabled: bool = False
    host_spelling: str = "url"
    # contacts
    patch_upserts: bool = True
    unknown_attribute: str = "strict"
    name_matching: str = "exact"
    refuse_example_com: bool = False
    require_email_with_demographics: bool = False
    docs_spelling: bool = False
    # speed and limits of contact calls
    latency_ms: float = 0.0
    latency_per_inflight_ms: float = 0.0
    latency_free_inflight: int = 0
    calls_per_second: float = 0.0
    burst: float = 0.0
    max_concurrent: int = 0
    # the whole tenant
    unknown_path_status: int = 404
    keep_ledger_bodies: bool = True
    unavailable: bool = False
    unavailable_retry_after_seconds: int = 1
    refuse_connections: bool = False

    def merge(self, changes: object) -> None:
        """Apply a JSON merge of switches, all of them or none.

        Raises: `BadSetting` if it is no object, has an unknown name, or a value of the wrong kind.
        """
        if not isinstance(changes, dict):
            raise BadSetting("settings must be a JSON object")
        accepted = {name: _accept(name, value) for name, value in changes.items()}
        for name, value in accepted.items():
            setattr(self, name, value)

    def as_dict(self) -> dict[str, Any]:
        """Return all switches by name."""
        return asdict(self)


_KINDS: dict[str, str] = {one.name: str(one.type) for one in fields(TenantSettings)}


def _accept(name: str, value: Any) -> Any:
    kind = _KINDS.get(name)
    if kind is None:
        raise BadSetting(f"unknown setting {name!r}")
    if name in CHOICES:
        if isinstance(value, bool) or value not in CHOICES[name]:
            raise BadSetting(f"setting {name!r} must be one of {', '.join(map(str, CHOICES[name]))}")
        return value
    if value is None and name in MAY_BE_NULL:
        return None
    if name == "account_id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    fits = {
        "bool": isinstance(value, bool),
        "int": number and isinstance(value, int),
        "float": number,
        "list[str]": isinstance(value, list) and all(isinstance(one, str) for one in value),
    }.get(kind, isinstance(value, str))
    if not fits:
        raise BadSetting(f"setting {name!r} must be {kind}, and not negative")
    return value
