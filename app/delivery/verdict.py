"""Decides what a call's result means for its contact, account and destination. Pure; `app.delivery.caller` carries it out."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import (
    AccountThrottled,
    AttributeRefused,
    ContactRefused,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    LeaseLost,
    TransientFailure,
)
from app.sfmc.responses import Accepted

DOUBTFUL_IN_A_ROW = 5  # that many doubtful contacts and no answer: the destination is at fault
REFUSED_IN_A_ROW = 20  # likewise for calls that are refused for their form
CALLS_REFUSED = "calls_refused"


class NotSent(Exception):  # not an error: the call goes out at another start
    """The call did not go out: it was too late for its start, or Redis, which keeps the token, was away."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The contact was stored."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The contact was refused for what it carries."""

    error: ContactRefused


@dataclass(frozen=True, slots=True)
class Create:
    """The contact does not exist yet; `is_sure` is False if only the wording of the answer says so."""

    is_sure: bool


@dataclass(frozen=True, slots=True)
class ReloadCatalog:
    """Reload the catalog, then call again: the call may have been made from an old one."""


@dataclass(frozen=True, slots=True)
class CallAgain:
    """Call again at another start."""


@dataclass(frozen=True, slots=True)
class PauseAccount:
    """Pause the account, then call again."""

    error: AccountThrottled


@dataclass(frozen=True, slots=True)
class Doubt:
    """Either the contact or the destination has failed; the next contacts tell which."""

    error: TransientFailure


@dataclass(frozen=True, slots=True)
class FailDestination:
    """The destination has failed: all its contacts would meet the same error."""

    error: DestinationUnreachable | DestinationBroken


@dataclass(frozen=True, slots=True)
class EndSession:
    """The lane belongs to another worker."""

    error: LeaseLost


# Marketing Cloud judged the call's content: rate and destination are in order
Answered = Accept | Refuse | Create | ReloadCatalog
# Says nothing about contact or destination: a probe that ends like this does not count
Silence = CallAgain | PauseAccount
Verdict = Answered | Silence | Doubt | FailDestination | EndSession


def judge(result: Accepted | Exception, *, may_create: bool, catalog_is_newer: bool) -> Verdict:
    """Decide what follows from a call's result: what the client returned or raised.

    `may_create`: an unknown contact may be created. `catalog_is_newer`: the catalog was read after the call went out, or
      has not been read again yet.
    """
    match result:
        case Accepted():
            return Accept()
        case NotSent():
            return CallAgain()
        case AccountThrottled():
            return PauseAccount(result)
        case AttributeRefused() if catalog_is_newer:
            return ReloadCatalog()
        case ContactUnknown() if may_create:
            return Create(is_sure=result.is_sure)
        case ContactRefused():
            return Refuse(result)
        case DestinationUnreachable() | DestinationBroken():
            return FailDestination(result)
        case LeaseLost():
            return EndSession(result)
        case TransientFailure():
            return Doubt(result)
    return Doubt(
        TransientFailure(
            f"Unforeseen {type(result).__name__} while calling.",
            code="internal_error",
            remedy="It is a fault of this product: report it with what the worker logged at that time. Once it is fixed, "
            "`activation failures DESTINATION --replay`.",
        )
    )


def outage(last: TransientFailure, in_a_row: int, *, is_probe: bool) -> DestinationUnreachable | None:
    """Return the destination's failure once enough contacts `in_a_row` are doubtful; None while the contacts may be the cause."""
    if not is_probe and in_a_row < DOUBTFUL_IN_A_ROW:
        return None
    many = "" if is_probe else f"{in_a_row} calls in a row failed; the last one: "
    return DestinationUnreachable(
        f"{many}{last}", code="outage", remedy=last.remedy, http_status=last.http_status, wait_seconds=last.wait_seconds
    )


def refused_form(last: ContactRefused, in_a_row: int, *, trouble_code: str) -> DestinationBroken | None:
    """Return the destination's failure once calls for enough contacts `in_a_row` are refused for their form; None before.

    `trouble_code`: what the destination is probed for; if it is this, one refused call is enough.
    """
    if trouble_code != CALLS_REFUSED and in_a_row < REFUSED_IN_A_ROW:
        return None
    return DestinationBroken(
        f"Calls are refused for their form, whichever contact they are for; the last one: {last}",
        code=CALLS_REFUSED,
        remedy="Check account.subdomain, the mapping and any proxy; `activation failures DESTINATION --reveal` shows what "
        "Marketing Cloud says, and Salesforce support knows its errorcode. Delivery goes on by itself once a call is accepted; "
        "then replay the failures.",
        http_status=last.http_status,
    )
