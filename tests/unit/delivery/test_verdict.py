"""What the end of a call means: a table of what the client returns or raises."""

from __future__ import annotations

from typing import Any

import pytest

from app.delivery.verdict import DOUBTFUL_IN_A_ROW, NotSent, Verdict, in_doubt, judge, outage
from app.errors import (
    AccountThrottled,
    AddressRequired,
    AttributeRefused,
    CallError,
    ContactRefused,
    ContactUnknown,
    DestinationBroken,
    DestinationUnreachable,
    EpochEnded,
    LeaseLost,
    Throttle,
    TransientFailure,
)
from app.sfmc.responses import Accepted

ACCEPTED = Accepted("id")
UNKNOWN = ContactUnknown("unknown", code="contact_unknown")
ATTRIBUTE = AttributeRefused("attribute", code="attribute_unknown")
LOST = TransientFailure("lost", code="connection_lost", remedy="wait", http_status=500, wait_seconds=3.0)


@pytest.mark.parametrize(
    ("result", "facts", "verdict"),
    [
        (ACCEPTED, {}, Verdict.DELIVERED),
        (ContactRefused("no", code="http_400"), {}, Verdict.REFUSED),
        (AddressRequired("no", code="email"), {}, Verdict.REFUSED),
        (UNKNOWN, {"may_create": True}, Verdict.CREATE),
        (UNKNOWN, {"may_create": False}, Verdict.REFUSED),
        (ATTRIBUTE, {"catalog_is_newer": True}, Verdict.LOOK_AT_CATALOG),
        (ATTRIBUTE, {"catalog_is_newer": False}, Verdict.REFUSED),
        (NotSent(), {}, Verdict.CALL_AGAIN),
        *((AccountThrottled("wait", kind=kind), {}, Verdict.PAUSE_ACCOUNT) for kind in Throttle),
        (LOST, {}, Verdict.IN_DOUBT),
        (KeyError("of our own"), {}, Verdict.IN_DOUBT),
        (CallError("of no class that is known here", code="new"), {}, Verdict.IN_DOUBT),
        (DestinationUnreachable("away", code="away"), {}, Verdict.DESTINATION_FAILED),
        (DestinationBroken("broken", code="broken"), {}, Verdict.DESTINATION_FAILED),
        (LeaseLost("lost"), {}, Verdict.SESSION_ENDS),
        (EpochEnded("camp"), {}, Verdict.SESSION_ENDS),
    ],
)  # fmt: skip
def test_what_a_result_means(result: Accepted | Exception, facts: dict[str, Any], verdict: Verdict) -> None:
    assert judge(result, **facts) is verdict


def test_what_is_an_answer_counts_for_the_rate_and_ends_a_probe_well() -> None:
    answers = {verdict for verdict in Verdict if verdict.is_an_answer}
    assert answers == {Verdict.DELIVERED, Verdict.REFUSED, Verdict.CREATE, Verdict.LOOK_AT_CATALOG}


def test_a_call_that_was_not_judged_is_no_probe() -> None:
    assert {verdict for verdict in Verdict if verdict.tells_nothing} == {Verdict.CALL_AGAIN, Verdict.PAUSE_ACCOUNT}


def test_an_error_of_our_own_leaves_the_contact_in_doubt_and_shows_no_text() -> None:
    error = in_doubt(ValueError("ann@example.com"))
    assert (error.code, "ValueError" in str(error), "ann" in str(error)) == ("internal_error", True, False)
    assert in_doubt(LOST) is LOST


@pytest.mark.parametrize(
    ("in_a_row", "is_probe", "is_outage"),
    [
        (1, False, False),
        (DOUBTFUL_IN_A_ROW - 1, False, False),
        (DOUBTFUL_IN_A_ROW, False, True),
        (DOUBTFUL_IN_A_ROW + 3, False, True),
        (1, True, True),
    ],
)
def test_when_it_is_the_destination(in_a_row: int, is_probe: bool, is_outage: bool) -> None:
    error = outage(LOST, in_a_row, is_probe=is_probe)
    assert (error is not None) is is_outage
    if error is not None:
        assert (error.code, error.http_status, error.wait_seconds, error.remedy) == ("outage", 500, 3.0, "wait")
        assert ("in a row" in str(error)) is not is_probe
