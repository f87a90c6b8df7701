"""Decides what an answer of the contacts API means: accepted, or the leaf of `app.errors` that says what to do next.

HTTP 200 is not success here. A contact was stored only if the status is 2xx, `operationStatus` is OK, `hasErrors` is not
set and no message is of class Error (Salesforce, *Update Contacts*). Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from app.errors import (
    AccountThrottled,
    CallError,
    ContactRefused,
    DestinationBroken,
    DestinationUnreachable,
    Throttle,
    TokenRefused,
    TransientFailure,
)
from app.sfmc.answers import error_number, error_texts, page_words, quote, read_messages, read_object, wait_seconds
from app.sfmc.refusals import classify, contact_unknown, is_of_the_api, snake

# errorcodes that name a cause: type, missing field, format, form of the message, value, operation. Others rely on words.
_CAUSES = (10001, 10002, 10003, 10004, 10005, 30001)
# Of these the ones that judge what the calls for all contacts have alike: message and operation. The others, even a wrong data
# type, may be for a value of this contact.
_OF_FORM = (10004, 30001)
_OF_ROUTE = (404, 405, 410, 415)


class Accepted(NamedTuple):
    """A stored contact. `request_id` is what Salesforce support asks for."""

    request_id: str


def judge_contact(status: int, headers: Mapping[str, str], body: bytes) -> Accepted:
    """Judge the answer to PATCH or POST of a contact. Raises: the `CallError` that it stands for."""
    if status == 200:
        # Nearly every answer, in the spelling recorded from real tenants; anything else takes the long way.
        try:
            data = orjson.loads(body)
            if data["operationStatus"] == "OK" and data["hasErrors"] is False and not data["resultMessages"]:
                return Accepted(_request_id(data["requestServiceMessageID"]))
        except (orjson.JSONDecodeError, LookupError, TypeError):
            pass
    if not 200 <= status < 300:
        raise judge_rest_error(status, headers, body)
    return _judge_stored(status, body)


def judge_read(status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object that a GET answered. Raises: a `CallError` of the account, since no contact is involved."""
    if 200 <= status < 300:
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError:
            data = None
        if isinstance(data, dict):
            return data
        raise DestinationUnreachable(
            f"Marketing Cloud answered HTTP {status} without JSON.", code="unreadable_answer", http_status=status
        )
    error = judge_rest_error(status, headers, body)
    said: dict[str, Any] = {"http_status": status, "service_message": error.service_message or page_words(body)}
    if isinstance(error, TransientFailure):
        raise DestinationUnreachable(
            f"Marketing Cloud gave no answer to a question about the account: {error}",
            code=error.code,
            **said,
        )
    if isinstance(error, ContactRefused):
        number = error_number(read_object(body) or {})
        raise DestinationBroken(
            f"Marketing Cloud refused a question about the account ({_numbered(status, number)}).",
            code=_code(status, number),
            remedy="Check account.account_id in the destination file, and that the installed package has List and Subscribers "
            "Read. If both are right, Salesforce support knows the errorcode, if one is given.",
            **said,
        )
    raise error


def judge_rest_error(status: int, headers: Mapping[str, str], body: bytes) -> CallError:
    """Return the error for an answer that is not 2xx: `{message, errorcode, documentation}`, or whatever a gateway sends."""
    fields = read_object(body)
    number = None if fields is None else error_number(fields)
    texts = [] if fields is None else list(error_texts(fields))
    said: dict[str, Any] = {"http_status": status, "service_message": quote(*texts)}
    numbered = _numbered(status, number)
    wait = wait_seconds(headers, fields or {})

    if status == 401 and number != 40004:
        return TokenRefused("The access token was not accepted.", code="token_refused", **said)
    if status == 403 and number == 40002:
        return TokenRefused("The access token does not hold for this host.", code="wrong_stack", **said)
    if status == 429:
        return _throttled(number, wait, said)
    if status == 503 and (number == 50300 or wait is not None):
        return AccountThrottled(
            f"Marketing Cloud is unavailable ({numbered}).",
            kind=Throttle.UNAVAILABLE,
            remedy="Delivery goes on by itself once it is back. If it lasts, ask Salesforce support.",
            wait_seconds=wait,
            **said,
        )
    if 300 <= status < 400:
        return DestinationBroken(
            f"The REST host answered with a redirect (HTTP {status}); none is followed.",
            code="redirected",
            remedy="Check account.subdomain in the destination file, and whether a proxy redirects calls.",
            **said,
        )
    if status == 596:
        # Documented as "Service Not Found": a gateway's answer that has nothing to do with the contact.
        return TransientFailure("The gateway did not find the service (HTTP 596).", code="gateway_596", **said)
    if status >= 500:
        return TransientFailure(f"Marketing Cloud failed ({numbered}).", code=f"server_{status}", **said)
    if status in (401, 403) and fields is not None:
        return _not_allowed(number, numbered, said)
    if status in (403, 408, 409):
        # 403 without JSON is a firewall on the way, which may object to one contact's content.
        code = {403: "forbidden_by_gateway", 408: "request_timeout", 409: "conflict"}[status]
        return TransientFailure(f"Not possible just now ({numbered}).", code=code, **said)
    if fields is None and status != 413:
        # A page from something on the way. If contacts were blamed, one after another would fail while it is in trouble
        return TransientFailure(f"Something on the way answered ({numbered}).", code=f"gateway_{status}", **said)
    if status == 404 and number == 30003:
        # the same answer is given for any object, perhaps for the route too
        return contact_unknown("The contact does not exist (HTTP 404, errorcode 30003).", said, is_sure=False)
    reasons = [("", text) for text in texts]
    text = f"The call was refused ({numbered})."
    return classify(
        reasons,
        text,
        _code(status, number),
        said,
        has_cause=number in _CAUSES,
        is_of_form=number in _OF_FORM or (number is None and status in _OF_ROUTE),
    )


