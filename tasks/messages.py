"""Finds what makes a message unreadable, before Celery or kombu looks at it. Pure.

Celery's worker crashes on many malformed messages (`ValueError` out of `celery/worker/request.py`), is given them again and
crashes again; in logging others it quotes the body. The faults reported here say what is wrong, never what the message
holds.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from app.ids import MESSAGE_ID

MOST_BYTES = 64_000_000  # of a message's decompressed body
MOST_DEPTH = 200
_ZLIB = ("application/x-gzip", "gzip", "zlib")  # kombu's names for one format, which is zlib's (kombu/compression.py)
_TIMES = ("eta", "expires")


class UnreadableMessage(ValueError):
    """Keeps kombu from reading a message; its text is the fault."""


def fault_in_envelope(item: bytes) -> str:
    """Return what is wrong with an item of a queue's Redis list; '' if it is a message as kombu writes one."""
    if len(item) > 2 * MOST_BYTES:
        return "it is too large"
    try:
        envelope = json.loads(item)
    except (ValueError, RecursionError):
        return "it is no JSON"
    if not isinstance(envelope, dict):
        return "it is no JSON object"
    properties = envelope.get("properties")
    if not isinstance(properties, dict) or not isinstance(properties.get("delivery_tag"), str):
        return "it has no properties with a delivery tag"
    where = properties.get("delivery_info")
    if not isinstance(where, dict) or not all(isinstance(where.get(name), str) for name in ("exchange", "routing_key")):
        return "its delivery_info names no exchange and routing key"
    if not isinstance(envelope.get("headers", {}), dict):
        return "its headers are no object"
    body = envelope.get("body")  # None without one, as in kombu
    if not isinstance(body, str):
        return "its body is no text"
    encoding = properties.get("body_encoding")
    if encoding not in (None, "base64"):
        return "its body has an unknown encoding"
    try:
        packed = base64.b64decode(body) if encoding else body.encode(errors="replace")
    except ValueError:  # binascii.Error is one
        return "its body is no base64"
    if not all(isinstance(envelope.get(name, ""), str | None) for name in ("content-type", "content-encoding")):
        return "its content type or encoding is no text"
    return fault_in_compression(envelope.get("headers") or {}, packed)


def fault_in_compression(headers: Mapping[str, Any], packed: bytes) -> str:
    """Return what is wrong with a compressed body; '' if nothing.

    A small message may inflate to gigabytes, and kombu inflates it before anybody can intervene.
    """
    compression = headers.get("compression")
    if compression is None:
        return ""
    if compression not in _ZLIB:
        return "its compression is not zlib"
    inflater = zlib.decompressobj()
    try:
        inflater.decompress(packed, MOST_BYTES)
    except zlib.error:
        return "its body cannot be decompressed"
    return "it is too large once decompressed" if inflater.unconsumed_tail else ""


def fault_in_message(
    headers: Any, body: bytes | str, content_type: Any, content_encoding: Any, *, tasks: Collection[str]
) -> str:
    """Return what is wrong with a message that is meant to start one of `tasks`; '' if Celery can receive it.

    Handles both of Celery's message protocols: 2 (the task's name is in the headers) and 1 (everything is in the body).
    """
    if not isinstance(headers, Mapping):
        return "it has no headers"
    if content_type != "application/json":
        return "its content type is not application/json"
    if not isinstance(content_encoding, str) or content_encoding.lower() not in ("utf-8", "utf8"):
        return "its content encoding is not utf-8"
    try:
        document = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return "its body is no JSON"
    if "task" in headers:
        return _fault_of_protocol_2(headers, document, tasks)
    return _fault_of_protocol_1(document, tasks)


def _fault_of_protocol_2(headers: Mapping[str, Any], document: Any, tasks: Collection[str]) -> str:
    if not isinstance(document, list) or len(document) != 3:
        return "its body is no list of arguments, keyword arguments and options"
    args, kwargs, embedded = document
    if embedded is not None and not isinstance(embedded, dict):
        return "the options in its body are no object"
    return _fault_of_call(headers.get("task"), args, kwargs, tasks) or _fault_of_options(headers)


def _fault_of_protocol_1(document: Any, tasks: Collection[str]) -> str:
    if not isinstance(document, dict):
        return "it names no task"
    if not all(name in document for name in ("task", "id", "args", "kwargs")):
        return "its body lacks task, id, args or kwargs"
    call = _fault_of_call(document["task"], document["args"], document["kwargs"], tasks)
    return call or _fault_of_options(document)


def _fault_of_call(task: Any, args: Any, kwargs: Any, tasks: Collection[str]) -> str:
    if not isinstance(task, str):
        return "its task is no text"
    if task not in tasks:
        return "there is no task of its name"
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        return "its arguments are no list, or its keyword arguments no object"
    return ""


def _fault_of_options(options: Mapping[str, Any]) -> str:
    if not MESSAGE_ID.allows(options.get("id")):
        return f"its id is not {MESSAGE_ID.allowed}"
    limits = options.get("timelimit")
    if limits is not None and not (
        isinstance(limits, list | tuple) and len(limits) == 2 and all(_is_number(limit) for limit in limits)
    ):
        return "its timelimit is no pair"
    retries = options.get("retries")
    if retries is not None and not (isinstance(retries, int) and 0 <= retries < 1_000_000):
        return "its retries are no whole number"
    for name in _TIMES:
        if not _is_time(options.get(name)):
            return f"its {name} is no time"
    for name in (
        "errbacks",
        "callbacks",
        "chord",
        "chain",
        "group",
        "shadow",
        "root_id",
        "parent_id",
        "argsrepr",
        "kwargsrepr",
    ):
        value = options.get(name)
        if value is not None and not isinstance(value, str | list | dict):
            return f"its {name} is neither text nor list"
    return ""


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_time(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return False
    return 1971 <= moment.year <= 2999
