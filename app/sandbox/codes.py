"""Result codes of contact calls that fail with HTTP 200.

No failing answer of a real tenant is on record: the shape is documented by sibling endpoints, but every name and text
in this table is INVENTED.
"""

from __future__ import annotations

ATTRIBUTE_SET_NOT_FOUND = "AttributeSetNotFound"
ATTRIBUTE_NOT_FOUND = "AttributeNotFound"
ATTRIBUTE_READ_ONLY = "AttributeReadOnly"
INVALID_EMAIL_ADDRESS = "InvalidEmailAddress"
VALUE_TOO_LONG = "ValueTooLong"
INVALID_VALUE = "InvalidValue"
VALUE_NOT_IN_RESTRICTED_LIST = "ValueNotInRestrictedList"
VALUE_REQUIRED = "ValueRequired"
DUPLICATE_ATTRIBUTE_SET = "DuplicateAttributeSet"
CHANNEL_ADDRESS_REQUIRED = "ChannelAddressRequired"
CONTACT_NOT_FOUND = "ContactNotFound"
OPERATION_FAILED = "OperationFailed"
ATTRIBUTE_NOT_STORED = "AttributeNotStored"

MESSAGES: dict[str, str] = {
    ATTRIBUTE_SET_NOT_FOUND: "No attribute set is named [{name}].",
    ATTRIBUTE_NOT_FOUND: "No attribute is named [{name}].",
    ATTRIBUTE_READ_ONLY: "The attribute [{name}] cannot be written.",
    INVALID_EMAIL_ADDRESS: "The value of [{name}] is not a valid email address.",
    VALUE_TOO_LONG: "The value of [{name}] is longer than the attribute allows.",
    INVALID_VALUE: "The value of [{name}] does not have the data type of the attribute.",
    VALUE_NOT_IN_RESTRICTED_LIST: "The value of [{name}] is not among the attribute's restricted values.",
    VALUE_REQUIRED: "The attribute [{name}] needs a value.",
    DUPLICATE_ATTRIBUTE_SET: "The attribute set [{name}] is given more than once.",
    CHANNEL_ADDRESS_REQUIRED: "The attribute set [{name}] is required.",
    CONTACT_NOT_FOUND: "No contact has this {name}.",
    OPERATION_FAILED: "The operation failed.",
    ATTRIBUTE_NOT_STORED: "The value of [{name}] could not be stored.",
}


def explain(code: str, name: str = "") -> dict[str, str]:
    """Return one item of `resultMessages` for a code and the attribute, set or field that it is about."""
    return {
        "resultType": "Operational",
        "resultClass": "Error",
        "resultCode": code,
        "message": MESSAGES[code].format(name=name),
    }
