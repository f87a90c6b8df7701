"""What the end of a call means: a table of what the client returns or raises."""

from __future__ import annotations

from typing import get_args

import pytest

from app.delivery.verdict import (
    CALLS_REFUSED,
    DOUBTFUL_IN_A_ROW,
    REFUSED_IN_A_ROW,
    Accept,
    Answered,
    CallAgain,
    Create,
    Doubt,
    EndSession,
    FailDestination,
    NotSent,
    PauseAccount,
    Refuse,
    ReloadCatalog,
    Silence,
    Verdict,
    judge,
    outage,
    refused_form,
)
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
from app.lanes.outcomes import REPLAY, exhausted
from app.sfmc.responses import Accepted

ACCEPTED = Accepted("id")
UNKNOWN = ContactUnknown("unknown", code="contact_unknown")
ATTRIBUTE = AttributeRefused("attribute", code="attribute_unknown")
FACTS = {"may_create": False, "catalog_is_newer": True}
LOST = TransientFailure("lost", code="connection_lost", remedy="wait", http_status=500, wait_seconds=3.0)


REFUSED = ContactRefused("no", code="http_400")
NO_ADDRESS = AddressRequired("no", code="email")
AWAY = DestinationUnreachable("away", code="away")
BROKEN = DestinationBroken("broken", code="broken")
TAKEN, ENDED = LeaseLost("lost"), EpochEnded("camp")
THROTTLED = [AccountThrottled("wait", kind=kind) for kind in Throttle]


@pytest.mark.parametrize(
    ("result", "facts", "verdict"),
    [
        (ACCEPTED, {}, Accept()),
        (REFUSED, {}, Refuse(REFUSED)),
        (NO_ADDRESS, {}, Refuse(NO_ADDRESS)),
        (UNKNOWN, {"may_create": True}, Create(is_sure=True)),
        (UNKNOWN, {"may_create": False}, Refuse(UNKNOWN)),
        (ATTRIBUTE, {"catalog_is_newer": True}, ReloadCatalog()),
        (ATTRIBUTE, {"catalog_is_newer": False}, Refuse(ATTRIBUTE)),
        (NotSent(), {}, CallAgain()),
        *((throttled, {}, PauseAccount(throttled)) for throttled in THROTTLED),
        (LOST, {}, Doubt(LOST)),
        (AWAY, {}, FailDestination(AWAY)),
        (BROKEN, {}, FailDestination(BROKEN)),
        (TAKEN, {}, EndSession(TAKEN)),
        (ENDED, {}, EndSession(ENDED)),
    ],
)  # fmt: skip
def test_what_a_result_means(result: Accepted | Exception, facts: dict[str, bool], verdict: Verdict) -> None:
    assert judge(result, **(FACTS | facts)) == verdict


@pytest.mark.parametrize(
    "result",
    [ValueError("ann@example.com"), CallError("ann@example.com is of no class that is known here", code="new")],
)
def test_what_nobody_foresaw_leaves_the_contact_in_doubt_and_shows_no_text(result: Exception) -> None:
    verdict = judge(result, **FACTS)
    assert isinstance(verdict, Doubt)
    text = str(verdict.error)
    assert (verdict.error.code, type(result).__name__ in text, "ann" in text) == ("internal_error", True, False)


def test_what_is_an_answer_counts_for_the_rate_and_ends_a_probe_well() -> None:
    assert set(get_args(Answered)) == {Accept, Refuse, Create, ReloadCatalog}


def test_a_call_that_was_not_judged_is_no_probe() -> None:
    assert set(get_args(Silence)) == {CallAgain, PauseAccount}


def test_an_error_of_our_own_is_not_waited_out() -> None:
    """Marketing Cloud is well: a replay before the fault is mended would fail again."""
    verdict = judge(ValueError("ann@example.com"), **FACTS)
    assert isinstance(verdict, Doubt)
    given_up = exhausted(verdict.error, 3)
    assert "report it" in given_up.remedy
    assert given_up.remedy != REPLAY


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


@pytest.mark.parametrize(
    ("in_a_row", "trouble_code", "is_trouble"),
    [
        (REFUSED_IN_A_ROW - 1, "", False),
        (REFUSED_IN_A_ROW, "", True),
        (1, "outage", False),
        (1, CALLS_REFUSED, True),
    ],
)
def test_when_refusals_are_the_destinations(in_a_row: int, trouble_code: str, is_trouble: bool) -> None:
    error = refused_form(REFUSED, in_a_row, trouble_code=trouble_code)
    assert (error is not None) is is_trouble
    if error is not None:
        assert (error.code, str(REFUSED) in str(error), "failures" in error.remedy) == (CALLS_REFUSED, True, True)
