"""Tenants, created when they are first called, and what is known of one call to them."""

from __future__ import annotations

from time import monotonic
from typing import Any

from aiohttp import web

from app.sandbox.answers import Refusal
from app.sandbox.contacts import Contacts
from app.sandbox.faults import Fault, Faults
from app.sandbox.ledger import Ledger
from app.sandbox.seed import seeded_catalogue
from app.sandbox.settings import TenantSettings
from app.sandbox.tokens import BLOCKED, Token, Tokens

DEFAULT_TENANT = "default"


class Tenant:
    """Everything that the sandbox knows about one subdomain."""

    def __init__(self, name: str, seed_attributes: int) -> None:
        self.name = name
        self._seed_attributes = seed_attributes
        self.ledger = Ledger()
        self.reset()

    def reset(self) -> None:
        """Become a new tenant again: settings, tokens, contacts, definitions, faults and ledger."""
        self.settings = TenantSettings()
        self.catalogue = seeded_catalogue(self._seed_attributes)
        self.contacts = Contacts()
        self.tokens = Tokens()
        self.faults = Faults()
        self.deletions: list[int] = []
        self.ledger.clear()
        self._allowance: float | None = None
        self._allowance_at = 0.0

    def admit_contact_call(self) -> None:
        """Let a contact call through the limits.

        Raises: `Refusal` with 429: too many at once (50200), or over the rate (50100, with Retry-After).
        """
        settings = self.settings
        if settings.max_concurrent and self.ledger.contacts_in_flight > settings.max_concurrent:
            raise Refusal(429, 50200, BLOCKED)
        if settings.calls_per_second and not self._take_allowance(settings):
            raise Refusal(429, 50100, "Rate limit exceeded", retry_after=1)

    def _take_allowance(self, settings: TenantSettings) -> bool:
        now = monotonic()
        most = max(settings.burst, 1.0)
        left = most if self._allowance is None else self._allowance
        left = min(most, left + (now - self._allowance_at) * settings.calls_per_second)
        self._allowance_at = now
        self._allowance = left - 1.0 if left >= 1.0 else left
        return left >= 1.0

    def contact_delay_seconds(self) -> float:
        """Return how long a contact call takes now; it grows with the calls under way beyond the free ones."""
        settings = self.settings
        delay = settings.latency_ms
        if settings.latency_per_inflight_ms:
            crowd = self.ledger.contacts_in_flight - settings.latency_free_inflight
            delay += settings.latency_per_inflight_ms * max(0, crowd)
        return delay / 1000.0


class Tenants:
    """All tenants by name."""

    def __init__(self, seed_attributes: int) -> None:
        self._seed_attributes = seed_attributes
        self._known: dict[str, Tenant] = {}

    def named(self, name: str) -> Tenant:
        """Return the tenant of this subdomain, creating it if it is new."""
        tenant = self._known.get(name)
        if tenant is None:
            tenant = self._known[name] = Tenant(name, self._seed_attributes)
        return tenant


class Call:
    """One call under way: where it goes, and what is known of it so far."""

    __slots__ = (
        "accepted",
        "body",
        "contact_key",
        "document",
        "fault",
        "method",
        "path",
        "prefix",
        "query",
        "repeats",
        "request",
        "stored",
        "tenant",
        "token",
    )

    def __init__(self, request: web.BaseRequest, tenant: Tenant, prefix: str, path: str, query: str) -> None:
        self.request = request
        self.tenant = tenant
        self.method = request.method
        self.prefix = prefix
        self.path = path
        self.query = query
        self.body = b""
        self.document: Any = None
        self.token: Token | None = None
        self.contact_key: str | None = None
        self.fault: Fault | None = None
        self.stored = False
        self.accepted = False
        self.repeats = False

    @property
    def base_url(self) -> str:
        """The tenant's base URL as the client reached it, with a trailing slash."""
        return f"http://{self.request.headers.get('Host', '127.0.0.1')}{self.prefix}/"
