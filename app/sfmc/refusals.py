"""Decides why a contact was refused: which leaf of `app.errors` an answer's reasons stand for. Pure.

No failing body of a real tenant is on record, so both codes and words are recognised: those that a service of this family
would use. Words count only if no code names a cause, because they are free text and may quote anything. A refusal that
matches nothing is the contact's own fault and is kept for replay.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from app.errors import AddressRequired, AttributeRefused, CallError, ContactRefused, ContactUnknown, TransientFailure

_GONE = r"(?:not (?:be )?(?:found|resolved|exist)|doesn't exist|no such|unknown|failed to resolve|unable to find)"
_ATTRIBUTE_CODES = {"attributesetnotfound", "attributenotfound", "customobjectnotfound"}
_ATTRIBUTE_WORDS = re.compile(rf"\battribute\b.*{_GONE}|{_GONE}.*\battribute\b", re.IGNORECASE | re.DOTALL)
_ADDRESS_CODES = {"channeladdressrequired"}
_ADDRESS_WORDS = re.compile(
    r"\b(?:channel|email) address(?:es)?\b.*\b(?:required|must be (?:given|included|present|provided|sent|specified|supplied))\b",
    re.IGNORECASE | re.DOTALL,
)
_UNKNOWN_CODES = {"contactnotfound", "contactkeynotfound"}
_UNKNOWN_WORDS = re.compile(
    rf"\bcontact(?: ?key| ?id)?\b(?:[^.;]|\.(?=\S))*{_GONE}|{_GONE}[^.;]{{0,20}}\bcontact\b", re.IGNORECASE
)
_CONFLICT_WORDS = re.compile(r"\bPRIMARY KEY\b|\bduplicate key\b|\bdeadlock", re.IGNORECASE)
# a value missing from a list must not be mistaken for a missing attribute or contact
_VALUE_WORDS = re.compile(r"\b(?:in|from|of|on) (?:\w+ ){0,3}list\b|\brestricted\b|\bvalue of\b", re.IGNORECASE)

_REPLAY = "`activation failures DESTINATION --replay`"
_HTML_WORDS = re.compile(r"\bHTML ?Enabled\b", re.IGNORECASE)
_NEEDS_HTML = " A new contact may need HTML Enabled, which `options.html_enabled: never` leaves out."

Reasons = Sequence[tuple[str, str]]  # (code or '', words)


def classify(
    reasons: Reasons,
    text: str,
    code: str,
    said: dict[str, Any],
    *,
    has_cause: bool = False,
    stored_in_part: bool = False,
    is_of_form: bool = False,
) -> CallError:
    """Return the error for a refusal with these reasons; `text` and `code` are used if the reasons say nothing more specific.

    `has_cause`: something else names a cause, so words are ignored. A missing attribute takes precedence, since it can be
      fixed.
    """
    codes = {given.lower() for given, _ in reasons}
    has_cause = has_cause or any(_names_a_cause(given) for given, _ in reasons)
    words = [] if has_cause else [spoken for _, spoken in reasons]
    missing = [spoken for spoken in words if not _VALUE_WORDS.search(spoken)]

    if any(map(_CONFLICT_WORDS.search, (*words, *(snake(given).replace("_", " ") for given, _ in reasons)))):
        return TransientFailure("Another write of the same contact was in the way.", code="conflict", **said)
    if codes & _ATTRIBUTE_CODES or any(map(_ATTRIBUTE_WORDS.search, missing)):
        return AttributeRefused(
            "The account does not know an attribute, or attribute set, of this call.",
            code="attribute_not_found",
            remedy="Check that each Mapping ID and each target exists: `activation fields DESTINATION --refresh`.",
            stored_in_part=stored_in_part,
            **said,
        )
    if codes & _ADDRESS_CODES or any(map(_ADDRESS_WORDS.search, words)):
        return AddressRequired(
            "A new contact needs an email address, and the call carried none.",
            code="address_required",
            remedy="Send the profile again with its email address.",
            is_sure=bool(codes & _ADDRESS_CODES),
            stored_in_part=stored_in_part,
            **said,
        )
    by_code = bool(codes & _UNKNOWN_CODES)
    if by_code or any(map(_UNKNOWN_WORDS.search, missing)):
        return contact_unknown(
            "The contact does not exist.", said, is_sure=by_code and not stored_in_part, stored_in_part=stored_in_part
        )
    of_html = "valuerequired" in codes or any(_HTML_WORDS.search(spoken) for _, spoken in reasons)
    return ContactRefused(
        text,
        code=code,
        remedy=f"Fix what Marketing Cloud names, then {_REPLAY}.{_NEEDS_HTML if of_html else ''}",
        stored_in_part=stored_in_part,
        is_of_form=is_of_form,
        **said,
    )


def contact_unknown(text: str, said: dict[str, Any], *, is_sure: bool, stored_in_part: bool = False) -> ContactUnknown:
    return ContactUnknown(
        text,
        code="contact_unknown",
        remedy="With `options.create_unknown: true`, and an email address in the profile, it is created; or create it in "
        f"Marketing Cloud. Then {_REPLAY}.",
        is_sure=is_sure,
        stored_in_part=stored_in_part,
        **said,
    )


# The words of this API family's codes. A code of other words may be a value, so it is shown only with `--reveal`.
_WORDS = """
access action address already api attribute bad bounce business cannot channel code conflict contact conversion count create
custom data database date delete denied does duplicate email empty error exceeded exception exist exists fail failed failure
field for format found general group id identity in input insert internal invalid is item key length limit list lock long
mandatory max maximum member message min missing name no not null number object of operation out parameter partial
permission primary processing property range read reference relationship request required resolve restricted row schema set
short size sql status storage store string subscriber syntax system text timeout to too type unable unexpected unit unknown
unsupported update upsert value values violation write
"""
_CODE_WORDS = frozenset(_WORDS.split())
# A code of these words alone, such as OperationFailed, does not say why
_CAUSELESS = """
action api business contact create data database error exception fail failed failure general in insert internal of operation
processing request sql storage store subscriber system to unable unexpected unknown update upsert write
"""
_CAUSELESS_WORDS = frozenset(_CAUSELESS.split())


def is_of_the_api(code: str) -> bool:
    """Return whether a result code consists of an API's words, such as CustomObjectNotFound."""
    return bool(re.fullmatch(r"[A-Z][A-Za-z]{1,63}", code)) and _CODE_WORDS.issuperset(snake(code).split("_"))


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _names_a_cause(code: str) -> bool:
    return is_of_the_api(code) and not _CAUSELESS_WORDS.issuperset(snake(code).split("_"))
