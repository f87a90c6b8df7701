"""Answers in the shapes of Marketing Cloud, the hot ones joined from ready-made bytes."""

from __future__ import annotations

import itertools
import secrets
from datetime import datetime, timedelta, timezone
from typing import Any

import orjson
from aiohttp import web

DOCUMENTATION = "https://developer.salesforce.com/docs/atlas.en-us.mc-apis.meta/mc-apis/error-handling.htm"
_JSON = {"Content-Type": "application/json; charset=utf-8"}
_STACK_TIME = timezone(timedelta(hours=-6))  # recorded answers carry this offset
_RUN = secrets.token_hex(4)
_numbers = itertools.count(1)


class Refusal(Exception):
    """Ends a call with an error answer. `code`: None for HTML with the text instead of a JSON error body."""

    def __init__(self, status: int, code: int | None, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after

    def answer(self) -> web.Response:
        """Return the answer in the REST error shape, with Retry-After if the fault carries one."""
        if self.code is None:
            return web.Response(status=self.status, text=self.message, content_type="text/html")
        body: dict[str, Any] = {"message": self.message, "errorcode": self.code, "documentation": DOCUMENTATION}
        headers: dict[str, str] = {}
        if self.retry_after is not None:
            body["retryAfter"] = self.retry_after
            headers["Retry-After"] = str(self.retry_after)
        return json_answer(body, self.status, headers)


class Dropped(Exception):
    """Ends a call by aborting its connection: the client gets no answer."""


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Return a JSON answer."""
    answer = web.Response(body=orjson.dumps(body), status=status, headers=_JSON)
    if headers:
        answer.headers.update(headers)
    return answer


def new_message_id() -> str:
    """Return an id in the form of a UUID, unique in this process and cheap to create."""
    return f"{_RUN}-0000-4000-8000-{next(_numbers):012x}"


def message_ids() -> dict[str, Any]:
    """Return the three members that end most answers of the Contacts API."""
    return {"requestServiceMessageID": new_message_id(), "resultMessages": [], "serviceMessageID": new_message_id()}


def contact_stored(contact_key: str, contact_id: int, *, is_new: bool, docs_spelling: bool) -> web.Response:
    """Return the answer to a contact call that stored everything, spelt as recorded or as documented."""
    if docs_spelling:
        return contact_failed(contact_key, contact_id, [], is_new=is_new, docs_spelling=True)
    now = datetime.now(_STACK_TIME).isoformat(timespec="microseconds")
    tail = (
        f',"contactID":{contact_id},"contactTypeID":0,"isNewContactKey":{"true" if is_new else "false"},'
        f'"requestServiceMessageID":"{new_message_id()}","responseDateTime":"{now[:26]}0{now[26:]}",'
        f'"hasErrors":false,"resultMessages":[],"serviceMessageID":"{new_message_id()}"}}'
    )
    head = b'{"operationStatus":"OK","rowsAffected":1,"contactKey":'
    return web.Response(body=b"".join((head, orjson.dumps(contact_key), tail.encode())), headers=_JSON)


def contact_failed(
    contact_key: str,
    contact_id: int,
    messages: list[dict[str, str]],
    *,
    is_new: bool = False,
    docs_spelling: bool = False,
    status: str | None = None,
) -> web.Response:
    """Return an HTTP 200 with error messages (`operationStatus` FAIL unless `status` says otherwise)."""
    ok = not messages
    now = datetime.now(_STACK_TIME).isoformat(timespec="microseconds")
    body: dict[str, Any] = {
        "operationStatus": status or ("OK" if ok else "FAIL"),
        "rowsAffetcted" if docs_spelling else "rowsAffected": int(ok or status == "OK"),
        "contactKey": contact_key,
        "contactId" if docs_spelling else "contactID": contact_id,
        "contactTypeID": 0,
        "isNewContactKey": is_new,
        "requestServiceMessageID": new_message_id(),
    }
    if not docs_spelling:
        body["responseDateTime"] = f"{now[:26]}0{now[26:]}"
    body |= {"hasErrors": not ok, "resultMessages": messages, "serviceMessageID": new_message_id()}
    return json_answer(body)
