"""The sandbox's own routes under `/_sandbox`: switches, faults, contacts, definitions and the ledger. No sign-in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson
from aiohttp import web

from app.sandbox.answers import json_answer
from app.sandbox.definitions import DATA_TYPES, Attribute
from app.sandbox.faults import BadFault
from app.sandbox.seed import EMAIL_DEMOGRAPHICS
from app.sandbox.settings import BadSetting
from app.sandbox.tenants import Call

PREFIX = "/_sandbox"
_ATTRIBUTE_MEMBERS = frozenset(
    {
        "name",
        "key",
        "dataType",
        "length",
        "isNullable",
        "isReadOnly",
        "isHidden",
        "isPrimaryKey",
        "isUpdateable",
        "restrictedValues",
    }
)


class BadRequest(ValueError):
    """An admin request that makes no sense."""


async def answer(call: Call) -> web.StreamResponse:
    """Carry out an admin request: 200 with JSON, 400 with the reason, or 404."""
    path = call.path.removeprefix(PREFIX)
    try:
        if path.startswith("/contacts/") and call.method == "GET":
            return _one_contact(call, unquote(path.removeprefix("/contacts/")))
        handle = _ROUTES.get((call.method, path))
        if handle is None:
            return json_answer({"error": f"no admin route {call.method} {call.path}"}, 404)
        body = await call.request.read()
        return json_answer(handle(call, orjson.loads(body) if body else {}))
    except orjson.JSONDecodeError:
        return json_answer({"error": "the body is not JSON"}, 400)
    except (BadSetting, BadFault, BadRequest) as problem:
        return json_answer({"error": str(problem)}, 400)


def _health(call: Call, _body: Any) -> object:
    return {"status": "ok", "tenant": call.tenant.name}


def _settings(call: Call, _body: Any) -> object:
    return call.tenant.settings.as_dict()


def _change_settings(call: Call, body: Any) -> object:
    call.tenant.settings.merge(body)
    return call.tenant.settings.as_dict()


def _faults(call: Call, _body: Any) -> object:
    return {"faults": [one.as_dict() for one in call.tenant.faults.open]}


def _order_fault(call: Call, body: Any) -> object:
    return call.tenant.faults.order(body).as_dict()


def _clear_faults(call: Call, _body: Any) -> object:
    call.tenant.faults.clear()
    return {"faults": []}


def _contacts(call: Call, _body: Any) -> object:
    return {key: one.values for key, one in call.tenant.contacts.by_key.items()}


def _one_contact(call: Call, key: str) -> web.Response:
    contact = call.tenant.contacts.by_key.get(key)
    return json_answer({"error": "no such contact"}, 404) if contact is None else json_answer(contact.values)


def _ledger(call: Call, _body: Any) -> object:
    since = parse_qs(call.query).get("since", ["0"])[0]
    if not since.isdecimal():
        raise BadRequest("since must be a whole number")
    calls, following = call.tenant.ledger.since(int(since))
    return {"calls": list(calls), "next": following}


def _summary(call: Call, _body: Any) -> object:
    return call.tenant.ledger.summary()


def _clear_ledger(call: Call, _body: Any) -> object:
    call.tenant.ledger.clear()
    return {"calls": [], "next": 0}


def _reset(call: Call, _body: Any) -> object:
    call.tenant.reset()
    return {"status": "ok", "tenant": call.tenant.name}


def _change_attributes(call: Call, body: Any) -> object:
    """Add and remove Email Demographics attributes, all of them or none."""
    demographics = call.tenant.catalogue.named(EMAIL_DEMOGRAPHICS)
    assert demographics is not None, "every tenant is seeded with Email Demographics"
    if not isinstance(body, dict) or set(body) - {"add", "remove"}:
        raise BadRequest("give add (a list of attributes) and remove (a list of names)")
    removed, added = body.get("remove", []), body.get("add", [])
    if not isinstance(removed, list) or not isinstance(added, list):
        raise BadRequest("add and remove must be lists")
    new = [_read_attribute(demographics.key, one) for one in added]
    missing = [str(name) for name in removed if name not in demographics.by_name]
    if missing:
        raise BadRequest(f"no attribute is named {', '.join(missing)}")
    for name in removed:
        demographics.remove(name)
    for attribute in new:
        demographics.add(attribute)
    return {"attributes": [one.name for one in demographics.attributes]}


def _read_attribute(set_key: str, given: Any) -> Attribute:
    if not isinstance(given, dict) or not isinstance(given.get("name"), str) or set(given) - _ATTRIBUTE_MEMBERS:
        raise BadRequest(f"an attribute needs a name and may have {', '.join(sorted(_ATTRIBUTE_MEMBERS))}")
    name, data_type, length = given["name"], given.get("dataType", "Text"), given.get("length")
    if data_type not in DATA_TYPES:
        raise BadRequest(f"dataType must be one of {', '.join(DATA_TYPES)}")
    if length is not None and (isinstance(length, bool) or not isinstance(length, int)):
        raise BadRequest("length must be a whole number")
    return Attribute(
        set_key,
        EMAIL_DEMOGRAPHICS,
        str(given.get("key") or name.replace(" ", "")),
        name,
        data_type,
        length=254 if length is None and data_type == "Text" else length,
        nullable=bool(given.get("isNullable", True)),
        primary_key=bool(given.get("isPrimaryKey", False)),
        read_only=bool(given.get("isReadOnly", False)),
        hidden=bool(given.get("isHidden", False)),
        updateable=bool(given.get("isUpdateable", True)),
        restricted_values=tuple(str(one) for one in given.get("restrictedValues", ())),
    )


_ROUTES: dict[tuple[str, str], Callable[[Call, Any], object]] = {
    ("GET", "/health"): _health,
    ("GET", "/settings"): _settings,
    ("PATCH", "/settings"): _change_settings,
    ("GET", "/faults"): _faults,
    ("POST", "/faults"): _order_fault,
    ("DELETE", "/faults"): _clear_faults,
    ("GET", "/contacts"): _contacts,
    ("GET", "/ledger"): _ledger,
    ("GET", "/ledger/summary"): _summary,
    ("DELETE", "/ledger"): _clear_ledger,
    ("POST", "/reset"): _reset,
    ("PUT", "/attributes"): _change_attributes,
}
