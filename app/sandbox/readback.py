"""Definitions, context, searches and the deletion of contacts: simple, but in the documented shapes."""

from __future__ import annotations

import re
from time import time
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from app.sandbox.answers import Refusal, json_answer, message_ids
from app.sandbox.contacts import Contact
from app.sandbox.definitions import AttributeSet, stable_id
from app.sandbox.seed import EMAIL_ADDRESS, EMAIL_ADDRESSES
from app.sandbox.tenants import Call
from app.sandbox.tokens import MEMBER_ID

DEFAULT_PAGE_SETS = 50
MOST_PAGE_SETS = 2000
SCHEMA_ID = stable_id("schema")
_NOT_FOUND = "No {what} exists for the given reference."


async def list_definitions(call: Call) -> web.StreamResponse:
    """Return one page of attribute sets; `$page` counts from 1, `$pageSize` counts sets."""
    page = _positive(call, "$page", 1)
    size = min(_positive(call, "$pageSize", DEFAULT_PAGE_SETS), MOST_PAGE_SETS)
    sets = call.tenant.catalogue.sets
    body: dict[str, Any] = {
        "page": page,
        "pageSize": size,
        "count": len(sets),
        "items": [one.as_json() for one in sets[(page - 1) * size : page * size]],
        "links": {"self": {"href": "/v1/attributeSetDefinitions"}, "schema": {"href": "/v1/schema"}},
    }
    return json_answer(body | message_ids())


async def one_definition(call: Call) -> web.StreamResponse:
    """Return one set by `{id}`, `key:{key}` or `name:{name}`."""
    reference = unquote(call.path.rstrip("/").rpartition("/")[2])
    catalogue = call.tenant.catalogue
    kind, colon, rest = reference.partition(":")
    if colon and kind.lower() == "key":
        found = catalogue.keyed(rest)
    elif colon and kind.lower() == "name":
        found = catalogue.named(rest, fold_case=True)
    else:
        found = catalogue.identified(reference)
    return json_answer({"item": _existing(found).as_json()} | message_ids())


async def schemas(_call: Call) -> web.StreamResponse:
    """Return the one schema of the tenant."""
    item = {"id": SCHEMA_ID, "key": "Contacts", "name": {"value": "Contacts"}}
    return json_answer({"page": 1, "pageSize": 50, "count": 1, "items": [item]} | message_ids())


async def schema_definition(call: Call) -> web.StreamResponse:
    """Return one set of a schema by id, key or name, in the other spelling."""
    parts = call.path.split("/")
    if parts[4].lower() != SCHEMA_ID.lower():
        raise Refusal(404, 30003, _NOT_FOUND.format(what="schema"))
    found = _existing(call.tenant.catalogue.found(unquote(parts[6])))
    return json_answer({"attributeSetDefinition": found.as_schema_json(SCHEMA_ID)} | message_ids())


async def token_context(call: Call) -> web.StreamResponse:
    """Return who the token belongs to, with the recorded status 202."""
    own = {"id": _member_id(call)}
    return json_answer({"enterprise": own, "organization": own, "user": {"id": 1093240}}, 202)


async def endpoints(call: Call) -> web.StreamResponse:
    """Return the endpoints of the stack, or one of them by type."""
    items = [{"type": kind, "url": call.base_url} for kind in ("rest", "soap", "auth")]
    wanted = re.fullmatch(r"/platform/v1/endpoints/([^/]+)/?", call.path, re.IGNORECASE)
    if wanted is None:
        return json_answer({"page": 1, "pageSize": 50, "count": len(items), "items": items})
    for item in items:
        if item["type"] == wanted[1].lower():
            return json_answer(item)
    raise Refusal(404, 30003, f"No endpoint exists for key '{unquote(wanted[1])}'.")


async def user_info(call: Call) -> web.StreamResponse:
    """Return what the auth host says about the token."""
    token = call.token
    scopes = " ".join(sorted(token.scopes)) if token else ""
    return json_answer(
        {
            "exp": int(time()) + call.tenant.settings.expires_in_seconds,
            "iss": call.base_url,
            "user": {"sub": "sandbox", "name": "Sandbox", "preferred_username": "sandbox"},
            "organization": {"member_id": _member_id(call), "enterprise_id": _member_id(call), "stack_key": "SANDBOX"},
            "rest": {"rest_instance_url": call.base_url},
            "application": {"id": stable_id("application"), "name": "Sandbox", "appScopes": scopes},
            "permissions": [],
        }
    )


async def search_email(call: Call) -> web.StreamResponse:
    """Return the contact keys that hold each of the given email addresses."""
    wanted = _member(call, "ChannelAddressList", list)
    most = call.document.get("MaximumCount", len(call.tenant.contacts.by_key))
    path = f"{EMAIL_ADDRESSES}.{EMAIL_ADDRESS}"
    found = []
    for address in wanted:
        holders = [one for one in call.tenant.contacts.by_key.values() if _same(one.values.get(path), address)]
        details = [{"contactKey": one.contact_key, "createDate": _created(one)} for one in holders[:most]]
        found.append({"contactKeyDetails": details, "channelAddress": address})
    return json_answer({"channelAddressResponseEntities": found} | message_ids())


