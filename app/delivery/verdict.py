"""What the end of a call means for its contact, its account and its destination. Pure; `app.delivery.caller` carries it out."""

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

DOUBTFUL_IN_A_ROW = 5  # so many contacts in doubt and none well: it is the destination
REFUSED_IN_A_ROW = 20  # the same for refusals of the form of calls
CALLS_REFUSED = "calls_refused"


class NotSent(Exception):  # no error: the call goes out at another start
    """The call did not go out: it was too late for its start, or Redis, which keeps the token, was away."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The contact was stored."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """For what the contact carries."""

    error: ContactRefused


@dataclass(frozen=True, slots=True)
class Create:
    """The contact does not exist yet; not surely where free words alone say so."""

    is_sure: bool


@dataclass(frozen=True, slots=True)
class ReloadCatalog:
    """Then call again: the call was made from what may be old."""


@dataclass(frozen=True, slots=True)
class CallAgain:
    """At another start."""


@dataclass(frozen=True, slots=True)
class PauseAccount:
    """Then call again."""

    error: AccountThrottled


@dataclass(frozen=True, slots=True)
class Doubt:
    """The contact is in trouble, or the destination: the next contacts tell which."""

    error: TransientFailure


@dataclass(frozen=True, slots=True)
class FailDestination:
    """All contacts of the destination would fare the same."""

    error: DestinationUnreachable | DestinationBroken


@dataclass(frozen=True, slots=True)
class EndSession:
    """The lane is another worker's."""

    error: LeaseLost


# Marketing Cloud let the call pass and judged what it carried: neither rate nor destination are in trouble
Answer = Accept | Refuse | Create | ReloadCatalog
# Nothing was found out about contact and destination: a probe that ends so was none
Silence = CallAgain | PauseAccount
Verdict = Answer | Silence | Doubt | FailDestination | EndSession


def judge(result: Accepted | Exception, *, may_create: bool, catalog_is_newer: bool) -> Verdict:
    """What to do about the result of a call: what the client returned, or raised.

    `may_create`: the contact may be created where it is unknown. `catalog_is_newer`: the catalog was read after the call went out,
    or was not read again yet.
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
            remedy="It is a fault of this product: report it with what the worker logged at that time. Once it is mended, "
            "`activation failures DESTINATION --replay`.",
        )
    )


def outage(last: TransientFailure, in_a_row: int, *, is_probe: bool) -> DestinationUnreachable | None:
    """The destination's trouble, once enough contacts `in_a_row` are in doubt; None while it may be their own."""
    if not is_probe and in_a_row < DOUBTFUL_IN_A_ROW:
        return None
    many = "" if is_probe else f"{in_a_row} calls in a row failed; the last one: "
    return DestinationUnreachable(
        f"{many}{last}", code="outage", remedy=last.remedy, http_status=last.http_status, wait_seconds=last.wait_seconds
    )


def refused_form(last: ContactRefused, in_a_row: int, *, trouble_code: str) -> DestinationBroken | None:
    """The destination's trouble, once calls for enough contacts `in_a_row` are refused for their form; None before.

    `trouble_code`: of the destination; one that is probed for this trouble still has it.
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
