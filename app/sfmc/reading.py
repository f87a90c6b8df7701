"""Reads one contact back by its key: `POST /contacts/v1/attributes/search`.

The call is not in Salesforce's reference; its body follows what public programs send, and its answer is read leniently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from app.sfmc.responses import judge_read

if TYPE_CHECKING:
    from app.sfmc.client import MarketingCloud

_PATH = "/contacts/v1/attributes/search"


def read_attributes(cloud: MarketingCloud, contact_key: str, names: Sequence[str]) -> dict[str, Any] | None:
    """Return what the account holds, by qualified name (None for no value); None if it has no such contact.

    Raises: the `CallError` that the answer stands for.
    """
    body = {
        "request": {"attributes": [{"key": name} for name in names]},
        "conditionSet": {
            "operator": "And",
            "conditionSets": [],
            "conditions": [
                {"attribute": {"key": "Contact.Contact Key"}, "operator": "Equals", "value": {"items": [contact_key]}}
            ],
        },
    }
    answer = cloud.call("POST", _PATH, judge_read, body=orjson.dumps(body))
    items = answer.get("items")
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        return None
    values = items[0].get("values")
    held = {
        str(value["name"]): value.get("value")
        for value in (values if isinstance(values, list) else [])
        if isinstance(value, dict) and value.get("name")
    }
    return {name: held.get(name, held.get(name.partition(".")[2])) for name in names}
