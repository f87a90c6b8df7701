"""What a session is given, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.lanes.lane import ANY_WAKE_UP

if TYPE_CHECKING:
    from threading import Event

    from app.delivery.doubts import Doubts
    from app.destinations.model import Destination
    from app.errors import CallError
    from app.lanes.lane import Lane
    from app.mapping.compiled import CompiledMapping
    from app.pacing.gate import Gate
    from app.reporting.measures import Measures
    from app.round_trips import RoundTrips
    from app.sealing import KeyRing
    from app.settings import Settings
    from app.sfmc import MarketingCloud


@dataclass(frozen=True, slots=True)
class Work:
    """What a session works with."""

    lane: Lane
    destination: Destination
    mapping: CompiledMapping
    reload_mapping: Callable[[], Awaitable[CompiledMapping]]
    pepper: bytes
    client: MarketingCloud
    gate: Gate
    trips: RoundTrips
    ring: KeyRing
    settings: Settings
    measures: Measures
    doubts: Doubts
    generation: str  # of the destination: of its connection and its state
    stopping: Event
    stays: Callable[[], Awaitable[bool]]  # whether this is the process to work here
    goes_on: Callable[[], Awaitable[bool]]  # asked after each slice: whether another may follow at once
    one_call: bool = False  # a probe


@dataclass(frozen=True, slots=True)
class Result:
    """How a session ended.

    `error` stands for the destination as a whole; `wait_seconds` before coming back. `moved_to` are the lanes that got entries
    of this one. `epoch_ended`: the destination was connected anew; what was not settled is still in the lane.
    """

    answered: int = 0
    error: CallError | None = None
    wait_seconds: float = 0.0
    moved_to: frozenset[int] = frozenset()
    epoch_ended: bool = False


@dataclass(frozen=True, slots=True)
class WakeUpResult:
    """What the task does after a wake-up: wake lanes now, at a certain `worker` or ('') whichever comes first; and come back with
    `wake_up_token` after `come_back_seconds`, unless that is None.
    """

    wake: tuple[int, ...] = ()
    worker: str = ""
    come_back_seconds: float | None = None
    wake_up_token: str = ANY_WAKE_UP
