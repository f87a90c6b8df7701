"""Reads Marketing Cloud's answers in any spelling: documentation and reality differ in the case of keys.

Everything here is pure and copes with any body: HTML from a gateway, a list, nothing at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson

_MESSAGE_LIMIT = 500
_LONGEST_TEXT = 500  # longer texts are cut before they are searched
_MOST_MESSAGES = 50
LONGEST_WAIT_SECONDS = 3_600.0  # the longest wait that a server can impose


class Message(NamedTuple):
    """One of `resultMessages`: its class (`Error`, `Information`), its code, and its text, which may quote a value."""

    kind: str
    code: str
    text: str


def read_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object of a body, with its keys (first level only) in lower case; None if it is no JSON object."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return lower_keys(data) if isinstance(data, dict) else None


def lower_keys(data: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in data.items()}


def read_messages(value: object) -> list[Message]:
    """Read `resultMessages` in every shape seen.

    These are a list of messages, a list of `{"resultMessage": {…}}`, a single message, or null.
    """
    items = value if isinstance(value, list) else [value]
    messages = []
    for item in items[:_MOST_MESSAGES]:
        if not isinstance(item, dict):
            continue
        fields = lower_keys(item)
        inner = fields.get("resultmessage")
        if isinstance(inner, dict):
            fields = lower_keys(inner)
        messages.append(
            Message(
                kind=_text(fields.get("resultclass")).lower(),
                code=_text(fields.get("resultcode")),
                text=_text(fields.get("message")),
            )
        )
    return messages


def error_texts(fields: Mapping[str, Any]) -> Iterator[str]:
    """Yield every message of a REST error: its own, then those of `additionalErrors` and `validationErrors`."""
    yield _text(fields.get("message"))
    for name in ("additionalerrors", "validationerrors"):
        more = fields.get(name)
        for item in more[:_MOST_MESSAGES] if isinstance(more, list) else ():
            if isinstance(item, dict):
                yield _text(lower_keys(item).get("message"))
            elif isinstance(item, str):
                yield item[:_LONGEST_TEXT]


def error_number(fields: Mapping[str, Any]) -> int | None:
    """Return `errorcode` as a number; some answers carry it as a string, some not at all."""
    value = fields.get("errorcode")
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    return int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value) else None


def quote(*texts: str) -> str:
    """Join Marketing Cloud's own words for `CallError.service_message`, cut to a bearable length."""
    return "; ".join(text for text in texts if text)[:_MESSAGE_LIMIT]


def page_words(body: bytes) -> str:
    """Return the words of a page that is no JSON, such as a gateway's `502 Bad Gateway`, without markup and cut short."""
    text = re.sub(r"<[^>]*>", " ", body[: 4 * _MESSAGE_LIMIT].decode("utf-8", "replace"))
    words = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return words[:_MESSAGE_LIMIT]


def wait_seconds(headers: Mapping[str, str], fields: Mapping[str, Any]) -> float | None:
    """Return how long the server asks to wait, an hour at most.

    That is `Retry-After` (seconds or a date), else the body's `retryAfter`.
    """
    asked = _asked_wait(headers, fields)
    return None if asked is None else min(asked, LONGEST_WAIT_SECONDS)


def _asked_wait(headers: Mapping[str, str], fields: Mapping[str, Any]) -> float | None:
    text = header(headers, "retry-after").strip()[:64]
    if re.fullmatch(r"\d{1,20}(\.\d{1,6})?", text):
        return float(text)
    if text:
        try:
            until = parsedate_to_datetime(text).timestamp()
        except (ValueError, OverflowError):
            pass
        else:
            return max(0.0, until - _server_time(headers))
    value = fields.get("retryafter")
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return None
    return float(min(value, LONGEST_WAIT_SECONDS))


def header(headers: Mapping[str, str], name: str) -> str:
    """Return a header by its lower-case name, from any mapping; '' if absent."""
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _server_time(headers: Mapping[str, str]) -> float:
    """Return the server's `Date`, to which its `Retry-After` relates; our clock if there is none."""
    try:
        return parsedate_to_datetime(header(headers, "date")).timestamp()
    except (ValueError, OverflowError):
        return time.time()


def _text(value: object) -> str:
    if isinstance(value, str):
        return value[:_LONGEST_TEXT]
    return str(value)[:_LONGEST_TEXT] if isinstance(value, int) and not isinstance(value, bool) else ""
