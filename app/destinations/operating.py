"""What an operator does with a destination: connect, pause, resume, fetch its fields. Command line and console share it."""

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


# what stopped a destination may be that its token has other permissions than the package has now
_OF_PERMISSIONS = ("missing_scope", "not_authorized", "token_rejected")


@dataclass(frozen=True, slots=True)
class Connection:
    """The result of connecting.

    `problems`: findings of the preflight; the destination is connected unless one is an error. `resumed`: the state of a
      destination that was on probation and is tried again at once. `given_limits`: destinations of the account that now
      have the same limits.
    """

    problems: tuple[Problem, ...]
    resumed: State | None = None
    given_limits: tuple[str, ...] = ()

    @property
    def connected(self) -> bool:
        return not has_error(self.problems)


def former(resources: Resources, destination_id: str) -> Destination | None:
    """Return the destination as it is connected now, or None if it is not or no key opens it."""
    try:
        return resources.destinations.get(destination_id)
    except (UnknownDestination, SealBroken):
        return None


def try_destination(resources: Resources, destination: Destination, *, limits_of_account: bool = False) -> Preflight:
    """Run the preflight, and check that the account's other destinations have the same limits. Changes nothing.

    `limits_of_account`: those limits will be changed too, so skip that check.

    Raises: `DestinationUnreachable`; `AccountThrottled`.
    """
    found = _preflight(resources, destination)
    if limits_of_account:
        return found
    disagreements = find_disagreements(destination, others_of_account(destination, resources.destinations))
    return replace(found, problems=(*found.problems, *disagreements))


def connect(resources: Resources, destination: Destination, *, limits_of_account: bool = False) -> Connection:
    """Create or replace a destination after a live test. Raises: as `try_destination`; `SealBroken`."""
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


def check(resources: Resources, destination_id: str, *, new_token: bool = False) -> Preflight:
    """Run the preflight of a connected destination; if all is well, its definitions are refreshed too.

    `new_token`: see `preflight`.

    Raises: `UnknownDestination`; `SealBroken`; `DestinationUnreachable`; `AccountThrottled`.
    """
    target = resources.destinations.get(destination_id)
    found = _preflight(resources, target, new_token=new_token)
    if found.ok and found.catalog is not None:
        resources.catalogs.put(target.id, found.catalog, if_connected=True)
    return found


def _preflight(resources: Resources, destination: Destination, *, new_token: bool = False) -> Preflight:
    return preflight(
        destination,
        resources.client(destination),
        now_ms=resources.clock.now_ms(),
        new_token=new_token or distrusts_token(resources, destination.id),
    )


def distrusts_token(resources: Resources, destination_id: str) -> bool:
    """Return whether the destination was stopped for what its token may not do, so that only a new one can show that it is mended."""
    return resources.states.get(destination_id).code in _OF_PERMISSIONS


def pause(resources: Resources, destination_id: str) -> State:
    """Stop delivering; profiles are still accepted and wait. Raises: `UnknownDestination`."""
    resources.destinations.about(destination_id)
    return resources.states.pause(destination_id)


def resume(resources: Resources, destination_id: str, *, set_locked_aside: bool = False) -> State:
    """End a pause or a wait imposed by the account, or probe at once.

    `set_locked_aside`: entries waiting now that no key opens become failures.

    Raises: `UnknownDestination`; `SealBroken`.
    """
    target = resources.destinations.get(destination_id)
    if set_locked_aside:
        note_locked_aside(resources.redis, destination_id, now_ms=resources.clock.now_ms())
        if resources.states.get(destination_id).code == "seal_broken":
            resources.states.pause(destination_id)  # so that it is enabled at once: nothing may be left to probe with
    state = resources.states.resume(destination_id)
    end_wait(resources.redis, target.account.key)
    resources.client(target).forget_refusal()
    Waker(resources).wake_all(destination_id)
    return state


def refresh_fields(resources: Resources, destination_id: str) -> Catalog:
    """Fetch the field definitions now. Raises: `UnknownDestination`; `SealBroken`; the `CallError` of the account."""
    target = resources.destinations.get(destination_id)
    return catalogs.refresh(target, resources.client(target), resources.catalogs, resources.clock.now_ms())
