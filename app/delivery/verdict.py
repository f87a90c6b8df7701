"""What the end of a call means for its contact, its account and its destination. Pure; `app.delivery.calls` carries it out."""

from __future__ import annotations

from enum import Enum

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


class NotSent(Exception):  # no error: the call goes out at another start
    """The call did not go out: its start was over by then, or Redis, which keeps the token, was away."""


class Verdict(Enum):
    """What to do after a call."""

    DELIVERED = "delivered"
    REFUSED = "refused"  # for what the contact carries
    CREATE = "create"  # the contact does not exist yet
    LOOK_AT_CATALOG = "look_at_catalog"  # then call again: the call was made from what may be old
    CALL_AGAIN = "call_again"  # at another start
    PAUSE_ACCOUNT = "pause_account"  # then call again
    IN_DOUBT = "in_doubt"  # the contact's trouble or the destination's: those after it tell
    DESTINATION_FAILED = "destination_failed"
    SESSION_ENDS = "session_ends"

    @property
    def is_an_answer(self) -> bool:
        """Marketing Cloud let the call pass and judged what it carried, so neither rate nor destination are in trouble."""
        return self in _ANSWERS

    @property
    def tells_nothing(self) -> bool:
        """Nothing was found out about contact and destination: a probe that ends so was none."""
        return self in _SILENT


_ANSWERS = frozenset((Verdict.DELIVERED, Verdict.REFUSED, Verdict.CREATE, Verdict.LOOK_AT_CATALOG))
_SILENT = frozenset((Verdict.CALL_AGAIN, Verdict.PAUSE_ACCOUNT))


def judge(result: Accepted | Exception, *, may_create: bool = False, catalog_is_newer: bool = True) -> Verdict:
    """What to do about the result of a call: what the client returned, or raised.

    `may_create`: the contact may be created where it is unknown. `catalog_is_newer`: the catalog was read after the call went out,
    or was not read again yet.
    """
    match result:
        case Accepted():
            return Verdict.DELIVERED
        case NotSent():
            return Verdict.CALL_AGAIN
        case AccountThrottled():
            return Verdict.PAUSE_ACCOUNT
        case AttributeRefused() if catalog_is_newer:
            return Verdict.LOOK_AT_CATALOG
        case ContactUnknown() if may_create:
            return Verdict.CREATE
        case ContactRefused():
            return Verdict.REFUSED
        case DestinationUnreachable() | DestinationBroken():
            return Verdict.DESTINATION_FAILED
        case LeaseLost():
            return Verdict.SESSION_ENDS
    return Verdict.IN_DOUBT


def in_doubt(result: Exception) -> TransientFailure:
    """Why a contact is in doubt; an error of our own while calling is one as well."""
    if isinstance(result, TransientFailure):
        return result
    return TransientFailure(
        f"Unforeseen {type(result).__name__} while calling; please report it.", code="internal_error"
    )


def outage(last: TransientFailure, in_a_row: int, *, is_probe: bool) -> DestinationUnreachable | None:
    """The destination's trouble, once so many contacts `in_a_row` are in doubt; None as long as it may be their own."""
    if not is_probe and in_a_row < DOUBTFUL_IN_A_ROW:
        return None
    many = "" if is_probe else f"{in_a_row} calls in a row failed; the last one: "
    return DestinationUnreachable(
        f"{many}{last}", code="outage", remedy=last.remedy, http_status=last.http_status, wait_seconds=last.wait_seconds
    )
