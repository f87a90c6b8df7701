"""Keeps the limits of an account consistent: they belong to the account, so all its destinations must have the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from app.errors import SealBroken, UnknownDestination
from app.mapping.problems import Problem

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.destinations.store import DestinationStore


def others_of_account(destination: Destination, store: DestinationStore) -> list[Destination]:
    """Return the other connected destinations of the same account, except those that cannot be opened, which deliver nothing."""
    found = []
    for name in store.ids():
        if name == destination.id:
            continue
        try:
            other = store.get(name)
        except (SealBroken, UnknownDestination):
            continue
        if other.account.key == destination.account.key:
            found.append(other)
    return found


def find_disagreements(destination: Destination, others: Iterable[Destination]) -> list[Problem]:
    """Return a problem for each limit that differs in another destination of the account."""
    mine = asdict(destination.limits)
    return [
        Problem(
            "error",
            f"limits.{name}",
            f"{other.id}, of the same account, has {value}, and this file has {mine[name]}. Limits belong to the account.",
            "Give both the same value, or give this file's limits to every destination of the account with --limits-of-account.",
        )
        for other in others
        for name, value in asdict(other.limits).items()
        if value != mine[name]
    ]


def spread_limits(destination: Destination, others: Iterable[Destination], store: DestinationStore) -> list[str]:
    """Give the others the limits of this destination; returns the ids of those that had different ones."""
    changed = []
    for other in others:
        if other.limits != destination.limits:
            store.save(replace(other, limits=destination.limits))
            changed.append(other.id)
    return changed
