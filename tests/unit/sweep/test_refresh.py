"""What one package of an account is told may be true for the others as well."""

from __future__ import annotations

import pytest

from app.errors import AccountThrottled, DestinationBroken, DestinationUnreachable, Throttle
from app.sweep.refresh import concerns_account


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (DestinationBroken("Refused.", code="bad_credentials"), False),
        (DestinationUnreachable("Nobody answers.", code="no_connection"), True),
        (AccountThrottled("Too much.", kind=Throttle.RATE), True),
        (AccountThrottled("Too many at once.", kind=Throttle.BLOCKED), True),
        (AccountThrottled("Too many tokens.", kind=Throttle.TOKENS), False),
    ],
)
def test_whether_other_credentials_would_meet_the_same(error, expected):
    assert concerns_account(error) is expected
