"""Faults on order: which calls they strike, how often, and what each kind does."""

from __future__ import annotations

import random
from asyncio import sleep
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from app.sandbox.answers import Dropped, Refusal
from app.sandbox.tokens import BLOCKED

KINDS = (
    "expired_token",
    "missing_scope",
    "rate_limited",
    "blocked",
    "server_error",
    "unavailable",
    "html_596",
    "html_502",
    "slow",
    "cut_before",
    "cut_after",
    "partial",
    "fail",
    "bad_request",
    "invalid_operation",
    "conflict",
    "redirect",
)
ROUTES = ("contacts", "token", "definitions", "any")
CONTACTS_ONLY = frozenset({"partial", "fail"})
ELSEWHERE = "http://elsewhere.invalid/"


class BadFault(ValueError):
    """An admin request described a fault that the sandbox cannot make."""


@dataclass(slots=True)
class Fault:
    """One order. `times`: None for until deleted. `contact_key`: None for any contact. `hits`: how often it struck."""

    kind: str
    times: int | None = 1
    probability: float = 1.0
    contact_key: str | None = None
    route: str = "contacts"
    retry_after: int = 1
    delay_seconds: float = 1.0
    seed: int | None = None
    result_code: str | None = None
    message: str | None = None
    hits: int = field(default=0)
    id: int = field(default=0)

    def as_dict(self) -> dict[str, Any]:
        """Return the order and its hits."""
        return asdict(self)


_FROM_ADMIN = frozenset(one.name for one in fields(Fault)) - {"hits", "id"}


class Faults:
    """The open orders of a tenant, oldest first. A call meets at most one fault."""

    __slots__ = ("_dice", "_last_id", "open")

    def __init__(self) -> None:
        self.open: list[Fault] = []
        self._dice: dict[int, random.Random] = {}
        self._last_id = 0

    def order(self, asked: object) -> Fault:
        """Place an order. Raises: `BadFault` for an unknown kind, route or member, or a value of the wrong kind."""
        fault = _read_order(asked)
        self._last_id += 1
        fault.id = self._last_id
        self.open.append(fault)
        # the same seed makes the same calls fail in every run
        self._dice[fault.id] = random.Random(fault.seed)  # noqa: S311  repeatable chance is the point
        return fault

    def clear(self) -> None:
        """Drop every order."""
        self.open.clear()
        self._dice.clear()

    def strike(self, route: str, contact_key: str | None) -> Fault | None:
        """Return the fault that this call meets, counted down; None if it is spared."""
        for fault in self.open:
            if fault.route not in (route, "any") or (fault.kind in CONTACTS_ONLY and route != "contacts"):
                continue
            if fault.contact_key is not None and fault.contact_key != contact_key:
                continue
            if fault.probability < 1.0 and self._dice[fault.id].random() >= fault.probability:
                continue
            fault.hits += 1
            if fault.times is not None:
                fault.times -= 1
                if fault.times == 0:
                    self.open.remove(fault)
            return fault
        return None


async def suffer(fault: Fault) -> None:
    """Do what a fault does before the call is carried out; `cut_after`, `partial` and `fail` come later.

    Raises: `Refusal` if the fault answers instead of the call; `Dropped` if it aborts the connection.
    """
    kind = fault.kind
    if kind == "slow":
        await sleep(fault.delay_seconds)
    elif kind == "cut_before":
        raise Dropped
    elif kind in _REFUSALS:
        status, code, text = _REFUSALS[kind]
        retry_after = fault.retry_after if kind in ("rate_limited", "unavailable") else None
        raise Refusal(status, code, fault.message or text, retry_after=retry_after)


# server_error and 401 as recorded, the texts of 403, 400, 409 and the HTML invented
_REFUSALS: dict[str, tuple[int, int | None, str]] = {
    "expired_token": (401, 0, "Not Authorized"),
    "missing_scope": (403, 20002, "Insufficient privileges to carry out this call."),
    "rate_limited": (429, 50100, "Rate limit exceeded"),
    "blocked": (429, 50200, BLOCKED),
    "server_error": (500, 0, "Internal Server Error"),
    "unavailable": (503, 50300, "The service is unavailable."),
    "html_596": (596, None, "<html><body><h1>596 Service Not Found</h1></body></html>"),
    "html_502": (502, None, "<html><body><h1>502 Bad Gateway</h1></body></html>"),
    "bad_request": (400, 10001, "A member of the message has an invalid data type."),
    "invalid_operation": (400, 30001, "The operation is not valid."),
    "conflict": (409, 30002, "The object is in an invalid state for this call."),
    "redirect": (302, None, "<html><body>Moved</body></html>"),
}


def _read_order(asked: object) -> Fault:
    if not isinstance(asked, dict):
        raise BadFault("a fault must be a JSON object")
    unknown = sorted(set(asked) - _FROM_ADMIN)
    if unknown:
        raise BadFault(f"unknown member of a fault: {', '.join(unknown)}")
    if asked.get("kind") not in KINDS:
        raise BadFault(f"kind must be one of {', '.join(KINDS)}")
    fault = Fault(**asked)
    _demand(fault.route in ROUTES, f"route must be one of {', '.join(ROUTES)}")
    counted = fault.times is None or (_is_number(fault.times, int) and fault.times >= 1)
    _demand(counted, "times must be 1 or more, or null")
    _demand(_is_number(fault.probability) and 0 <= fault.probability <= 1, "probability must be from 0 to 1")
    _demand(_is_number(fault.retry_after, int) and fault.retry_after >= 0, "retry_after must be whole seconds")
    _demand(_is_number(fault.delay_seconds) and fault.delay_seconds >= 0, "delay_seconds must be a number of seconds")
    _demand(fault.seed is None or _is_number(fault.seed, int), "seed must be a whole number")
    for name in ("contact_key", "result_code", "message"):
        value = getattr(fault, name)
        _demand(value is None or isinstance(value, str), f"{name} must be a string")
    return fault


def _is_number(value: object, kind: Any = int | float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool)


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise BadFault(message)
