"""The redirect to the single sign-on issuer, and back.

Meanwhile the values that must match (state, nonce, verifier) are kept sealed in a cookie.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

import orjson
from starlette.responses import RedirectResponse

from app.console.login import sign_in
from app.console.single_sign_on import SignOnRefused, SingleSignOn
from app.console.visit import page
from app.errors import SealBroken, UsageError

if TYPE_CHECKING:
    from starlette.responses import Response

    from app.console.visit import Visit

COOKIE = "activation_oidc"
AWAY_SECONDS = 600
_PURPOSE = b"oidc"


@page(role=None)
def start(visit: Visit) -> Response:
    """Redirect to the issuer."""
    address, kept = _sign_on(visit).leave()
    sealed = visit.resources.ring.seal(orjson.dumps(kept), _PURPOSE)
    answer = RedirectResponse(address, 303)
    answer.set_cookie(
        COOKIE,
        base64.urlsafe_b64encode(sealed).decode(),
        max_age=AWAY_SECONDS,
        httponly=True,
        samesite="lax",
        secure=visit.context.secure,
        path="/oidc",
    )
    return answer


@page(role=None)
def callback(visit: Visit) -> Response:
    """Sign in on the way back from the issuer."""
    try:
        kept = orjson.loads(
            visit.resources.ring.open(base64.urlsafe_b64decode(visit.request.cookies.get(COOKIE, "")), _PURPOSE)
        )
    except (SealBroken, ValueError, binascii.Error):
        raise SignOnRefused("The sign-on took too long, or began elsewhere.", remedy="Begin again.") from None
    answer = sign_in(visit, _sign_on(visit).come_back(visit.text("state"), visit.text("code"), kept), "single sign-on")
    answer.delete_cookie(COOKIE, path="/oidc")
    return answer


def _sign_on(visit: Visit) -> SingleSignOn:
    if visit.context.single_sign_on is None:
        raise UsageError("There is no single sign-on here.")
    return visit.context.single_sign_on