async def search_contact_key(call: Call) -> web.StreamResponse:
    """Return the address rows of one contact key."""
    operator = _member(call, "filterConditionOperator", str)
    if operator.lower() not in ("is", "equals"):
        raise Refusal(400, 10005, "filterConditionOperator must be Is.")
    contact = call.tenant.contacts.by_key.get(_member(call, "filterConditionValue", str))
    addresses = []
    if contact is not None:
        rows = [("CreatedDate", _created(contact)), ("ContactID", contact.contact_id)]
        rows += [
            (path.partition(".")[2].replace(" ", ""), value)
            for path, value in contact.values.items()
            if path.startswith(f"{EMAIL_ADDRESSES}.")
        ]
        values = [{"definitionKey": name, "innerValue": value} for name, value in rows]
        value_sets = [{"definitionKey": "Primary", "values": values}]
        addresses.append({"contactKey": {"value": contact.contact_key}, "valueSets": value_sets})
    return json_answer({"addresses": addresses} | message_ids())


async def search_attributes(call: Call) -> web.StreamResponse:
    """Return chosen attributes of contacts, found only by `Contact.Contact Key` with Equals or In."""
    try:
        wanted = [one["key"] for one in call.document["request"]["attributes"]]
        condition = call.document["conditionSet"]["conditions"][0]
        field, operator, keys = condition["attribute"]["key"], condition["operator"], condition["value"]["items"]
    except (KeyError, IndexError, TypeError):
        raise Refusal(400, 10002, "request.attributes and conditionSet.conditions are required.") from None
    if field != "Contact.Contact Key" or operator not in ("Equals", "In") or not isinstance(keys, list):
        raise Refusal(400, 10005, "The sandbox searches by Contact.Contact Key with Equals or In alone.")
    items = []
    for key in keys:
        contact = call.tenant.contacts.by_key.get(str(key))
        if contact is not None:
            own = contact.values | {
                "Contact.Contact Key": contact.contact_key,
                "Contact.Contact ID": contact.contact_id,
            }
            items.append({"values": [{"name": name, "value": own.get(name)} for name in wanted]})
    return json_answer({"count": len(items), "items": items} | message_ids())


async def delete_contacts(call: Call) -> web.StreamResponse:
    """Delete contacts by key, at once; the real queue may take hours."""
    if _query(call).get("type", ["keys"])[0] != "keys":
        raise Refusal(400, 10005, "The sandbox deletes by type=keys alone.")
    keys = _member(call, "values", list)
    tenant = call.tenant
    tenant.deletions.append(sum(tenant.contacts.delete(str(key)) for key in keys))
    return json_answer({"operationInitiated": True, "operationID": len(tenant.deletions)} | message_ids())


async def deletion_status(call: Call) -> web.StreamResponse:
    """Return the result of a deletion: always completed."""
    number = _positive(call, "operationID", 0)
    if not 1 <= number <= len(call.tenant.deletions):
        raise Refusal(404, 30003, _NOT_FOUND.format(what="operation"))
    body: dict[str, Any] = {
        "operation": {"operationID": number, "status": "Completed"},
        "backgroundOperationsSummary": [{"backgroundOperationID": number, "backgroundOperationStatusID": "Completed"}],
    }
    return json_answer(body | message_ids())


def _existing(found: AttributeSet | None) -> AttributeSet:
    if found is None:
        raise Refusal(404, 30003, _NOT_FOUND.format(what="attribute set definition"))
    return found


def _query(call: Call) -> dict[str, list[str]]:
    """Return the query with names in lower case, since their case does not count."""
    found: dict[str, list[str]] = {}
    for name, values in parse_qs(call.query).items():
        found.setdefault(name.lower(), []).extend(values)
    return found


def _positive(call: Call, name: str, default: int) -> int:
    given = _query(call).get(name.lower(), [""])[0]
    if not given:
        return default
    if not given.isdecimal() or int(given) < 1:
        raise Refusal(400, 10005, f"{name} must be a positive whole number.")
    return int(given)


def _member(call: Call, name: str, kind: type) -> Any:
    value = call.document.get(name) if isinstance(call.document, dict) else None
    if value is None:
        raise Refusal(400, 10002, f"{name} is required.")
    if not isinstance(value, kind):
        raise Refusal(400, 10001, f"{name} has an invalid data type.")
    return value


def _member_id(call: Call) -> int | str:
    account_id = call.token.account_id if call.token else str(MEMBER_ID)
    return int(account_id) if account_id.isdecimal() else account_id


def _same(held: Any, wanted: Any) -> bool:
    return isinstance(held, str) and held.lower() == str(wanted).lower()


def _created(contact: Contact) -> str:
    return contact.created.strftime("%Y-%m-%dT%H:%M:%S")
