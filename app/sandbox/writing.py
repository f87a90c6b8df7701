"""The contact call, from its parsed message to the answer."""

from __future__ import annotations

from asyncio import sleep

from aiohttp import web

from app.sandbox import codes
from app.sandbox.answers import contact_failed, contact_stored
from app.sandbox.contacts import Contact, Reading, check_addresses, read_identity, read_sets, read_values
from app.sandbox.faults import Fault, suffer
from app.sandbox.tenants import Call


async def write_contact(call: Call) -> web.StreamResponse:
    """Handle `PATCH` and `POST /contacts/v1/contacts`: check the form, meet a fault, pass the limits, check the values, store.

    A call with any problem stores nothing at all.
    """
    tenant = call.tenant
    settings = tenant.settings
    key, _ = read_identity(call.document, tenant.contacts)
    if key:
        call.contact_key = key
        tenant.ledger.contact_named(key)
    sets = read_sets(call.document)
    fault = call.fault = tenant.faults.strike("contacts", call.contact_key)
    if fault is not None:
        await suffer(fault)
    tenant.admit_contact_call()
    delay_seconds = tenant.contact_delay_seconds()
    if delay_seconds:
        await sleep(delay_seconds)
    # looked up after the delay: another call may have created or deleted the contact meanwhile
    contact = tenant.contacts.by_key.get(key)
    if fault is not None and fault.kind == "fail":
        return _fail_on_order(fault, key, contact, settings.docs_spelling)
    if contact is None and (not key or (call.method == "PATCH" and not settings.patch_upserts)):
        problem = codes.explain(codes.CONTACT_NOT_FOUND, "contactKey" if key else "contactID")
        return contact_failed(key, 0, [problem], docs_spelling=settings.docs_spelling)
    reading = read_values(sets, tenant.catalogue, settings)
    check_addresses(reading, is_new=contact is None, is_post=call.method == "POST", settings=settings)
    if reading.problems:
        contact_id = contact.contact_id if contact else 0
        return contact_failed(key, contact_id, reading.problems, docs_spelling=settings.docs_spelling)
    return _store(call, key, contact, reading, fault if fault is not None and fault.kind == "partial" else None)


def _store(call: Call, key: str, contact: Contact | None, reading: Reading, partial: Fault | None) -> web.Response:
    tenant = call.tenant
    docs_spelling = tenant.settings.docs_spelling
    is_new = contact is None
    if contact is None:
        contact = tenant.contacts.create(key)
    lost = [reading.values.popitem()[0]] if partial and reading.values else []
    held = contact.values
    call.repeats = not is_new and bool(reading.values) and reading.values.items() <= held.items()
    held.update(reading.values)
    call.stored = True
    if partial:
        problems = [_ordered(partial, codes.explain(codes.ATTRIBUTE_NOT_STORED, path)) for path in lost or [""]]
        return contact_failed(
            key, contact.contact_id, problems, is_new=is_new, docs_spelling=docs_spelling, status="OK"
        )
    call.accepted = True
    return contact_stored(key, contact.contact_id, is_new=is_new, docs_spelling=docs_spelling)


def _fail_on_order(fault: Fault, key: str, contact: Contact | None, docs_spelling: bool) -> web.Response:
    problem = _ordered(fault, codes.explain(codes.OPERATION_FAILED))
    return contact_failed(key, contact.contact_id if contact else 0, [problem], docs_spelling=docs_spelling)


def _ordered(fault: Fault, problem: dict[str, str]) -> dict[str, str]:
    """Return the problem with the code and message that the fault was ordered with."""
    if fault.result_code is not None:
        problem["resultCode"] = fault.result_code
    if fault.message is not None:
        problem["message"] = fault.message
    return problem