def _numbered(status: int, number: int | None) -> str:
    return f"HTTP {status}" if number is None else f"HTTP {status}, errorcode {number}"


def _code(status: int, number: int | None) -> str:
    return f"http_{status}" if number is None else f"rest_{number}"


def _throttled(number: int | None, wait: float | None, said: dict[str, Any]) -> AccountThrottled:
    """Return the error for HTTP 429: errorcode 50200 means too many calls at once, all others too many in some period."""
    if number == 50200:
        return AccountThrottled(
            "The account is blocked for a while: too many calls at once (HTTP 429, errorcode 50200).",
            kind=Throttle.BLOCKED,
            remedy="Delivery goes on by itself after a wait. If it comes again, lower `limits.max_in_flight`, and see which other "
            "systems call the account.",
            wait_seconds=wait,
            **said,
        )
    return AccountThrottled(
        f"Too many calls to the account in a short time ({_numbered(429, number)}).",
        kind=Throttle.RATE,
        remedy="Delivery goes on by itself after a wait. If it comes again, lower `limits.calls_per_minute`, and see which other "
        "systems call the account.",
        wait_seconds=wait,
        **said,
    )


def _not_allowed(number: int | None, numbered: str, said: dict[str, Any]) -> DestinationBroken:
    if number == 20002:
        return DestinationBroken(
            "The installed package lacks a permission (errorcode 20002).",
            code="missing_scope",
            remedy="Setup > Apps > Installed Packages > the package > API Integration > Edit: allow List and "
            "Subscribers Read and Write. It takes up to five minutes to hold.",
            **said,
        )
    return DestinationBroken(
        f"The account does not allow this call ({numbered}).",
        code="not_authorized",
        remedy="Check the installed package: its business units, its permissions, and that it is enabled.",
        **said,
    )


def _judge_stored(status: int, body: bytes) -> Accepted:
    """Judge a 2xx answer that is not plainly OK: other spellings, information, failure, or stored in part."""
    fields = read_object(body)
    if fields is None:
        raise TransientFailure(
            f"HTTP {status} without JSON: whether the contact was stored is not known.",
            code="unreadable_answer",
            http_status=status,
        )
    messages = read_messages(fields.get("resultmessages"))
    errors = [message for message in messages if message.kind == "error"]
    has_errors = str(fields.get("haserrors")).lower() == "true"
    request_id = _request_id(fields.get("requestservicemessageid"))
    is_ok = str(fields.get("operationstatus")).lower() == "ok"
    is_new = str(fields.get("isnewcontactkey")).lower() == "true"
    if is_ok and not has_errors and not errors:
        return Accepted(request_id)

    reasons = [(message.code, message.text) for message in errors or messages]
    said: dict[str, Any] = {
        "http_status": status,
        "request_id": request_id,
        "service_message": quote(*(f"{code}: {text}" if code else text for code, text in reasons)),
    }
    named = next((code for code, _ in reasons if is_of_the_api(code)), "")
    withheld = "its code is shown with `--reveal`" if any(code for code, _ in reasons) else "it gives no code"
    # the id of a contact that existed before does not show what was stored
    in_part = has_errors and (is_ok or is_new) and str(fields.get("contactid") or 0) not in ("0", "-1")
    what = "stored a part of the contact only" if in_part else "did not store the contact"
    raise classify(
        reasons,
        f"Marketing Cloud {what} ({named or withheld}).",
        "partly_stored" if in_part else snake(named) or "refused",
        said,
        stored_in_part=in_part,
    )


_REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")


def _request_id(value: object) -> str:
    """Return the id that support asks for; '' if it has another form."""
    return value if isinstance(value, str) and _REQUEST_ID.fullmatch(value) else ""
