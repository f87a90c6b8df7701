"""What an operator does with a destination: connect it, pause it, resume it, fetch its fields. Commands and console call the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from app.destinations import catalogs
from app.destinations.agreement import find_disagreements, others_of_account, spread_limits
from app.destinations.preflight import Preflight, preflight
from app.errors import SealBroken, UnknownDestination
from app.lanes.locked import note_locked_aside
from app.mapping.problems import has_error
from app.pacing.account import end_wait
from app.wake_ups import Waker

if TYPE_CHECKING:
    from app.destinations.model import Destination
    from app.destinations.state import State
    from app.mapping.catalog import Catalog
    from app.mapping.problems import Problem
    from app.resources import Resources


@dataclass(frozen=True, slots=True)
class Connection:
    """`problems` are the findings of the preflight; connected unless one of them is an error.

    `resumed` is the state of a destination that was on probation and is tried again at once; `given_limits` are destinations of the
    account that have the same limits now.
    """

    problems: tuple[Problem, ...]
    resumed: State | None = None
    given_limits: tuple[str, ...] = ()

    @property
    def connected(self) -> bool:
        return not has_error(self.problems)


def former(resources: Resources, destination_id: str) -> Destination | None:
    """As it is connected now, if it is and a key opens it."""
    try:
        return resources.destinations.get(destination_id)
    except (UnknownDestination, SealBroken):
        return None


def try_destination(resources: Resources, destination: Destination, *, limits_of_account: bool = False) -> Preflight:
    """The preflight, and whether the account's other destinations have the same limits, unless those are to be changed as well.

    Changes nothing. Raises `DestinationUnreachable` and `AccountThrottled`.
    """
    found = preflight(destination, resources.client(destination), now_ms=resources.clock.now_ms())
    if limits_of_account:
        return found
    disagreements = find_disagreements(destination, others_of_account(destination, resources.destinations))
    return replace(found, problems=(*found.problems, *disagreements))


def connect(resources: Resources, destination: Destination, *, limits_of_account: bool = False) -> Connection:
    """Create or replace a destination after a live test. Raises as `try_destination` does, and `SealBroken`."""
    found = try_destination(resources, destination, limits_of_account=limits_of_account)
    if not found.ok:
        return Connection(found.problems)
    others = others_of_account(destination, resources.destinations)
    resources.destinations.save(destination)
    if found.catalog is not None:
        resources.catalogs.put(destination.id, found.catalog)
    given = spread_limits(destination, others, resources.destinations)
    resumed = None
    if resources.states.get(destination.id).on_probation:
        resumed = resources.states.resume(destination.id)
    Waker(resources).wake_all(destination.id)
    return Connection(found.problems, resumed, tuple(given))


def check(resources: Resources, destination_id: str) -> Preflight:
    """The preflight of a connected destination; where all is well it has the definitions as they are now.

    Raises `UnknownDestination`, `SealBroken`, `DestinationUnreachable` and `AccountThrottled`.
    """
    target = resources.destinations.get(destination_id)
    found = preflight(target, resources.client(target), now_ms=resources.clock.now_ms())
    if found.ok and found.catalog is not None:
        resources.catalogs.put(target.id, found.catalog, if_connected=True)
    return found


def pause(resources: Resources, destination_id: str) -> State:
    """Stop delivering; profiles are still accepted and wait. Raises `UnknownDestination`."""
    resources.destinations.about(destination_id)
    return resources.states.pause(destination_id)


def resume(resources: Resources, destination_id: str, *, set_locked_aside: bool = False) -> State:
    """End a pause, a wait that the account asked for, or probe at once. Raises `UnknownDestination` and `SealBroken`.

    `set_locked_aside`: what waits by now and no key opens becomes failures.
    """
    target = resources.destinations.get(destination_id)
    if set_locked_aside:
        note_locked_aside(resources.redis, destination_id, now_ms=resources.clock.now_ms())
        if resources.states.get(destination_id).code == "seal_broken":
            resources.states.pause(destination_id)  # nothing may be left to probe with: it is enabled at once
    state = resources.states.resume(destination_id)
    end_wait(resources.redis, target.account.key)
    resources.client(target).forget_refusal()
    Waker(resources).wake_all(destination_id)
    return state


def refresh_fields(resources: Resources, destination_id: str) -> Catalog:
    """Fetch the field definitions now. Raises `UnknownDestination`, `SealBroken` and the `CallError` of the account."""
    target = resources.destinations.get(destination_id)
    return catalogs.refresh(target, resources.client(target), resources.catalogs, resources.clock.now_ms())
