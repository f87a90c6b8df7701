"""Keeps the cached attribute-set definitions fresh, a few accounts at a time."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from app.destinations.catalogs import fetch
from app.destinations.state import Status
from app.errors import AccountThrottled, CallError, DestinationUnreachable, SealBroken, Throttle, UnknownDestination
from app.keys import CATALOGS, REFRESHING
from app.locks import locked
from app.pacing.shown import read_pace

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.mapping.catalog import Catalog
    from app.resources import Resources

ACCOUNTS_AT_ONCE = 10
REFRESH_SECONDS = 60.0  # after this no further account is asked; the rest follows next time
REFRESH_LIFE_MS = 400_000

log = logging.getLogger(__name__)


def refresh_due(resources: Resources) -> int:
    """Fetch definitions that are due, the oldest first and a few at a time; returns how many accounts were asked.

    Destinations of one account and business unit share the result, from whichever of their packages is answered. On failure
    the old definitions stay, with a note of the reason. An account that is to be left alone is asked another time. Only one
    process does this at a time.
    """
    with locked(resources.redis, REFRESHING, REFRESH_LIFE_MS) as mine:
        return _refresh_due(resources) if mine else 0


def _refresh_due(resources: Resources) -> int:
    life_ms = int(resources.settings.catalog_refresh_seconds * 1000)
    deadline = time.monotonic() + REFRESH_SECONDS
    asked = 0
    for destinations in _due(resources, older_than_ms=resources.clock.now_ms() - life_ms):
        if asked == ACCOUNTS_AT_ONCE or time.monotonic() > deadline:
            break
        account, limits = destinations[0].account.key, destinations[0].limits
        if read_pace(resources.redis, account, limits).wait_seconds:
            continue
        _refresh_account(resources, destinations)
        asked += 1
    return asked


def _due(resources: Resources, *, older_than_ms: int) -> list[list[Destination]]:
    """Return enabled destinations with older definitions, grouped by account and business unit, the oldest first."""
    ids = resources.destinations.ids()
    scores: Any = resources.redis.zmscore(CATALOGS, ids) if ids else []
    groups: dict[str, list[Destination]] = {}
    for at_ms, destination_id in sorted((score or 0.0, name) for score, name in zip(scores, ids, strict=True)):
        if at_ms > older_than_ms:
            break
        try:
            if resources.states.get(destination_id).status is Status.ENABLED:
                destination = resources.destinations.get(destination_id)
                groups.setdefault(destination.holdings, []).append(destination)
        except (UnknownDestination, SealBroken):
            continue
    return list(groups.values())


def _refresh_account(resources: Resources, destinations: list[Destination]) -> None:
    """Try the credentials of one installed package after another until one is answered.

    Each failure is noted with the destinations it concerns.
    """
    packages: dict[tuple[str, str], list[Destination]] = {}
    for destination in destinations:
        account = destination.account
        packages.setdefault((account.client_id, account.client_secret), []).append(destination)
    catalog: Catalog | None = None
    failures: list[tuple[list[Destination], str]] = []
    for sharing in packages.values():
        try:
            catalog = fetch(resources.client(sharing[0]), resources.clock.now_ms())
        except CallError as error:
            log.warning("The definitions of %s were not fetched: %s", sharing[0].id, error)
            failures.append((destinations if concerns_account(error) else sharing, f"{error} {error.remedy}".strip()))
            if concerns_account(error):
                break
        else:
            break
    if catalog is not None:
        for destination in destinations:
            resources.catalogs.put(destination.id, catalog, if_connected=True)
    for sharing, text in reversed(failures):  # a package's own error overrides one of the account
        for destination in sharing:
            resources.catalogs.note_failure(destination.id, text, at_ms=resources.clock.now_ms())


def concerns_account(error: CallError) -> bool:
    """Return whether other credentials of the account would meet the same error. Pure."""
    if isinstance(error, AccountThrottled):
        return error.kind is not Throttle.TOKENS
    return isinstance(error, DestinationUnreachable)
